//! After a failure: whether the same request may be tried on another upstream of its pool.

use http::Method;

/// What is known when an attempt has failed.
#[derive(Clone, Copy, Debug)]
pub(in crate::proxy) struct Situation<'a> {
    /// Whether the pool's settings ask for another attempt after such a failure, and there is time for one.
    pub is_wanted: bool,
    /// Whether they have requests repeated that may be carried out twice then.
    pub repeats_unsafe: bool,
    pub method: &'a Method,
    /// Whether the failure came before anything of the request was sent.
    pub unsent: bool,
    /// Whether the client has been sent any of an answer.
    pub answer_begun: bool,
    /// Whether the whole body read so far can be sent again.
    pub replayable: bool,
    /// Attempts made, the failed one included, and how many one request may make.
    pub attempts: u8,
    pub tries: u8,
    /// Whether an upstream of the pool is ready, untried and has room.
    pub another: bool,
}

/// Whether to try again. What was never sent may always be; what may have been carried out is repeated
/// only if its method is idempotent (RFC 9110, 9.2.2), or the pool has all repeated, and its body still at hand.
pub(in crate::proxy) fn again(s: Situation<'_>) -> bool {
    let allowed = s.is_wanted && s.attempts < s.tries && s.another && !s.answer_begun;
    allowed && (is_safe(s.method, s.unsent, s.replayable) || s.repeats_unsafe && s.replayable)
}

/// Whether a request may be sent once more.
pub(in crate::proxy) fn is_safe(method: &Method, unsent: bool, replayable: bool) -> bool {
    unsent || (method.is_idempotent() && replayable)
}

/// Whether a failure only says that a kept connection had been closed by the upstream meanwhile: not
/// its fault, and no attempt to count. Believed once a request, so that an upstream which resets
/// everything it is sent is still charged.
pub(in crate::proxy) fn stale(s: Situation<'_>, reused: bool, reset: bool, believed_before: bool) -> bool {
    reused && reset && !believed_before && !s.answer_begun && s.method.is_idempotent() && s.replayable
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: Situation<'static> = Situation {
        is_wanted: true,
        repeats_unsafe: false,
        method: &Method::GET,
        unsent: false,
        answer_begun: false,
        replayable: true,
        attempts: 1,
        tries: 2,
        another: true,
    };

    #[test]
    fn what_is_safe_is_tried_again() {
        assert!(again(GET));
        assert!(again(Situation { method: &Method::PUT, ..GET }));
        assert!(again(Situation { method: &Method::POST, unsent: true, ..GET }));
        assert!(again(Situation { method: &Method::POST, repeats_unsafe: true, ..GET }));
    }

    #[test]
    fn what_is_not_safe_is_not() {
        assert!(!again(Situation { method: &Method::POST, ..GET }));
        assert!(!again(Situation { method: &Method::PATCH, ..GET }));
        assert!(!again(Situation { answer_begun: true, ..GET }));
        assert!(!again(Situation { replayable: false, ..GET }));
        assert!(!again(Situation { attempts: 2, ..GET }));
        assert!(!again(Situation { another: false, ..GET }));
        assert!(!again(Situation { is_wanted: false, unsent: true, ..GET }));
        let large = Situation { method: &Method::POST, repeats_unsafe: true, replayable: false, ..GET };
        assert!(!again(large));
    }

    #[test]
    fn a_stale_connection_is_believed_once() {
        assert!(stale(GET, true, true, false));
        assert!(!stale(GET, true, true, true));
        assert!(!stale(GET, false, true, false));
        assert!(!stale(GET, true, false, false));
        assert!(!stale(Situation { method: &Method::POST, ..GET }, true, true, false));
    }
}
