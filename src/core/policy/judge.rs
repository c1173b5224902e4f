//! From evidence and conditions to a verdict.
//!
//! | limit broken | stable failing too | candidate worse | verdict |
//! |---|---|---|---|
//! | no | – | no | pass |
//! | no | – | yes | hold (`relative`) |
//! | no | has no traffic | than stable was | hold |
//! | yes | no | – | fail |
//! | yes | yes | yes | fail |
//! | yes | yes | no | hold: a shared outage (`on_shared_outage`) |

use super::bound::KindBound;
use super::circumstances::Circumstances;
use super::gathered::Gathered;
use super::kind_comparison::KindComparison;
use super::limit_evidence::LimitEvidence;
use super::{LEAST_CLIENTS, Mode, Policy, Reaction, conditions, reasons};
use crate::core::client::{ClientCount, Met};
use crate::core::verdict::{Level, Reason, State, Verdict};
use crate::core::window::Figures;
use std::time::Duration;

/// A failure is stamped a moment before it is counted.
const SLACK: Duration = Duration::from_millis(10);
/// Groups that a verdict names.
const MOST_GROUPS: usize = 3;

/// A reason, and what it alone would come to.
type Finding = (State, Reason);

pub(super) fn verdict(gathered: &Gathered, now: Duration, seen: &Circumstances<'_>) -> Verdict {
    let look = Look { gathered, policy: &gathered.policy, now, seen };
    let mut findings: Vec<Finding> = Vec::new();
    // A broken critical level speaks for its warning level too, and for the comparison of its kind.
    let (mut metrics, mut kinds) = (Vec::new(), Vec::new());
    for limit in look.of_level(Level::Critical) {
        match look.by_mode(limit) {
            Some(finding) => {
                metrics.push(limit.bound.metric());
                kinds.push(limit.bound.kind());
                findings.push(finding);
            }
            None => findings.extend(look.worse(limit)),
        }
    }
    findings.extend(conditions::health(look.policy, seen));
    findings.extend(look.groups());
    for limit in look.of_level(Level::Warning).filter(|limit| !metrics.contains(&limit.bound.metric())) {
        findings.extend(look.by_mode(limit));
    }
    let compared = gathered.comparisons.iter().filter(|comparison| !kinds.contains(&comparison.kind));
    findings.extend(compared.filter_map(|comparison| look.compared(comparison)));
    let readings = seen.readings.into_iter();
    findings.extend(readings.flat_map(|r| conditions::signals(&look.policy.signals, r, gathered.began, now)));
    findings.sort_by(|(one, _), (other, _)| other.cmp(one));
    let state = findings.first().map_or(State::Pass, |(state, _)| *state);
    Verdict { state, reasons: findings.into_iter().map(|(_, reason)| reason).collect() }
}

/// One look at a candidate.
struct Look<'a> {
    gathered: &'a Gathered,
    policy: &'a Policy,
    now: Duration,
    seen: &'a Circumstances<'a>,
}

impl Look<'_> {
    fn of_level(&self, level: Level) -> impl Iterator<Item = &LimitEvidence> {
        self.gathered.levels.iter().filter(move |limit| limit.level == level)
    }

    /// The finding of a level that is broken.
    fn by_mode(&self, limit: &LimitEvidence) -> Option<Finding> {
        let (policy, figures) = (self.policy, &self.seen.figures);
        let (reason, since) = match policy.mode {
            Mode::Evidence if !limit.evidence.exceeded() => return None,
            Mode::Evidence => (reasons::broken(limit, self.now), limit.evidence.since()),
            Mode::Window if !is_over(policy, limit.bound, figures) => return None,
            Mode::Window => {
                let since = self.now.saturating_sub(policy.window).max(self.gathered.began);
                (reasons::in_window(limit, figures), since)
            }
        };
        if limit.level == Level::Warning {
            return Some((State::Hold, reason));
        }
        if limit.is_shared_outage() && policy.on_shared_outage != Reaction::Abort {
            return Some((State::Hold, reasons::shared_outage(limit, reason)));
        }
        Some(self.blame(limit.bound, since, reason))
    }

    /// The finding of a limit that is kept while the candidate is worse than stable.
    fn worse(&self, limit: &LimitEvidence) -> Option<Finding> {
        let relative = limit.beside.as_ref().map(|beside| &beside.relative)?;
        let reaction = self.policy.relative.of(limit.bound.kind());
        if reaction == Reaction::Off || !relative.exceeded() {
            return None;
        }
        let reason = reasons::worse(self.policy, limit, relative, self.now);
        match reaction {
            Reaction::Abort => Some(self.blame(limit.bound, relative.since(), reason)),
            _ => Some((State::Hold, Reason { level: Level::Warning, ..reason })),
        }
    }

    /// The finding of a kind that no limit asks about, and that the candidate has more of than stable.
    fn compared(&self, comparison: &KindComparison) -> Option<Finding> {
        let (relative, reaction) = (&comparison.relative, self.policy.relative.of(comparison.kind));
        let is_beside = relative.exceeded();
        let alone = comparison.past.broken().filter(|_| !is_beside);
        let (since, reason) = match alone {
            _ if reaction == Reaction::Off => return None,
            Some(evidence) => (evidence.since(), reasons::more_than_before(comparison, evidence, self.now)),
            None if is_beside => {
                (relative.since(), reasons::more_than_stable(self.policy, comparison, self.now))
            }
            None => return None,
        };
        if let Some(met) = comparison.met() {
            let (clients, all) = (self.clients(met, since), self.everybody(since));
            let needed = self.policy.clients_needed(clients);
            if clients.get() < needed {
                // Where others are well served, it is those few clients' own doing.
                let what = reasons::events(comparison.kind);
                return (all.get() < needed)
                    .then(|| (State::Hold, reasons::few_clients(needed, clients.get(), what, reason)));
            }
        }
        match reaction {
            Reaction::Abort if is_beside => Some((State::Fail, Reason { level: Level::Critical, ..reason })),
            _ => Some((State::Hold, reason)),
        }
    }

    /// The groups of requests that broke a level of their own.
    fn groups(&self) -> Vec<Finding> {
        let Some(groups) = &self.gathered.groups else { return Vec::new() };
        let broken = groups.broken().into_iter().take(MOST_GROUPS);
        broken
            .map(|(group, limit)| {
                let reason = reasons::of_group(&group.name, limit, self.now);
                self.blame(limit.bound, limit.evidence.since(), reason)
            })
            .collect()
    }

    /// A fail, unless its events come from too few clients.
    fn blame(&self, bound: KindBound, since: Duration, reason: Reason) -> Finding {
        let met = match bound {
            KindBound::Errors { .. } => Met::Failures,
            KindBound::Abandoned { .. } => Met::Abandoned,
            KindBound::Slow { slot, .. } => Met::Slow(slot),
            KindBound::Long { slot, .. } => Met::Long(slot),
            // Of copies, which no client waits for.
            KindBound::Differences { .. } => return (State::Fail, reason),
        };
        let (needed, clients) = match bound.kind().is_of_clients() {
            true => {
                let clients = self.clients(met, since);
                (self.policy.clients_needed(clients), clients)
            }
            false if self.policy.min_clients <= 1 => return (State::Fail, reason),
            false => (self.policy.min_clients, self.clients(met, since)),
        };
        if needed > 1 && clients.get() < needed {
            let what = reasons::events(bound.kind());
            return (State::Hold, reasons::few_clients(needed, clients.get(), what, reason));
        }
        (State::Fail, reason)
    }

    fn clients(&self, met: Met, since: Duration) -> ClientCount {
        let witnesses = self.seen.witnesses;
        witnesses.map(|who| who.clients(met, since.saturating_sub(SLACK))).unwrap_or_default()
    }

    /// The clients that the candidate has answered lately.
    fn everybody(&self, since: Duration) -> ClientCount {
        let answered = self.clients(Met::HeadsOver(0), since);
        if answered.get() < LEAST_CLIENTS {
            answered.or(self.clients(Met::EndsOver(0), since))
        } else {
            answered
        }
    }
}

/// The plain rule. It is offered for those who want it; checked often, it reverts healthy versions.
fn is_over(policy: &Policy, bound: KindBound, figures: &Figures) -> bool {
    if let KindBound::Differences { share } = bound {
        return figures.compared >= policy.min_sample
            && figures.differing as f64 > share * figures.compared as f64;
    }
    let broken = match bound {
        KindBound::Errors { share } => figures.error_rate > share,
        // The plain rule has no figures of these.
        KindBound::Abandoned { .. } | KindBound::Long { .. } | KindBound::Differences { .. } => false,
        KindBound::Slow { quantile, time, .. } => {
            figures.latency_ms.quantile(quantile) > time.as_secs_f64() * 1000.0
        }
    };
    broken && figures.requests >= policy.min_sample
}
