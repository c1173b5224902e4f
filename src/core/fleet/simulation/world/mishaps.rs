//! What happens to connections, and to the store itself.

use super::network::Happening;
use super::{Node, World, undone};
use crate::core::fleet::documents::{FleetRoster, ServiceDocument};
use crate::core::fleet::simulation::{Fault, SERVICE};

impl World {
    /// The connection of a process breaks, or its watch falls too far behind.
    pub(crate) fn disturb(&mut self, node: usize) -> Result<(), Fault> {
        let is_compacted = self.chance(0.5);
        let Some(running) = &mut self.nodes[node].process else { return Ok(()) };
        let mut out = Vec::new();
        if is_compacted && running.connection > 0 {
            // What it has not heard is gone.
            let serial = running.serial;
            self.queue.retain(|_, happening| {
                !matches!(happening, Happening::Heard { node: of, process, .. } if *of == node && *process == serial)
            });
            self.met.compacted += 1;
            out = running.member.compacted();
        } else {
            running.connection = 0;
            running.member.lost();
        }
        self.carry_out(node, out)
    }

    /// The store goes back to a backup, or to nothing; all its connections break.
    pub(crate) fn restore(&mut self) {
        let (wiped, raised) = (self.chance(0.5), self.chance(0.3));
        self.put_store_back(wiped, raised);
    }

    pub(crate) fn put_store_back(&mut self, wiped: bool, raised: bool) {
        let kept: Vec<ServiceDocument> = self.nodes.iter().filter_map(|of| of.disk.0.clone()).collect();
        let of = |kept: &ServiceDocument| {
            let last = kept.state.rollout.as_ref().map(|last| last.id.as_str()).unwrap_or_default();
            [kept.state.weights.clone(), undone(&kept.state, last).weights]
        };
        let mut allowed: Vec<_> = kept.iter().flat_map(of).collect();
        self.store.restore(wiped, raised, self.now);
        // A member that was behind goes on with what the backup has.
        let stored = self.store.value(&self.keys.service(SERVICE));
        let stored = stored.and_then(|stored| serde_json::from_str(&stored.value).ok());
        allowed.extend(stored.iter().flat_map(of));
        self.met.restored += 1;
        self.queue.retain(|_, happening| {
            !matches!(happening, Happening::Asks { .. } | Happening::Heard { .. } | Happening::Answers { .. })
        });
        for of in &mut self.nodes {
            if let Some(running) = &mut of.process {
                running.connection = 0;
                running.member.lost();
            }
        }
        self.ledger.forget_lost(&self.store);
        self.forget_unknown();
        self.restored = Some(allowed);
        self.tell_of("restored", &(wiped, raised));
    }

    /// Aborts that neither the store knows, nor a member that it has in its list: nobody can wait for those. A member whose
    /// name is another machine's as well may have lost it to that one.
    pub(super) fn forget_unknown(&mut self) {
        let (store, keys, nodes) = (&self.store, &self.keys, &self.nodes);
        let roster = store.value(&keys.members()).map(|entry| serde_json::from_str(&entry.value));
        let roster: FleetRoster = roster.and_then(Result::ok).unwrap_or_default();
        let is_alone = |name: &String| nodes.iter().filter(|of| of.name == *name).count() == 1;
        let knows = |of: &Node, rollout: &String| {
            let (kept, marks) = &of.disk;
            let shown = kept.as_ref().and_then(|kept| kept.undone.as_ref());
            shown == Some(rollout) || marks.contains_key(rollout)
        };
        let is_waited_for = |of: &Node| is_alone(&of.name) && roster.members.contains_key(&of.name);
        self.ledger.aborted.retain(|rollout| {
            let is_stored =
                store.value(&keys.abort(rollout)).is_some() || store.value(&keys.permit(rollout)).is_none();
            is_stored || nodes.iter().any(|of| is_waited_for(of) && knows(of, rollout))
        });
    }

    /// The store revokes the lease of a member that has renewed it.
    pub(crate) fn revoke(&mut self, node: usize) {
        let (key, ends) = (self.keys.alive(&self.nodes[node].name), self.chance(0.5));
        let events = self.store.revoke(&key, ends);
        self.tell(events);
    }
}
