//! What all members count of a candidate, for one verdict: each pushes, and the leader asks and judges.

use super::{Finished, FleetTask};
use crate::control::fleet::{FleetNews, FleetTally};
use crate::core::fleet::documents::{EvidenceDocument, FORMAT, LookDocument, read, text};
use crate::core::fleet::evidence::{
    EvidencePush, EvidencePusher, MemberReport, PooledClients, PooledEvidence, PushStamp, RoundStep, merged,
};
use crate::core::fleet::store::StoreRevision;
use crate::core::policy::{Circumstances, Policy, Witnesses};
use crate::core::rollout::Observation;
use crate::fleet::etcd::KeyScope;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// The rollouts that run, by service.
#[derive(Debug, Default)]
pub(super) struct Gatherings(BTreeMap<Arc<str>, Gathering>);

/// The evidence about one rollout, at this member.
#[derive(Debug)]
struct Gathering {
    rollout: String,
    pusher: EvidencePusher,
    /// What the controller counts for now.
    counting: Option<PushStamp>,
    /// Which versions this member counts, and the policy that they are held against.
    own: Option<(u64, Policy)>,
    lead: Option<Lead>,
}

/// The same, where this process leads.
#[derive(Debug)]
struct Lead {
    own: (u64, Policy),
    evidence: PooledEvidence,
    /// The pushes that were taken in.
    taken: BTreeMap<String, StoreRevision>,
    reports: BTreeMap<String, MemberReport>,
    /// When they were heard.
    heard_at: BTreeMap<String, Duration>,
}

impl Gatherings {
    pub(super) fn rang(&mut self, service: &str) {
        self.0.get_mut(service).into_iter().for_each(|of| of.pusher.ring());
    }

    pub(super) fn pushed(&mut self, service: &str, is_stored: bool, now: Duration) {
        self.0.get_mut(service).into_iter().for_each(|of| of.pusher.pushed(is_stored, now));
    }

    /// The lease has ended, and all pushes with it.
    pub(super) fn lost(&mut self) {
        self.0.values_mut().for_each(|of| of.pusher.lost());
    }

    /// How long nothing is to be done, if nothing is heard.
    pub(super) fn pause(&self, now: Duration, most: Duration) -> Duration {
        let due = self.0.values().filter_map(|of| Some(of.lead.as_ref()?.evidence.due_at()));
        due.map(|at| at.saturating_sub(now)).min().map_or(most, |pause| pause.min(most))
    }
}

impl FleetTask {
    /// After each input: asks, pushes and judges what is due.
    pub(super) fn gather(&mut self) {
        let running: BTreeMap<Arc<str>, String> = {
            let id = |service: &str| Some(self.member.state(service)?.running()?.id.clone());
            self.member.services().filter_map(|name| Some((Arc::from(name), id(name)?))).collect()
        };
        let mut over = Vec::new();
        self.gatherings.0.retain(|service, of| {
            let is_its = running.get(service) == Some(&of.rollout);
            over.extend((!is_its).then(|| of.rollout.clone()));
            is_its
        });
        over.iter().for_each(|rollout| self.put_away(rollout));
        for (service, rollout) in running {
            let begun = || Gathering::of(rollout);
            let mut of = self.gatherings.0.remove(&service).unwrap_or_else(begun);
            self.push_if_due(&service, &mut of);
            self.judge_if_due(&service, &mut of);
            self.gatherings.0.insert(service, of);
        }
    }

    /// Deletes what was pushed about a rollout that has ended.
    fn put_away(&mut self, rollout: &str) {
        let keys = &self.member.view().keys;
        let mut over = vec![keys.evidence(rollout, self.member.name())];
        if self.member.leads().is_some() {
            over.push(keys.look(rollout));
        }
        let Some(session) = &self.session else { return };
        let etcd = session.store().etcd().clone();
        self.calls.spawn(async move {
            for key in over {
                // What stays goes with the lease.
                drop(etcd.delete(&KeyScope::key(key.into_bytes())).await);
            }
            Finished::PutAway
        });
    }

    fn push_if_due(&mut self, service: &Arc<str>, of: &mut Gathering) {
        let view = self.member.view();
        let key = view.keys.look(&of.rollout);
        let look = view.entry(&key).and_then(|entry| read::<LookDocument>(&key, &entry.value).ok());
        if let Some(look) = look {
            of.pusher.asked(look.round);
        }
        if !self.member.has_joined() || self.tenure.lease.is_none() {
            return;
        }
        if let Some(stamp) = of.pusher.next(self.clock.now()) {
            of.counting = Some(stamp);
            self.tell(FleetNews::Count(service.clone()));
        }
    }

    /// The controller has counted.
    pub(super) fn counted(&mut self, service: &Arc<str>, counted: Option<(FleetTally, MemberReport)>) {
        let now = self.clock.now();
        let Some(of) = self.gatherings.0.get_mut(service) else { return };
        let Some(stamp) = of.counting.take() else { return };
        let counted = counted.filter(|(tally, _)| tally.rollout == of.rollout);
        let (Some((tally, report)), Some(lease), Some(session)) = (counted, self.tenure.lease, &self.session)
        else {
            return of.pusher.pushed(false, now);
        };
        let FleetTally { era, policy, counts, past, .. } = tally;
        of.own = Some((era, policy));
        let incarnation = self.member.incarnation();
        let document = EvidenceDocument { format: FORMAT, incarnation, era, stamp, counts, past, report };
        let key = self.member.view().keys.evidence(&of.rollout, self.member.name());
        let (etcd, service) = (session.store().etcd().clone(), service.clone());
        self.calls.spawn(async move {
            let put = etcd.put(key.into_bytes(), text(&document).into_bytes(), lease).await;
            Finished::Pushed(service, put.is_ok())
        });
    }

    /// As the leader: takes in what members have pushed, and asks or judges where that is due.
    fn judge_if_due(&mut self, service: &Arc<str>, of: &mut Gathering) {
        if self.member.leads().is_none() {
            of.lead = None;
            return;
        }
        let Some(own) = &of.own else { return };
        let view = self.member.view();
        let key = view.keys.look(&of.rollout);
        let last = view.entry(&key).and_then(|entry| read::<LookDocument>(&key, &entry.value).ok());
        if of.lead.as_ref().is_none_or(|lead| lead.own != *own) {
            of.lead = Some(Lead::new(own.clone(), last.map_or(0, |look| look.round)));
        }
        let Some(lead) = &mut of.lead else { return };
        let (live, now) = (self.live(), self.clock.now());
        for name in &live {
            let key = view.keys.evidence(&of.rollout, name);
            let Some(entry) = view.entry(&key) else { continue };
            if lead.taken.insert(name.clone(), entry.modified) != Some(entry.modified)
                && let Ok(document) = read::<EvidenceDocument>(&key, &entry.value)
            {
                lead.take(name, document, now);
            }
        }
        while let Some(step) = lead.evidence.step(&live, now) {
            match step {
                RoundStep::Ask(round) => self.ask(&of.rollout, round),
                RoundStep::Judge { .. } => {
                    if let Some(observation) = lead.observation(&live, now) {
                        let (service, rollout) = (service.clone(), of.rollout.clone());
                        self.tell(FleetNews::Observed {
                            service,
                            rollout,
                            observation: Box::new(observation),
                        });
                    }
                }
            }
        }
    }

    /// The members that are there.
    fn live(&self) -> BTreeSet<String> {
        let view = self.member.view();
        let (roster, _) = view.roster().unwrap_or_default();
        let is_there = |name: &String| matches!(view.alive(name), Ok(Some(_)));
        roster.members.into_keys().filter(is_there).collect()
    }

    /// Begins a round.
    fn ask(&mut self, rollout: &str, round: u64) {
        let Some(session) = &self.session else { return };
        let key = self.member.view().keys.look(rollout);
        let (etcd, look) = (session.store().etcd().clone(), LookDocument { format: FORMAT, round });
        self.calls.spawn(async move {
            // A round that nobody hears of is judged without them, and the next one follows.
            drop(etcd.put(key.into_bytes(), text(&look).into_bytes(), 0).await);
            Finished::PutAway
        });
    }
}

impl Gathering {
    fn of(rollout: String) -> Self {
        Gathering { rollout, pusher: EvidencePusher::default(), counting: None, own: None, lead: None }
    }
}

impl Lead {
    fn new(own: (u64, Policy), round: u64) -> Self {
        let evidence = PooledEvidence::new(&own.1, own.0, round);
        Lead { own, evidence, taken: BTreeMap::new(), reports: BTreeMap::new(), heard_at: BTreeMap::new() }
    }

    fn take(&mut self, name: &str, document: EvidenceDocument, now: Duration) {
        let EvidenceDocument { incarnation, era, stamp, counts, past, report, .. } = document;
        self.reports.insert(name.to_owned(), report);
        self.heard_at.insert(name.to_owned(), now);
        self.evidence.push(name, EvidencePush { incarnation, era, stamp, counts, past });
    }

    /// What all that are there see together, once each of them has pushed.
    fn observation(&mut self, live: &BTreeSet<String>, now: Duration) -> Option<Observation> {
        self.reports.retain(|name, _| live.contains(name));
        let heard_at = |name| self.heard_at.get(name).copied().unwrap_or(now);
        let clients =
            PooledClients::of(self.reports.iter().map(|(name, report)| (heard_at(name), &report.clients)));
        let witnesses = Some(&clients as &dyn Witnesses);
        let seen = Circumstances { stable_up: true, witnesses, ..Circumstances::default() };
        let verdict = self.evidence.verdict(now, seen);
        let is_gathered = self.evidence.is_gathered();
        is_gathered.then(|| merged(verdict, self.evidence.attempts(), &self.reports))
    }
}
