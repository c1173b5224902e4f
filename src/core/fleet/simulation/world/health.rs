//! What holds of every process at any time, and of all once they are well.

use super::{Node, World};
use crate::core::fleet::documents::Stand;
use crate::core::fleet::member::FleetMember;
use crate::core::fleet::simulation::{Fault, SERVICE};
use crate::core::service::ServiceState;
use crate::core::weight::BasisPoints;
use std::collections::BTreeSet;

impl World {
    /// A table changes.
    pub(super) fn publish(&mut self, node: usize) -> Result<(), Fault> {
        let Some(running) = &mut self.nodes[node].process else { return Ok(()) };
        let weights = running.member.state(SERVICE).map(|state| state.weights.clone());
        let before = std::mem::replace(&mut running.weights, weights.clone());
        let content = running.member.kept(SERVICE).and_then(|(kept, _)| Some(kept.as_ref()?.content()));
        let is_back = self.restored.is_some() && content < running.content;
        running.content = content;
        if is_back {
            return Err(Fault("a store that was put back has taken a change away"));
        }
        if self.is_told {
            let of = &self.nodes[node];
            println!("{:>7} {} publishes {weights:?} at {content:?}", self.now, of.name);
        }
        // A process that begins holds candidates back until it has heard the store.
        let Some(running) = &self.nodes[node].process else { return Ok(()) };
        let has_served = before.is_some() && running.born + 1 < self.now && running.connection > 0;
        if let Some(allowed) = self.restored.as_ref().filter(|_| has_served && before != weights)
            && weights.as_ref().is_none_or(|weights| !allowed.contains(weights))
        {
            return Err(Fault("a store that was put back has moved weights"));
        }
        Ok(())
    }

    /// What holds of every process at any time.
    pub(crate) fn check(&self) -> Result<(), Fault> {
        for of in &self.nodes {
            let Some(running) = &of.process else { continue };
            let (Some(state), Some((kept, marks))) =
                (running.member.state(SERVICE), running.member.kept(SERVICE))
            else {
                continue;
            };
            let Some(last) = &state.rollout else { continue };
            let undone = kept.as_ref().and_then(|kept| kept.undone.as_ref());
            let is_aborted = marks.contains_key(&last.id) && undone != Some(&last.id);
            if is_aborted && state.weights.get(&last.to).is_some_and(|weight| *weight > BasisPoints::ZERO) {
                return Err(Fault("an aborted candidate has traffic"));
            }
        }
        Ok(())
    }

    /// All are up and connected, and nobody does anything: all must have the same state.
    pub(crate) fn heal(&mut self) -> Result<(), Fault> {
        self.store.is_full = false;
        let machines = self.nodes.iter().filter(|of| !of.is_twin).count();
        for node in machines..self.nodes.len() {
            self.stop_process(node);
        }
        for node in 0..machines {
            (self.nodes[node].cut, self.nodes[node].paused_until) = (false, 0);
            if self.nodes[node].process.is_none() {
                self.boot(node);
            }
        }
        let mut fault = None;
        // What is lost on the way holds them up, at most for some rounds.
        for _ in 0..120 {
            for _ in 0..8 {
                self.pass(250)?;
                for node in 0..machines {
                    // One whose name another had taken has refused to go on.
                    if self.nodes[node].process.is_none() {
                        self.boot(node);
                    }
                    self.tick(node)?;
                }
                self.check()?;
            }
            fault = self.out_of_step(&self.nodes[..machines]);
            if fault.is_none() {
                return Ok(());
            }
        }
        fault.map_or(Ok(()), Err)
    }

    /// Whether they are not the same, none or two lead, or an abort is not written.
    fn out_of_step(&self, machines: &[Node]) -> Option<Fault> {
        let members = || machines.iter().filter_map(|of| of.process.as_ref().map(|running| &running.member));
        let stands: BTreeSet<Option<Stand>> = members().map(|member| member.stand(SERVICE)).collect();
        let states: Vec<Option<&ServiceState>> = members().map(|member| member.state(SERVICE)).collect();
        if stands.len() > 1 || states.windows(2).any(|pair| pair[0] != pair[1]) {
            return Some(Fault("they are not in step after all is well"));
        }
        if members().filter_map(FleetMember::leads).count() != 1 {
            return Some(Fault("not one leads after all is well"));
        }
        let is_open = machines.iter().any(|of| !of.disk.1.is_empty());
        is_open.then_some(Fault("an abort is not written after all is well"))
    }
}
