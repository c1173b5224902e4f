//! The processes of members: how they begin and end, and what they do with what their member wants.

use super::network::{Happening, Request};
use super::{DEADLINE_MS, Running, World};
use crate::core::fleet::Incarnation;
use crate::core::fleet::ground::Missing;
use crate::core::fleet::member::{FleetMember, FleetOutput, MemberIdentity};
use crate::core::fleet::simulation::{Fault, SERVICE};
use crate::core::service::Moment;
use std::collections::BTreeMap;
use std::time::Duration;

impl World {
    /// Starts a process, with what the disk has.
    pub(crate) fn boot(&mut self, node: usize) {
        self.start_process(node, None);
    }

    /// A new process takes the place of the running one.
    pub(crate) fn upgrade(&mut self, node: usize) {
        let former = self.nodes[node].process.as_ref().map(|running| running.serial.to_string());
        if former.is_some() {
            self.stop_process(node);
            self.start_process(node, former);
        }
    }

    /// A member goes for good; it may come back as a new one.
    pub(crate) fn leave(&mut self, node: usize) {
        let Some(running) = &mut self.nodes[node].process else { return };
        let (resign, leave) = (running.member.resign(), running.member.leave());
        for transaction in resign.into_iter().chain(leave) {
            self.ask(node, Request::Commit(Box::new(transaction)));
        }
        self.stop_process(node);
    }

    /// The leader gives its lead up; it has no answer, and says so once more.
    pub(crate) fn resign(&mut self, node: usize) {
        let Some(running) = &mut self.nodes[node].process else { return };
        let Some(transaction) = running.member.resign() else { return };
        let (process, connection, lease) = (running.serial, running.connection, running.lease);
        let request = Request::Commit(Box::new(transaction.clone()));
        self.later(DEADLINE_MS, Happening::Asks { node, process, connection, lease, request });
        self.ask(node, Request::Commit(Box::new(transaction)));
    }

    pub(super) fn stop_process(&mut self, node: usize) {
        if let Some(running) = self.nodes[node].process.take() {
            self.ledger.live.remove(&running.serial.to_string());
        }
    }

    pub(super) fn start_process(&mut self, node: usize, takes_over: Option<String>) {
        self.serial += 1;
        self.ledger.live.insert(self.serial.to_string());
        let of = &mut self.nodes[node];
        of.incarnation += 1;
        let me = MemberIdentity {
            name: of.name.clone(),
            process: self.serial.to_string(),
            incarnation: Incarnation(of.incarnation),
            version: "0.1.0".into(),
            config: "same".into(),
            secret: "same".into(),
            missing: Missing::Hold,
            forget: Duration::from_secs(7),
            takes_over,
        };
        let kept = BTreeMap::from([(SERVICE.to_owned(), of.disk.clone())]);
        let member = FleetMember::new(me, self.keys.clone(), kept);
        of.process = Some(Running {
            serial: self.serial,
            born: self.now,
            member,
            lease: self.serial << 20,
            connection: 0,
            watch: 0,
            is_watching: false,
            watch_at: 0,
            working: None,
            asked: None,
            weights: None,
            reads_until: None,
            content: None,
        });
        self.tick(node).expect("nothing has happened");
    }

    pub(crate) fn kill(&mut self, node: usize) {
        self.stop_process(node);
        self.met.crashes += 1;
    }

    /// The clock of a process: it connects, keeps its lease alive, and looks at its candidate.
    pub(crate) fn tick(&mut self, node: usize) -> Result<(), Fault> {
        let (now, wall) = self.moment(node);
        let (is_cut, is_paused) = (self.nodes[node].cut, self.nodes[node].paused_until > self.now);
        let Some(running) = &mut self.nodes[node].process else { return Ok(()) };
        if is_paused {
            return Ok(());
        }
        let mut out = Vec::new();
        if is_cut && running.connection > 0 {
            running.connection = 0;
            running.asked = None;
            running.member.lost();
        } else if running.reads_until.is_some_and(|until| until < self.now) {
            running.connection = 0;
            running.member.lost();
        }
        running.reads_until = running.reads_until.filter(|_| running.connection > 0);
        if !is_cut && running.connection == 0 {
            self.serial += 1;
            running.connection = self.serial;
            out.extend(running.member.connected());
        }
        out.extend(running.member.tick(Moment { now, wall: &wall }));
        self.carry_out(node, out)?;
        if !is_cut {
            self.ask(node, Request::KeepAlive);
        }
        Ok(())
    }

    pub(super) fn carry_out(&mut self, node: usize, out: Vec<FleetOutput>) -> Result<(), Fault> {
        for output in out {
            match output {
                FleetOutput::ReadAll => {
                    self.serial += 1;
                    let watch = self.serial;
                    if let Some(running) = &mut self.nodes[node].process {
                        running.reads_until = Some(self.now + DEADLINE_MS);
                        (running.watch, running.is_watching) = (watch, false);
                    }
                    self.ask(node, Request::Read(watch));
                }
                FleetOutput::Commit(transaction) => self.ask(node, Request::Commit(Box::new(transaction))),
                FleetOutput::Keep(service) => {
                    let of = &mut self.nodes[node];
                    let kept = of.process.as_ref().and_then(|running| running.member.kept(&service));
                    if let Some((kept, marks)) = kept {
                        of.disk = (kept.clone(), marks.clone());
                    }
                }
                FleetOutput::Publish(_) => self.publish(node)?,
                FleetOutput::Say(_) => {}
                FleetOutput::Refuse(_) => {
                    self.met.refused += 1;
                    self.stop_process(node);
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}
