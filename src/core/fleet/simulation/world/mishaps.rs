//! What happens to connections, and to the store itself.

use super::network::Happening;
use super::{World, undone};
use crate::core::fleet::documents::ServiceDocument;
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
        let wiped = self.chance(0.5);
        let kept: Vec<ServiceDocument> = self.nodes.iter().filter_map(|of| of.disk.0.clone()).collect();
        let of = |kept: &ServiceDocument| {
            let last = kept.state.rollout.as_ref().map(|last| last.id.as_str()).unwrap_or_default();
            [kept.state.weights.clone(), undone(&kept.state, last).weights]
        };
        let mut allowed: Vec<_> = kept.iter().flat_map(of).collect();
        self.store.restore(wiped, self.now);
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
        self.restored = Some(allowed);
        self.tell_of("restored", &wiped);
    }
}
