//! What an answer carries of the choice: cookies, and the pool's name where clients are to know it.

use crate::proxy::exchange::{ChosenBy, Cookies, Request};
use crate::proxy::wire::answer_head::AnswerHead;
use http::header::{CACHE_CONTROL, SET_COOKIE};
use http::{HeaderName, HeaderValue};

/// Tells testers that the candidate failed, and which.
const SHIELDED: HeaderName = HeaderName::from_static("x-pointsman-shielded");

/// Puts on an answer what the client hears: which pool it comes from, where that is wanted, and cookies.
pub(in crate::proxy) fn show(request: &Request, head: &mut AnswerHead) {
    let target = request.plan.target;
    let shown = target.and_then(|target| target.service(&request.plan.table)?.choice.shown(target.pool));
    if let Some((field, value)) = shown {
        head.set(field.clone(), value.clone());
    }
    if let Some(candidate) = shielded_from(request).and_then(|pool| HeaderValue::from_str(pool).ok()) {
        head.set(SHIELDED, candidate);
    }
    if request.plan.cookies.is_some() || request.plan.granted.is_some() {
        set_cookies(request, head);
    }
}

fn set_cookies(request: &Request, head: &mut AnswerHead) {
    let own = request.plan.cookies.as_deref();
    let own = own.into_iter().flat_map(|Cookies { cohort, tester }| [cohort, tester]);
    let granted = request.plan.granted.iter().flat_map(|granted| &granted.cookies);
    let mut is_set = false;
    for cookie in own.flatten().chain(granted) {
        head.add(SET_COOKIE, cookie.clone());
        is_set = true;
    }
    if is_set && let Some(private) = private(head.values(&CACHE_CONTROL)) {
        head.set(CACHE_CONTROL, private);
    }
}

/// The candidate in whose place stable answers a tester. Nobody else hears of it.
fn shielded_from(request: &Request) -> Option<&str> {
    request.attempts.shielded_after.filter(|_| request.plan.by == Some(ChosenBy::Tester))?;
    let service = request.service()?;
    Some(&service.pools.get(service.shielding.as_ref()?.candidate)?.name)
}

/// How a cache that many share is kept from giving one user's cookie to the next, where the answer does not
/// see to that itself.
fn private<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Option<HeaderValue> {
    let directives = lines.flat_map(|line| line.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    let mut kept = b"private".to_vec();
    for directive in directives.filter(|directive| !directive.is_empty()) {
        let name = directive.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii();
        let is = |known: &[&str]| known.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()));
        if directive.len() == name.len() && is(&["private", "no-store"]) {
            return None;
        }
        if !is(&["public", "s-maxage"]) {
            kept.extend_from_slice(b", ");
            kept.extend_from_slice(directive);
        }
    }
    HeaderValue::from_maybe_shared(bytes::Bytes::from(kept)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_carries_a_cookie_is_for_one_client() {
        for (lines, expected) in [
            (&[][..], Some("private")),
            (&["public, max-age=60, immutable"], Some("private, max-age=60, immutable")),
            (&["max-age=60", "S-MaxAge=600,must-revalidate"], Some("private, max-age=60, must-revalidate")),
            (&["private=\"a\""], Some("private, private=\"a\"")),
            (&["no-cache"], Some("private, no-cache")),
            (&["max-age=1, Private"], None),
            (&["no-store"], None),
        ] {
            let private = private(lines.iter().map(|line| line.as_bytes()));
            assert_eq!(private.as_ref().map(|value| value.to_str().expect("text")), expected, "{lines:?}");
        }
    }
}
