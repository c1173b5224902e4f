//! What is to be done, of what is so.

use super::{FleetMember, FleetOutput, NAME_TAKEN, Waiting, Wanted};
use crate::core::fleet::documents::{
    DocumentFault, FORMAT, FleetIdentity, RosterEntry, ServiceDocument, Tombstone,
};
use crate::core::fleet::lineage::{Lineage, lineage, lost_abort};
use crate::core::fleet::store::StoreTransaction;
use crate::core::fleet::transactions::Accompanying;
use crate::core::service::{Moment, ServiceState};
use std::time::Duration;

impl FleetMember {
    /// Brings what is in effect in line with what is known, and says what is to be written.
    pub(super) fn settle(&mut self, moment: Moment<'_>) -> Vec<FleetOutput> {
        let mut out = Vec::new();
        let services = self.services.keys().cloned().collect::<Vec<_>>();
        for service in &services {
            self.follow(service, moment, &mut out);
        }
        if self.heard.is_none() || self.is_foreign(&mut out) {
            return out;
        }
        self.join(moment, &mut out);
        if !self.has_joined {
            return out;
        }
        for service in &services {
            self.write_document(service, moment, &mut out);
        }
        self.report(&mut out);
        self.lead(&mut out);
        self.forget(moment, &mut out);
        out
    }

    /// Follows the store's document, and puts what follows from it into effect.
    fn follow(&mut self, service: &str, moment: Moment<'_>, out: &mut Vec<FleetOutput>) {
        let found = if self.heard.is_some() { self.view.service(service) } else { Ok(None) };
        let found = found.map(|held| held.map(|held| held.document.clone()));
        let Some(of) = self.services.get_mut(service) else { return };
        match &found {
            Ok(Some(document))
                if of.kept.as_ref() != Some(document)
                    && lineage(of.kept.as_ref(), Some(document)) == Lineage::Follow =>
            {
                if let Some(rollout) = lost_abort(of.kept.as_ref(), document) {
                    of.marks.insert(rollout.clone(), lost_tombstone(service, &self.me.name, moment));
                }
                of.kept = Some(document.clone());
                out.push(FleetOutput::Keep(service.to_owned()));
            }
            Err(fault) if of.fault.as_ref() != Some(&fault.to_string()) => {
                of.fault = Some(fault.to_string());
                out.push(FleetOutput::Say(fault.to_string()));
            }
            _ => {}
        }
        self.mark(service, out);
        let state = self.in_effect(service, moment);
        let Some(of) = self.services.get_mut(service) else { return };
        if of.state != state {
            of.state = state;
            out.push(FleetOutput::Publish(service.to_owned()));
        }
    }

    /// Whatever says that the last rollout was aborted becomes a mark of our own: a store that loses it does not give the
    /// candidate its traffic back. A mark that the document shows is of no use any more.
    fn mark(&mut self, service: &str, out: &mut Vec<FleetOutput>) {
        let found = self.undone(service);
        let Some(of) = self.services.get_mut(service) else { return };
        let Some(kept) = &of.kept else { return };
        let before = of.marks.len();
        let last = kept.state.rollout.as_ref().map(|last| &last.id);
        let is_open = |rollout: &String| Some(rollout) == last && kept.undone.as_ref() != Some(rollout);
        of.marks.retain(|rollout, _| is_open(rollout));
        let has_gone = of.marks.len() != before;
        let is_new = found.is_some_and(|(rollout, tombstone)| match of.marks.contains_key(&rollout) {
            true => false,
            false => of.marks.insert(rollout, tombstone).is_none(),
        });
        if has_gone || is_new {
            out.push(FleetOutput::Keep(service.to_owned()));
        }
    }

    /// What is in effect of a service: its document, with what was aborted.
    fn in_effect(&self, service: &str, moment: Moment<'_>) -> Option<ServiceState> {
        let kept = self.services.get(service)?.kept.as_ref()?;
        let undone = self.undone(service);
        let mut state = match &undone {
            Some((rollout, tombstone)) => shown(kept, rollout, tombstone, moment.now),
            None => kept.state.clone(),
        };
        if !self.has_heard {
            let stable = state.stable.clone();
            state.give_all(&stable);
        }
        Some(state)
    }

    /// Whether the fleet is another one than ours; why is said once.
    fn is_foreign(&mut self, out: &mut Vec<FleetOutput>) -> bool {
        let other = "the fleet has another secret: this instance follows it, and neither leads nor joins";
        let why = match self.view.identity() {
            Ok(identity) => {
                let is_ours = identity.is_none_or(|fleet| fleet.secret == self.me.secret);
                (!is_ours).then(|| other.to_owned())
            }
            Err(fault) => Some(fault.to_string()),
        };
        let is_new = why != self.foreign;
        self.foreign.clone_from(&why);
        let is_foreign = why.is_some();
        out.extend(why.filter(|_| is_new).map(FleetOutput::Say));
        is_foreign
    }

    /// Joins, unless another process of the same name is there.
    fn join(&mut self, moment: Moment<'_>, out: &mut Vec<FleetOutput>) {
        let (Ok(alive), Ok((mut roster, modified))) = (self.view.alive(&self.me.name), self.view.roster())
        else {
            return;
        };
        let alive = alive.cloned();
        let entry = roster.members.get(&self.me.name).cloned();
        let is_own = |process: &str| process == self.me.process;
        let is_listed = entry.as_ref().is_some_and(|entry| is_own(&entry.process));
        let is_there = alive.as_ref().is_some_and(|(alive, _)| is_own(&alive.process));
        if is_there && is_listed {
            (self.has_joined, self.name_taken) = (true, None);
            return;
        }
        let has_joined = std::mem::take(&mut self.has_joined);
        let is_newer = alive.as_ref().is_some_and(|(alive, _)| alive.incarnation > self.me.incarnation);
        let is_former = |process: &String| self.me.takes_over.as_ref() == Some(process);
        if alive.as_ref().is_some_and(|(alive, _)| !is_there && !is_former(&alive.process)) {
            let since = *self.name_taken.get_or_insert(moment.now);
            if is_newer && has_joined || moment.now >= since + NAME_TAKEN {
                let name = &self.me.name;
                let why = format!("another process is the member {name}: give each its own fleet.name");
                out.push(FleetOutput::Refuse(why));
            }
            return;
        }
        if let Some(last) = entry.as_ref().filter(|_| !is_listed) {
            self.me.incarnation.0 = self.me.incarnation.0.max(last.incarnation.0 + 1);
        }
        let joined_at = entry.map_or_else(|| moment.wall.to_owned(), |entry| entry.joined_at);
        let (incarnation, process) = (self.me.incarnation, self.me.process.clone());
        let entry = RosterEntry { incarnation, process, joined_at };
        roster.format = FORMAT;
        roster.members.insert(self.me.name.clone(), entry);
        let document = self.alive();
        let identity = FleetIdentity { format: FORMAT, secret: self.me.secret.clone() };
        let identity = matches!(self.view.identity(), Ok(None)).then_some(identity);
        self.want(Wanted::Join, out, |member| {
            member.transactions.join((&roster, modified), &document, identity.as_ref())
        });
    }

    /// Puts back what the store has lost, and writes what was aborted.
    fn write_document(&mut self, service: &str, moment: Moment<'_>, out: &mut Vec<FleetOutput>) {
        let held = match self.view.service(service) {
            Ok(held) => held.cloned(),
            Err(DocumentFault::Newer { .. } | DocumentFault::Damaged { .. }) => {
                return self.entomb(service, out);
            }
        };
        self.entomb(service, out);
        let Some(kept) = self.services.get(service).and_then(|of| of.kept.clone()) else { return };
        let slot = Wanted::Document(service.to_owned());
        if let Lineage::PutBack(epoch) = lineage(Some(&kept), held.as_ref().map(|held| &held.document)) {
            return self.want(slot, out, |member| {
                member.transactions.put_back(service, held.as_ref(), &kept, epoch)
            });
        }
        let (Some((rollout, tombstone)), Some(held)) = (self.undone(service), held) else { return };
        let next = shown(&held.document, &rollout, &tombstone, moment.now);
        let row = serde_json::json!({
            "event": "aborted", "rollout": rollout, "text": tombstone.why, "by": tombstone.by, "at": tombstone.at,
        });
        // Where it has ended by itself, there is nothing to tell.
        let own = self.rows.get(&rollout).cloned();
        let rows = if next == held.document.state { Vec::new() } else { own.unwrap_or_else(|| vec![row]) };
        let with = Accompanying { rows, ..Accompanying::default() };
        self.want(slot, out, |member| member.transactions.abort(service, &held, next, &rollout, with));
    }

    /// The own marks become tombstones.
    fn entomb(&mut self, service: &str, out: &mut Vec<FleetOutput>) {
        let Some(of) = self.services.get(service) else { return };
        let marks: Vec<_> = of.marks.iter().map(|(id, tombstone)| (id.clone(), tombstone.clone())).collect();
        for (rollout, tombstone) in marks {
            if self.view.tombstone(&rollout).is_some() {
                continue;
            }
            let is_full = self.has_no_space;
            if is_full && !self.view.is_permitted(&rollout) {
                continue;
            }
            self.want(Wanted::Tombstone(rollout.clone()), out, |member| match is_full {
                true => member.transactions.withdraw(&rollout),
                false => member.transactions.tombstone(&rollout, &tombstone),
            });
        }
    }

    /// Says what it shows, once that has changed.
    fn report(&mut self, out: &mut Vec<FleetOutput>) {
        let Ok(Some((stored, _))) = self.view.alive(&self.me.name) else { return };
        let Some(entry) = self.view.entry(&self.view.keys.alive(&self.me.name)) else { return };
        let (document, modified) = (self.alive(), entry.modified);
        if *stored != document {
            self.want(Wanted::Report, out, |member| member.transactions.report(&document, modified));
        }
    }

    fn lead(&mut self, out: &mut Vec<FleetOutput>) {
        if matches!(self.view.leader(), Ok(None)) {
            self.want(Wanted::Lead, out, |member| member.transactions.lead());
        }
    }

    /// Notes who is gone, and forgets who has been for long.
    fn forget(&mut self, moment: Moment<'_>, out: &mut Vec<FleetOutput>) {
        let Ok((roster, Some(modified))) = self.view.roster() else { return };
        let is_gone = |name: &&String| matches!(self.view.alive(name), Ok(None));
        let gone: Vec<String> = roster.members.keys().filter(is_gone).cloned().collect();
        self.gone.retain(|name, _| gone.contains(name));
        for name in &gone {
            self.gone.entry(name.clone()).or_insert_with(|| (moment.now, moment.wall.to_owned()));
        }
        if self.leads().is_none() {
            return;
        }
        let long = self.gone.iter().find(|(_, (since, _))| moment.now >= *since + self.me.forget);
        let Some(name) = long.map(|(name, _)| name.clone()) else { return };
        let mut left = roster;
        left.members.remove(&name);
        self.want(Wanted::Forget, out, |member| member.transactions.forget(&name, &left, modified));
    }

    /// Commits a transaction, unless one about the same is under way.
    fn want(
        &mut self,
        wanted: Wanted,
        out: &mut Vec<FleetOutput>,
        make: impl FnOnce(&mut Self) -> StoreTransaction,
    ) {
        if self.waiting.contains_key(&wanted) {
            return;
        }
        let transaction = make(self);
        self.waiting.insert(wanted, Waiting::Answer(transaction.id.clone()));
        out.push(FleetOutput::Commit(transaction));
    }
}

/// Of an abort that a restored store had lost, with what was written without it.
fn lost_tombstone(service: &str, by: &str, moment: Moment<'_>) -> Tombstone {
    Tombstone {
        service: service.to_owned(),
        by: by.to_owned(),
        why: "it was aborted before the store was restored from a backup".to_owned(),
        at: moment.wall.to_owned(),
    }
}

/// The state of a document with its last rollout undone: what runs is aborted, what was promoted is taken back.
fn shown(document: &ServiceDocument, rollout: &str, tombstone: &Tombstone, now: Duration) -> ServiceState {
    // The same whenever it is made.
    let moment = Moment { now, wall: &tombstone.at };
    let who = format!("{}: {}", tombstone.by, tombstone.why);
    let change = document.state.undone_again(rollout, &who);
    let applied = change.and_then(|change| document.state.apply(change, moment).ok());
    applied.map_or_else(|| document.state.clone(), |applied| applied.state)
}
