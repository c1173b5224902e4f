//! How a notice reads: the runbook's texts, one line each.

use crate::core::notice::{Kind, Notice, show_eta};
use serde_json::{Value, json};

/// Discord refuses more characters in a message.
const DISCORD_MAX: usize = 2000;

/// Slack takes three characters for markup; escaped, no text can address a channel or hide a link.
pub(super) fn slack(notice: &Notice) -> Value {
    let text = plain(notice).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    json!({ "text": text })
}

/// Nobody is called out by what an upstream happens to say.
pub(super) fn discord(notice: &Notice) -> Value {
    json!({ "content": shortened(&plain(notice), DISCORD_MAX), "allowed_mentions": { "parse": [] } })
}

/// The line for people.
pub(super) fn plain(notice: &Notice) -> String {
    let (sign, text) = match notice.kind {
        Kind::Started => ("🚀", started(notice)),
        Kind::Step => ("➡️", format!("{} — {}; {}", subject(notice), notice.detail, figures(notice))),
        Kind::Held => ("⏸️", format!("{} is held at {} — {}", subject(notice), share(notice), notice.detail)),
        Kind::Progress => ("⏳", progress(notice)),
        Kind::Promoted => {
            ("✅", format!("{} is live — {}{}", subject(notice), figures(notice), serving(notice)))
        }
        Kind::Aborted => ("❌", format!("{} failed — {}", with_strategy(notice), why(notice))),
        Kind::Rollback => ("↩️", format!("{} rolled back — {}", subject(notice), why(notice))),
        Kind::Degraded => {
            ("🔥", format!("{} breaks its limits after the promotion — {}", subject(notice), why(notice)))
        }
        Kind::Incident => ("🚨", format!("outage — {}", why(notice))),
        Kind::Approval => {
            ("✋", format!("{} waits for approval at {} — {}", subject(notice), share(notice), notice.detail))
        }
        Kind::Maintenance => ("🚧", notice.detail.clone()),
    };
    let service = if notice.service.is_empty() { "site" } else { &notice.service };
    format!("{sign} {service}: {text}")
}

/// At most so many characters, the last an ellipsis where something was cut off.
pub(super) fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let kept: String = text.chars().take(most.saturating_sub(1)).collect();
    kept + "…"
}

/// The version, or the pool where it has no name.
pub(super) fn subject(notice: &Notice) -> &str {
    let pool = || notice.to.as_deref().unwrap_or("the service");
    notice.version.as_deref().unwrap_or_else(pool)
}

/// `error rate 0.12 %, response time p95 85 ms`.
pub(super) fn figures(notice: &Notice) -> String {
    match (notice.error_rate, notice.response_time_ms) {
        (Some(rate), Some(ms)) => {
            let percent = (rate * 10_000.0).round() / 100.0;
            format!("error rate {percent} %, response time p95 {ms:.0} ms")
        }
        _ => "no requests measured".to_owned(),
    }
}

fn with_strategy(notice: &Notice) -> String {
    match &notice.strategy {
        Some(strategy) => format!("{} ({strategy})", subject(notice)),
        None => subject(notice).to_owned(),
    }
}

fn started(notice: &Notice) -> String {
    let eta = show_eta(notice.eta_seconds.unwrap_or(0));
    let (from, to) = (notice.from.as_deref().unwrap_or("?"), notice.to.as_deref().unwrap_or("?"));
    let by_hand = notice.action.as_ref().map(|text| format!("; {text}")).unwrap_or_default();
    let what = with_strategy(notice);
    format!("deploying {what} — ETA {eta}; {from} → {to}, started by {}{by_hand}", notice.actor)
}

fn progress(notice: &Notice) -> String {
    let step = notice.step.map_or(String::new(), |place| format!("step {} of {}, ", place.step, place.of));
    let left = notice.eta_seconds.filter(|seconds| *seconds > 0);
    let left = left.map_or(String::new(), |seconds| format!(", {} to go", show_eta(seconds)));
    format!("{} has {} — {step}{}{left}", with_strategy(notice), share(notice), figures(notice))
}

fn serving(notice: &Notice) -> String {
    notice.to.as_ref().map_or(String::new(), |to| format!("; {to} serves {}", share(notice)))
}

fn share(notice: &Notice) -> String {
    format!("{} %", notice.weight.unwrap_or(0.0))
}

fn why(notice: &Notice) -> String {
    let reason = notice.reason.as_ref().unwrap_or(&notice.detail);
    let parts =
        [("reason", Some(reason)), ("action", notice.action.as_ref()), ("status", notice.status.as_ref())];
    let given = parts.into_iter().filter_map(|(name, text)| text.map(|text| format!("{name}: {text}")));
    given.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::notice::Place;

    fn notice(kind: Kind) -> Notice {
        let some = |text: &str| Some(text.to_owned());
        Notice {
            kind,
            service: "web".into(),
            at: "2026-01-02T03:04:05Z".into(),
            actor: "ci".into(),
            detail: "step 2 of 3: 25 % for 10m".into(),
            rollout: some("web-1"),
            strategy: some("canary"),
            version: some("v2"),
            from: some("blue"),
            to: some("green"),
            weight: Some(25.0),
            step: Some(Place { step: 2, of: 3 }),
            eta_seconds: Some(1800),
            error_rate: Some(0.0012),
            response_time_ms: Some(84.6),
            reason: None,
            action: None,
            status: None,
        }
    }

    #[test]
    fn the_texts_of_the_runbook() {
        let started = plain(&notice(Kind::Started));
        assert_eq!(started, "🚀 web: deploying v2 (canary) — ETA 30 min; blue → green, started by ci");
        assert_eq!(
            plain(&notice(Kind::Progress)),
            "⏳ web: v2 (canary) has 25 % — step 2 of 3, error rate 0.12 %, response time p95 85 ms, 30 min to go"
        );
        assert_eq!(
            plain(&Notice { weight: Some(100.0), ..notice(Kind::Promoted) }),
            "✅ web: v2 is live — error rate 0.12 %, response time p95 85 ms; green serves 100 %"
        );
        let failure = Notice {
            reason: Some("error rate 12 % is above 1 %".into()),
            action: Some("all traffic is back on blue".into()),
            status: Some("blue serves 100 % and is ready".into()),
            ..notice(Kind::Aborted)
        };
        assert_eq!(
            plain(&failure),
            "❌ web: v2 (canary) failed — reason: error rate 12 % is above 1 %; \
             action: all traffic is back on blue; status: blue serves 100 % and is ready"
        );
    }

    #[test]
    fn a_notice_with_little_in_it_still_reads_well() {
        let bare = Notice {
            version: None,
            strategy: None,
            error_rate: None,
            eta_seconds: Some(0),
            step: None,
            ..notice(Kind::Progress)
        };
        assert_eq!(plain(&bare), "⏳ web: green has 25 % — no requests measured");
        let site = Notice { service: String::new(), ..notice(Kind::Maintenance) };
        assert!(plain(&site).starts_with("🚧 site: "));
        for kind in Kind::ALL {
            assert!(plain(&notice(kind)).contains(" web: "), "{kind:?}");
        }
    }

    #[test]
    fn chats_get_no_markup_and_no_more_than_they_take() {
        let detail = format!("<!channel> & @everyone {}", "é".repeat(3000));
        let long = Notice { detail, ..notice(Kind::Maintenance) };
        let slack = slack(&long);
        assert!(slack["text"].as_str().expect("a text").contains("&lt;!channel&gt; &amp; @everyone"));
        let discord = discord(&long);
        let content = discord["content"].as_str().expect("a text");
        assert_eq!((content.chars().count(), content.chars().last()), (2000, Some('…')));
        assert_eq!(discord["allowed_mentions"]["parse"], json!([]));
    }
}
