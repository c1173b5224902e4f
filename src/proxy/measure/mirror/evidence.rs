//! Counting: what came of a copy, charged as an attempt of the original would be, on an arm of its own.

use crate::core::client::ClientKey;
use crate::core::outcome::{ArmId, Outcome, Reason, SlowLimits};
use crate::observe::shard::{Shard, Started};
use crate::proxy::lane::worker::Shared;
use pingora_http::RequestHeader;
use std::sync::Arc;

/// Where what comes of a copy is counted.
pub(super) struct Evidence {
    pub shared: Arc<Shared>,
    pub shard: Arc<Shard>,
    pub arm: ArmId,
    pub slow: SlowLimits,
    /// Of the original.
    pub client: ClientKey,
}

impl Evidence {
    pub(super) fn start(&self) -> Started {
        self.shard.start(self.arm, self.shared.clock.now_us(), self.client)
    }

    pub(super) fn answered(&self, started: Started, outcome: Outcome, code: u16) {
        let now = self.shared.clock.now_us();
        if let Outcome::Failure(_) = outcome {
            self.shard.failed_for(self.arm, started, now);
        }
        self.shard.answered(self.arm, started, now, outcome, code, &self.slow);
        let took = now.saturating_sub(started.at_us());
        if matches!(outcome, Outcome::Failure(_)) || self.slow.0.iter().any(|limit| took > u64::from(*limit))
        {
            self.shared.wake.adverse(now);
        }
    }

    /// The body broke, of what had been counted as a success.
    pub(super) fn broken(&self, started: Started, outcome: Outcome) {
        let Outcome::Failure(reason) = outcome else { return };
        let now = self.shared.clock.now_us();
        self.shard.failed_for(self.arm, started, now);
        self.shard.broken(self.arm, started, reason);
        self.shared.wake.adverse(now);
    }

    /// No upstream could take it.
    pub(super) fn unavailable(&self) {
        let started = self.start();
        self.answered(started, Outcome::Failure(Reason::Unavailable), 0);
    }

    pub(super) fn compared(&self, difference: Option<&str>, head: &RequestHeader) {
        self.shard.compared(self.arm, difference.is_some());
        let Some(difference) = difference else { return };
        self.shared.recorder.differences.offer(self.arm, || format!("{}: {difference}", shown(head)));
        self.shared.wake.adverse(self.shared.clock.now_us());
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
