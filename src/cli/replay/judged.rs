//! The outcome of an attempt, by the policy at hand: a log says statuses, and another policy may have counted others as
//! failures.

use super::said::{Said, Tried};
use crate::core::failure_statuses::FailureStatuses;
use crate::core::group;
use crate::core::outcome::{Outcome, Reason};
use crate::core::replay::attempt::{Ending, LoggedEnd, LoggedGroup};
use std::collections::HashMap;
use std::sync::Arc;

/// Shapes whose names are kept.
const NAMES: usize = 4_096;

/// The outcome of one attempt, when its answer broke, and how it ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Judged {
    pub outcome: Outcome,
    pub broke_us: Option<u64>,
    pub end: Option<LoggedEnd>,
}

/// `is_last` says that the client got this attempt's answer.
pub(super) fn judge(tried: &Tried<'_>, said: &Said<'_>, is_last: bool, failures: &FailureStatuses) -> Judged {
    let by_status = matches!(tried.outcome, Outcome::Success | Outcome::Failure(Reason::Status));
    let fails = tried.grpc.is_some_and(|status| failures.has_grpc_status(status));
    let (outcome, broke_us) = match tried.outcome {
        _ if by_status && tried.code > 0 && tried.code != 101 => match tried.code {
            code if failures.has(code) => (Outcome::Failure(Reason::Status), None),
            // Trailers come at the end.
            _ if fails => (Outcome::Failure(Reason::Grpc), tried.whole_us),
            _ => (Outcome::Success, tried.broke_us),
        },
        Outcome::Failure(Reason::Grpc) if tried.grpc.is_some() && !fails => (Outcome::Success, None),
        outcome => (outcome, tried.broke_us),
    };
    let has_no_page = matches!(tried.code, 200 | 204) && said.method == "GET" && said.bytes == Some(0);
    let whole = match is_last && has_no_page {
        _ if tried.grpc.is_some_and(|status| status != 0 && !fails) => Ending::Declined,
        true => Ending::Empty,
        false => Ending::Whole,
    };
    let whole = tried.whole_us.map(|took_us| LoggedEnd { took_us, ending: whole });
    let cut = tried.cut_us.map(|took_us| LoggedEnd { took_us, ending: Ending::Cut });
    Judged { outcome, broke_us, end: whole.or(cut) }
}

/// The groups of requests, with their names.
#[derive(Debug, Default)]
pub(super) struct GroupNames(HashMap<u64, Arc<str>>);

impl GroupNames {
    /// The group of a request; which route it took no log tells.
    pub(super) fn group(&mut self, said: &Said<'_>) -> Option<LoggedGroup> {
        let (method, path) = (&*said.method, group::path(said.target.as_bytes()));
        if method.is_empty() || path.is_empty() {
            return None;
        }
        let shape = group::Shape::of(0, method.as_bytes(), path);
        if self.0.len() >= NAMES {
            self.0.clear();
        }
        let name = self.0.entry(shape.key()).or_insert_with(|| group::name(method, path).into());
        Some(LoggedGroup { shape, name: name.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{json, template::Template, times::Local};
    use super::*;

    fn judged(said: &Said<'_>, failures: &FailureStatuses) -> (Outcome, Option<u64>) {
        let Judged { outcome, broke_us, .. } = judge(&said.tried[0], said, true, failures);
        (outcome, broke_us)
    }

    #[test]
    fn statuses_fail_as_the_policy_says() {
        let line = |more: &str| {
            format!(
                r#"{{"time":"2026-11-24T23:58:33.000Z","start":"2026-11-24T23:58:32.500000Z","status":404,"request_time":0.4,
                "service":"web","pool":"green","attempts":1,"upstream_header_time":0.1,{more}}}"#
            )
        };
        let failed = Outcome::Failure;
        let other = FailureStatuses::NONE.with([404]).with_grpc([5]);
        let none = FailureStatuses::NONE;
        for (more, by_default, by_other, by_none) in [
            (
                r#""outcome":"success""#,
                (Outcome::Success, None),
                (failed(Reason::Status), None),
                (Outcome::Success, None),
            ),
            (
                r#""outcome":"reset","broke_time":0.2"#,
                (failed(Reason::Reset), Some(200_000)),
                (failed(Reason::Reset), Some(200_000)),
                (failed(Reason::Reset), Some(200_000)),
            ),
            (
                r#""outcome":"grpc","grpc":14,"broke_time":0.2"#,
                (failed(Reason::Grpc), Some(200_000)),
                (Outcome::Success, None),
                (Outcome::Success, None),
            ),
        ] {
            let text = line(more);
            let said = json::read(text.as_bytes()).expect("read");
            assert_eq!(judged(&said, &FailureStatuses::default()), by_default, "{more}");
            assert_eq!(judged(&said, &other), by_other, "{more}");
            assert_eq!(judged(&said, &none), by_none, "{more}");
        }
    }

    #[test]
    fn nginx_tells_of_grpc_of_empty_pages_and_of_groups() {
        let template = Template::parse(
            "$remote_addr [$time_iso8601] \"$request\" $status $body_bytes_sent $upstream_addr $upstream_response_time \
             $upstream_http_grpc_status $upstream_trailer_grpc_status",
        )
        .expect("a format");
        let read = |line: &str| {
            let fields = template.read(line).expect("read");
            let said = fields.said(&mut Local::default()).expect("said");
            let judged = judge(&said.tried[0], &said, true, &FailureStatuses::default());
            (judged, GroupNames::default().group(&said).expect("a group").name)
        };
        let head = "192.0.2.1 [2026-11-24T23:58:32Z]";
        let (call, name) =
            read(&format!("{head} \"POST /shop.Cart/Add HTTP/2.0\" 200 9 10.0.0.3:80 0.25 - 14"));
        assert_eq!((call.outcome, call.broke_us), (Outcome::Failure(Reason::Grpc), Some(250_000)));
        assert_eq!(&*name, "POST /shop.Cart/Add");
        let (page, name) =
            read(&format!("{head} \"GET /users/12345?a=b HTTP/1.1\" 200 0 10.0.0.3:80 0.25 - -"));
        assert_eq!(page.end, Some(LoggedEnd { took_us: 250_000, ending: Ending::Empty }));
        assert_eq!(&*name, "GET /users/*");
    }

    #[test]
    fn an_answer_of_our_own_log_ends_whole_or_is_cut() {
        let end = |more: &str| {
            let line = format!(
                r#"{{"time":"2026-11-24T23:58:33.000Z","start":"2026-11-24T23:58:32.500000Z","method":"GET","uri":"/",
                "status":200,"bytes":5,"request_time":0.4,"service":"web","pool":"green","attempts":1,
                "upstream_header_time":0.1,"outcome":"success"{more}}}"#
            );
            let said = json::read(line.as_bytes()).expect("read");
            judge(&said.tried[0], &said, true, &FailureStatuses::default()).end
        };
        let ended = |ending| Some(LoggedEnd { took_us: 300_000, ending });
        assert_eq!(end(r#","duration":0.3"#), ended(Ending::Whole));
        assert_eq!(end(r#","cut_time":0.3"#), ended(Ending::Cut));
        assert_eq!(end(""), None, "a stream");
    }
}
