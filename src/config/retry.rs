//! `retry` of a pool, and `tries`, which is its short form.

use super::policy::failures::status;
use super::reader::{Item, Section};
use crate::core::failure_statuses::FailureStatuses;
use crate::core::settings::Retry;
use std::ops::RangeInclusive;
use std::time::Duration;

/// The longest time in which attempts may begin.
const LONGEST: Duration = Duration::from_secs(3600);

/// One entry of `on`.
enum Cause {
    Error,
    Timeout,
    Statuses(RangeInclusive<u16>),
}

pub(super) fn of_pool(section: &Section<'_>) -> Retry {
    let short = section.item("tries");
    let Some(inner) = section.item("retry").and_then(|item| item.section()) else {
        return Retry::of(short.as_ref().and_then(tries).unwrap_or(2));
    };
    if let Some(item) = short {
        item.fault("stands beside retry; write tries in it, and take this one out");
    }
    let mut retry = Retry {
        tries: inner.read("tries", 2, tries),
        timeout: inner.item("timeout").and_then(|item| item.duration(Duration::from_millis(1)..=LONGEST)),
        repeats_unsafe: inner.read("unsafe", false, Item::bool),
        ..Retry::default()
    };
    if let Some(causes) = inner.item("on").and_then(|item| item.array()) {
        (retry.on_error, retry.on_timeout) = (false, false);
        causes.iter().filter_map(cause).for_each(|cause| note(&mut retry, cause));
    }
    inner.finish();
    retry
}

fn tries(item: &Item<'_>) -> Option<u8> {
    item.integer(1..=10).map(|tries| tries as u8)
}

fn note(retry: &mut Retry, cause: Cause) {
    match cause {
        Cause::Error => retry.on_error = true,
        Cause::Timeout => retry.on_timeout = true,
        Cause::Statuses(range) => {
            let known = retry.statuses.take().map_or(FailureStatuses::NONE, |known| *known);
            retry.statuses = Some(Box::new(known.with(range)));
        }
    }
}

/// `"error"`, `"timeout"`, or statuses of errors: 503, `"502-504"`.
fn cause(item: &Item<'_>) -> Option<Cause> {
    match item.quiet().as_deref() {
        Some("error") => return Some(Cause::Error),
        Some("timeout") => return Some(Cause::Timeout),
        Some(word) if word.starts_with(|c: char| c.is_ascii_alphabetic()) => {
            item.fault(&format!(
                "\"{word}\" is none of error, timeout, and statuses such as 503 or \"502-504\""
            ));
            return None;
        }
        _ => {}
    }
    let range = status(item)?;
    if *range.start() < 400 {
        item.fault("an answer below 400 is what its client asked for; write statuses from 400 on");
    }
    Some(Cause::Statuses(range))
}

#[cfg(test)]
mod tests {
    use crate::config::{Faults, parse};
    use crate::core::settings::{Config, Retry};
    use std::path::Path;
    use std::time::Duration;

    fn read(pool: &str) -> Result<Config, Faults> {
        let text = format!(
            "[[listeners]]\naddress = \"127.0.0.1:80\"\n[[routes]]\nservice = \"web\"\n\
             [services.web.pools.blue]\nupstreams = [\"10.0.0.1:80\"]\n{pool}\n"
        );
        parse(&text, "test.toml", &|_| None, Path::new("/nowhere"))
    }

    #[test]
    fn the_short_form_and_the_long_one_say_the_same() {
        let retry = |pool| read(pool).expect("accepted").services["web"].pools["blue"].retry.clone();
        assert_eq!(retry(""), Retry::of(2));
        assert_eq!((retry("tries = 3"), retry("retry = { tries = 3 }")), (Retry::of(3), Retry::of(3)));
        let all = retry(
            "retry = { on = [\"timeout\", 503, \"429\", \"500-502\"], timeout = \"10s\", unsafe = true }",
        );
        assert!(!all.on_error && all.on_timeout && all.repeats_unsafe && all.tries == 2);
        assert_eq!(all.timeout, Some(Duration::from_secs(10)));
        let found: Vec<u16> = (0..700).filter(|status| all.is_on(*status)).collect();
        assert_eq!(found, [429, 500, 501, 502, 503]);
        let none = retry("retry = { on = [] }");
        assert!(!none.on_error && !none.on_timeout && none.statuses.is_none());
    }

    #[test]
    fn faults_name_the_key_and_the_remedy() {
        for (pool, expected) in [
            ("tries = 3\nretry = {}", "pools.blue.tries: stands beside retry; write tries in it"),
            (
                "retry = { on = [\"errors\"] }",
                "retry.on[0]: \"errors\" is none of error, timeout, and statuses",
            ),
            ("retry = { on = [302] }", "retry.on[0]: an answer below 400"),
            ("retry = { on = [700] }", "retry.on[0]: must be from 200 to 599"),
            ("retry = { tries = 0 }", "retry.tries: must be from 1 to 10"),
            ("retry = { timeout = \"2h\" }", "retry.timeout: must be from 1ms to 1h"),
            ("retry = { trys = 2 }", "retry.trys: unknown key; did you mean tries?"),
        ] {
            let text = read(pool).expect_err(expected).to_string();
            assert!(text.contains(expected), "missing: {expected}\nin:\n{text}");
        }
    }
}
