//! Counting: what came of a copy, charged as an attempt of the original would be, on an arm of its own.

use crate::core::client::ClientKey;
use crate::core::failure_statuses::FailureStatuses;
use crate::core::outcome::{ArmId, Outcome, Reason, Thresholds};
use crate::observe::shard::Started;
use crate::proxy::measure::meter::Meter;
use pingora_http::RequestHeader;

/// Where what comes of a copy is counted.
pub(super) struct MirrorEvidence {
    pub meter: Meter,
    pub arm: ArmId,
    pub thresholds: Thresholds,
    pub failures: FailureStatuses,
    /// Of the original.
    pub client: ClientKey,
    /// Whether it is any: not while the candidate's upstream warms up.
    pub counts: bool,
}

impl MirrorEvidence {
    pub(super) fn start(&self) -> Started {
        self.meter.start(self.arm, self.meter.now_us(), self.client, true, self.counts)
    }

    pub(super) fn answered(&self, started: Started, outcome: Outcome, code: u16) {
        self.meter.answered((self.arm, started), started.at_us(), (outcome, code), &self.thresholds);
    }

    /// The body broke, of what had been counted as a success.
    pub(super) fn broken(&self, started: Started, outcome: Outcome) {
        if let Outcome::Failure(reason) = outcome {
            self.meter.broken((self.arm, started), reason);
        }
    }

    /// No upstream could take it.
    pub(super) fn unavailable(&self) {
        let started = self.start();
        self.answered(started, Outcome::Failure(Reason::Unavailable), 0);
    }

    pub(super) fn compared(&self, difference: Option<&str>, head: &RequestHeader) {
        if !self.counts {
            return;
        }
        self.meter.shard.compared(self.arm, difference.is_some());
        let Some(difference) = difference else { return };
        self.meter.recorder.differences.offer(self.arm, || format!("{}: {difference}", shown(head)));
        self.meter.wake.adverse(self.meter.now_us());
    }
}

/// The most of a path that is shown, in characters.
const SHOWN: usize = 120;

/// A request as it is shown: its query's names, without their values.
fn shown(head: &RequestHeader) -> String {
    let path: String = head.uri.path().chars().take(SHOWN).collect();
    let names = head.uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.split('=').next());
    let names: Vec<&str> = names.filter(|name| !name.is_empty()).collect();
    let names: String = names.join("&").chars().take(SHOWN).collect();
    let mark = if names.is_empty() { "" } else { "?" };
    format!("{} {path}{mark}{names}", head.method)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_a_query_are_not_shown() {
        for (target, expected) in [
            ("/a/b", "GET /a/b"),
            ("/a?token=secret&page=2", "GET /a?token&page"),
            ("/a?", "GET /a"),
            ("/a?=x&flag", "GET /a?flag"),
        ] {
            let head = RequestHeader::build("GET", target.as_bytes(), None).expect("a head");
            assert_eq!(shown(&head), expected);
        }
        let long = format!("/{}", "ä".repeat(500));
        let head = RequestHeader::build("GET", long.replace('ä', "%C3").as_bytes(), None).expect("a head");
        assert_eq!(shown(&head).len(), SHOWN + 4);
    }
}
