//! What a try to deliver ends with, and when the next one is.

use crate::core::pause::Pauses;
use crate::observe::clock::wall;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{RequestBuilder, StatusCode};
use std::error::Error;
use std::time::Duration;

/// More of an answer is not read.
const MAX_ANSWER: usize = 64 << 10;
const PAUSES: Pauses = Pauses { first: Duration::from_secs(1), longest: Duration::from_secs(300) };
/// However long a receiver asks to be left alone.
pub(super) const MAX_PAUSE: Duration = Duration::from_secs(3600);

/// Why a letter has not arrived. Never names the URL: it holds a secret.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Failure {
    /// It may arrive another time, not before the pause that the receiver asks for.
    Later { why: String, pause: Option<Duration> },
    /// It never will.
    Never(String),
}

/// Sends a request; the body of a good answer.
///
/// # Errors
/// [`Failure`].
pub(super) async fn send(request: RequestBuilder) -> Result<Vec<u8>, Failure> {
    let mut answer = request.send().await.map_err(unanswered)?;
    let status = answer.status();
    if !status.is_success() {
        return Err(refused(status, answer.headers()));
    }
    let mut body = Vec::new();
    while body.len() < MAX_ANSWER
        && let Some(piece) = answer.chunk().await.map_err(unanswered)?
    {
        body.extend(piece);
    }
    Ok(body)
}

fn refused(status: StatusCode, headers: &HeaderMap) -> Failure {
    let why = format!("it answered {status}");
    match status.as_u16() {
        400 | 404 | 410 | 413 | 422 => Failure::Never(why),
        _ => Failure::Later { why, pause: asked_pause(headers) },
    }
}

/// The innermost reason, which is the one that helps, and the one without the URL.
fn unanswered(error: reqwest::Error) -> Failure {
    let why = if error.is_timeout() {
        "no answer in time".to_owned()
    } else {
        let error = error.without_url();
        let mut cause: &dyn Error = &error;
        while let Some(source) = cause.source() {
            cause = source;
        }
        cause.to_string()
    };
    Failure::Later { why, pause: None }
}

/// `Retry-After`: seconds, with decimals as Discord writes them, or a date.
fn asked_pause(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let pause = match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok()?,
        Err(_) => {
            let date = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
            Duration::try_from(date.duration_since(wall())).ok()?
        }
    };
    Some(pause.min(MAX_PAUSE))
}

/// The pause after so many tries. `draw` is from 0 to 1.
pub(super) fn pause(tries: u32, draw: f64) -> Duration {
    PAUSES.spread(tries, draw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_five_minutes() {
        let seconds: Vec<_> = [1, 2, 3, 9, 10, 4_000_000_000].map(|n| pause(n, 0.0).as_secs()).into();
        assert_eq!(seconds, [1, 2, 4, 256, 300, 300]);
        assert_eq!(pause(1, 1.0), Duration::from_millis(500));
    }

    #[test]
    fn what_will_never_be_taken_is_not_tried_again() {
        let headers = HeaderMap::new();
        for status in [400, 404, 410, 413, 422] {
            let status = StatusCode::from_u16(status).expect("a status");
            assert!(matches!(refused(status, &headers), Failure::Never(_)), "{status}");
        }
        for status in [301, 401, 403, 408, 409, 429, 500, 503] {
            let status = StatusCode::from_u16(status).expect("a status");
            assert!(matches!(refused(status, &headers), Failure::Later { pause: None, .. }), "{status}");
        }
    }

    #[test]
    fn a_receiver_may_ask_for_a_pause_within_reason() {
        let asked = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, text.parse().expect("a value"));
            asked_pause(&headers)
        };
        assert_eq!(asked("7"), Some(Duration::from_secs(7)));
        assert_eq!(asked("0.5"), Some(Duration::from_millis(500)));
        assert_eq!(asked("86400"), Some(MAX_PAUSE));
        assert_eq!(asked("Tue, 31 Dec 2199 23:59:59 GMT"), Some(MAX_PAUSE));
        assert_eq!(asked("Wed, 21 Oct 2015 07:28:00 GMT"), None);
        assert_eq!((asked("soon"), asked("-1")), (None, None));
    }
}
