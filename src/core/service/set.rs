//! Several services as one rollout: they begin together, go on together, and are undone together.
//!
//! Each service keeps its own state, and its rollout says which set it is a part of. What a set does next follows
//! from the states of its services alone ([`set_moves`]): nothing else is stored of it, so that a crash between two
//! services' writes leaves nothing that the next look does not mend. Services go on one by one, in the order of the
//! set, each once the one before has; one that was aborted, taken back or never began undoes all others.

use super::QuarantineCause;
use serde::{Deserialize, Serialize};

/// A rollout's part in one of several services.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SetPart {
    /// The set's name.
    pub name: String,
    /// The id that the rollouts of all its services have in common.
    pub rollout: String,
    /// The services that began together, in their order.
    pub services: Vec<String>,
}

/// How far one service has come in a rollout of its set.
#[derive(Clone, Debug, PartialEq)]
pub enum Standing {
    /// It has no part in it, or none any more.
    Absent,
    /// `place` as of [`crate::core::rollout::Rollout::progress`].
    Runs {
        place: usize,
        is_ready: bool,
    },
    Promoted,
    /// Aborted, or taken back after its promotion: what was wrong.
    Undone {
        why: String,
        cause: QuarantineCause,
    },
}

/// One service of a set, as it is looked at for the set.
#[derive(Clone, Debug)]
pub struct Member<'a> {
    pub service: &'a str,
    pub standing: Standing,
    /// Whether a change of it is on its way to the journal.
    pub is_changing: bool,
}

/// What one service of a set does next.
#[derive(Clone, Debug, PartialEq)]
pub enum SetMove {
    GoOn,
    Undo(Undone),
}

/// Why a service is undone: what happened to another of its set.
#[derive(Clone, Debug, PartialEq)]
pub struct Undone {
    pub why: String,
    pub cause: QuarantineCause,
}

/// What the services of one rollout do next; each with its place among the members. Empty where nothing is to be done,
/// or what is to be done waits for the disk.
pub fn set_moves(members: &[Member<'_>]) -> Vec<(usize, SetMove)> {
    let undo = |by: &Undone, whom: &dyn Fn(&Member<'_>) -> bool| {
        let others = members.iter().enumerate().filter(|(_, member)| whom(member));
        others.map(|(at, _)| (at, SetMove::Undo(by.clone()))).collect()
    };
    if let Some(by) = members.iter().find_map(Member::undone) {
        return undo(&by, &|member| member.can_be_undone());
    }
    if let Some(by) = members.iter().find_map(Member::absence) {
        return undo(&by, &|member| member.runs());
    }
    goes_on(members).map(|at| (at, SetMove::GoOn)).into_iter().collect()
}

/// Who goes on: the first, where all have come as far and are ready; then the others, in their order.
fn goes_on(members: &[Member<'_>]) -> Option<usize> {
    // What was told to go on, or to begin, and is not written yet is waited for.
    if members.iter().any(|member| member.is_changing) {
        return None;
    }
    let places: Vec<usize> = members.iter().map(Member::place).collect();
    let furthest = places.iter().copied().max()?;
    let behind = |(at, member): (usize, &Member<'_>)| (member.place() < furthest).then_some(at);
    let next = match members.iter().enumerate().find_map(behind) {
        Some(behind) => behind,
        None if members.iter().all(Member::is_ready) => 0,
        None => return None,
    };
    members.get(next).filter(|member| member.is_ready()).map(|_| next)
}

impl Member<'_> {
    fn place(&self) -> usize {
        match self.standing {
            Standing::Runs { place, .. } => place,
            _ => usize::MAX,
        }
    }

    fn is_ready(&self) -> bool {
        matches!(self.standing, Standing::Runs { is_ready: true, .. })
    }

    /// Why the others are undone with it, if they are.
    fn undone(&self) -> Option<Undone> {
        let service = self.service;
        match &self.standing {
            Standing::Undone { why, cause: QuarantineCause::Aborted } => {
                Some(Undone { why: format!("with {service}: {why}"), cause: QuarantineCause::Aborted })
            }
            Standing::Undone { why, cause } => {
                Some(Undone { why: format!("with {service}, taken back: {why}"), cause: *cause })
            }
            _ => None,
        }
    }

    /// Why those that still run are aborted: it never began, or has left.
    fn absence(&self) -> Option<Undone> {
        let is_absent = self.standing == Standing::Absent && !self.is_changing;
        is_absent.then(|| {
            let why = format!("{} has no part in the rollout of the set, or none any more", self.service);
            Undone { why, cause: QuarantineCause::Aborted }
        })
    }

    fn runs(&self) -> bool {
        matches!(self.standing, Standing::Runs { .. })
    }

    /// An abort overtakes what is being written; the way back after a promotion waits for it.
    fn can_be_undone(&self) -> bool {
        match self.standing {
            Standing::Runs { .. } => true,
            Standing::Promoted => !self.is_changing,
            Standing::Absent | Standing::Undone { .. } => false,
        }
    }
}

#[cfg(test)]
mod tests;
