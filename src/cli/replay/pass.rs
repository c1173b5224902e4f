//! One pass over the logs: every attempt of the service goes to all replays, in the order it became known.

use super::super::client::Failure;
use super::asked::Replay as Asked;
use super::judged::{GroupNames, Judged, judge};
use super::logs::{Logs, Tale};
use super::roles::Roles;
use super::said::{Said, Tried};
use crate::core::client::ClientKey;
use crate::core::failure_statuses::FailureStatuses;
use crate::core::outcome::{Outcome, Thresholds};
use crate::core::policy::{Mode, Policy};
use crate::core::replay::attempt::{Mark, ReplayAttempt, ReplayRole, past};
use crate::core::replay::order::{Fact, ReplayOrder};
use crate::core::replay::stretch::ReplayStretch;
use crate::core::replay::trade::{Outcomes, Resampled};
use crate::core::replay::{Replay, Setting};
use jiff::Timestamp;
use std::sync::Arc;
use std::time::Duration;

/// The log's clock begins so long before its first request: others may have begun earlier.
const LEAD_US: i64 = 3_600_000_000;
/// Runs of each variant over resampled traffic of stable.
const RUNS: u32 = 200;
/// Longer than any log.
const NEVER: Duration = Duration::from_secs(u32::MAX as u64);

/// What came of it.
#[derive(Debug)]
pub(super) struct Found {
    pub tale: Tale,
    /// Outcomes that came later in the log than their place in time.
    pub late: u64,
    pub calendar: Calendar,
    pub stretches: Vec<ReplayStretch>,
    pub variants: Vec<VariantFound>,
    /// Outcomes of stable that variants were tried on, and those left out.
    pub outcomes: (usize, u64),
}

/// One variant of `--what-if`.
#[derive(Debug)]
pub(super) struct VariantFound {
    pub name: String,
    pub stretches: Vec<ReplayStretch>,
    /// How often it aborts stable's own traffic, as it was and resampled; absent where there is none.
    pub stable_aborts: Option<u64>,
    pub resampled: Option<Resampled>,
}

/// From the log's clock to the wall clock.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Calendar {
    base_us: Option<i64>,
}

struct Pass<'a> {
    roles: &'a Roles,
    thresholds: Thresholds,
    failures: FailureStatuses,
    names: GroupNames,
    calendar: Calendar,
    order: ReplayOrder,
    main: Replay,
    variants: Vec<Variant>,
    outcomes: Outcomes,
}

struct Variant {
    name: String,
    policy: Arc<Policy>,
    replay: Replay,
    /// Stable in the candidate's place.
    mirror: Replay,
}

impl Calendar {
    pub(super) fn at(&self, time: Duration) -> Timestamp {
        let us = self.base_us.unwrap_or(0).saturating_add(time.as_micros() as i64);
        Timestamp::from_microsecond(us).unwrap_or_default()
    }

    fn of(&mut self, us: i64) -> u64 {
        let base = *self.base_us.get_or_insert(us.saturating_sub(LEAD_US));
        us.saturating_sub(base).max(0) as u64
    }
}

pub(super) fn run(
    asked: &Asked,
    logs: &Logs,
    roles: &Roles,
    policy: Arc<Policy>,
    variants: Vec<(String, Arc<Policy>)>,
) -> Result<Found, Failure> {
    let compared = roles.stable.is_some();
    let setting = Setting { subject: ReplayRole::Candidate, compared, gap: asked.gap, again: false };
    let mirrored = Setting { subject: ReplayRole::Stable, compared: false, gap: NEVER, again: true };
    let thresholds = policy.thresholds(compared);
    let variant = |(name, policy): (String, Arc<Policy>)| Variant {
        name,
        replay: Replay::new(policy.clone(), setting),
        mirror: Replay::new(policy.clone(), mirrored),
        policy,
    };
    let mut pass = Pass {
        roles,
        thresholds,
        failures: policy.failures,
        names: GroupNames::default(),
        calendar: Calendar::default(),
        order: ReplayOrder::new(thresholds.slow),
        main: Replay::new(policy, setting),
        variants: variants.into_iter().map(variant).collect(),
        outcomes: Outcomes::default(),
    };
    let tale = logs.each(|line, said| pass.take(line, &said))?;
    while let Some(fact) = pass.order.release() {
        pass.feed(&fact);
    }
    Ok(pass.finish(tale, asked.seed))
}

impl Pass<'_> {
    fn take(&mut self, line: u64, said: &Said<'_>) {
        if !self.roles.has(&said.service) {
            return;
        }
        let started_us = self.calendar.of(said.started_us);
        let ended_us = self.calendar.of(said.ended_us);
        let group = if said.tried.is_empty() { None } else { self.names.group(said) };
        for (index, tried) in said.tried.iter().enumerate() {
            let pool = Roles::named(&tried.pool);
            let role = match pool {
                pool if pool == self.roles.candidate => ReplayRole::Candidate,
                pool if Some(pool) == self.roles.stable.as_deref() => ReplayRole::Stable,
                _ => continue,
            };
            let is_last = index + 1 == said.tried.len();
            let attempt = self.attempt(role, started_us, tried, line, said, is_last);
            let attempt = ReplayAttempt { group: group.clone(), ..attempt };
            self.order.push(attempt, ended_us);
        }
        while let Some(fact) = self.order.due() {
            self.feed(&fact);
        }
    }

    fn attempt(
        &self,
        role: ReplayRole,
        started_us: u64,
        tried: &Tried<'_>,
        line: u64,
        said: &Said<'_>,
        is_last: bool,
    ) -> ReplayAttempt {
        let started_us = started_us + tried.began_us;
        let Judged { outcome, broke_us, end } = judge(tried, said, is_last, &self.failures);
        let failed = matches!(outcome, Outcome::Failure(_));
        let is_long = end.is_some_and(|end| past(&self.thresholds.long, end.took_us) != 0);
        let is_bad = failed || is_long || outcome == Outcome::Abandoned;
        let is_told = is_bad || past(&self.thresholds.slow, tried.took_us) != 0;
        let request = (is_told && !said.request.is_empty()).then(|| Box::from(&*said.request));
        ReplayAttempt {
            end,
            group: None,
            role,
            started_us,
            known_us: started_us + tried.took_us,
            broke_us: broke_us.map(|us| started_us + us),
            outcome,
            code: tried.code,
            client: said.client.parse().ok().map(ClientKey::of),
            mark: Mark { line, request },
            seen_failed: is_last.then_some(said.failed || failed),
        }
    }

    fn feed(&mut self, fact: &Fact) {
        self.main.feed(fact);
        for variant in &mut self.variants {
            variant.replay.feed(fact);
            variant.mirror.feed(fact);
        }
        if !self.variants.is_empty() && fact.attempt.role == ReplayRole::Stable {
            self.outcomes.keep(fact, &self.thresholds);
        }
    }

    fn finish(self, tale: Tale, seed: u64) -> Found {
        let outcomes = &self.outcomes;
        let tried = |variant: Variant| {
            let is_tried = !outcomes.is_empty();
            let by_evidence = variant.policy.mode == Mode::Evidence;
            VariantFound {
                name: variant.name,
                stable_aborts: is_tried.then(|| variant.mirror.aborts()),
                resampled: if by_evidence { outcomes.resample(&variant.policy, seed, RUNS) } else { None },
                stretches: variant.replay.finish(),
            }
        };
        Found {
            tale,
            late: self.order.late(),
            calendar: self.calendar,
            variants: self.variants.into_iter().map(tried).collect(),
            outcomes: (outcomes.len(), outcomes.left_out()),
            stretches: self.main.finish(),
        }
    }
}
