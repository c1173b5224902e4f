//! The way back: what a rollback does, where it leads, and what speaks against giving a pool traffic.

use super::change::{Applied, Caution, Change, Denied, Moment};
use super::{QuarantineCause, ServiceState, Void};
use crate::core::event::Event;
use crate::core::rollout::{Action, Input, Phase};

impl ServiceState {
    pub(super) fn roll_back(
        &self,
        caution: Caution<'_>,
        who: &str,
        moment: Moment<'_>,
    ) -> Result<Applied, Denied> {
        let Some(running) = self.running() else {
            let (to, forced) = self.way_back(caution)?;
            let mut next = self.clone();
            next.guard = None;
            let text = format!("rolled back to {} by {who}{forced}", self.version_on(&to));
            next.go_back(&to, QuarantineCause::RolledBack, &format!("by {who}"), moment.wall);
            return Ok(next.journaled(Event::Rollback, text));
        };
        let mut aborted = self.drive(&Input::Asked(Action::Abort, who), moment);
        // A dry run has moved nothing: what users have is what was promoted before it.
        if running.rollout.plan.dry_run
            && let Ok(back) = aborted.state.roll_back(caution, who, moment)
        {
            let notes = [aborted.notes, back.notes].concat();
            return Ok(Applied { notes, ..back });
        }
        let place = if running.rollout.moves_traffic() {
            format!("; back to {}", self.version_on(&self.stable))
        } else {
            String::new()
        };
        for note in aborted.notes.iter_mut().filter(|note| note.event == Event::Aborted) {
            note.text = format!("the rollout {} was {}{place}", running.id, note.text);
        }
        Ok(aborted)
    }

    /// Where a rollback goes; with what history says of it where that was forced.
    pub(super) fn way_back(&self, caution: Caution<'_>) -> Result<(String, String), Denied> {
        if let Some(to) = self.previous.clone().filter(|to| *to != self.stable) {
            let forced = self.allow(std::iter::once(to.as_str()), caution)?;
            return Ok((to, forced));
        }
        match (&self.void, self.no_way_back()) {
            (Some(void), Some(why)) if caution.force => Ok((void.pool.clone(), format!(", forced: {why}"))),
            (Some(_), Some(why)) => Err(unless_forced(&format!("there is no way back: {why}"))),
            _ => {
                let detail =
                    "there is no previous pool to go back to: nothing has been flipped or promoted yet";
                Err(Denied::Conflict { detail: detail.into(), rollout: None })
            }
        }
    }

    /// What undoes once more what a rollout `id` had been undone for in effect, in a process that ended before that
    /// was written.
    pub fn undone_again<'a>(&self, id: &'a str, who: &'a str) -> Option<Change<'a>> {
        let last = self.rollout.as_ref().filter(|last| last.id == id)?;
        if self.running().is_some() {
            return Some(Change::Asked { id, action: Action::Withdraw, who });
        }
        let promoted = last.rollout.phase == Phase::Promoted && last.rollout.moves_traffic();
        (promoted && self.stable == last.to).then_some(Change::TakeBack { who })
    }

    pub(super) fn take_back(&self, who: &str, moment: Moment<'_>) -> Result<Applied, Denied> {
        let promoted = self.rollout.as_ref().filter(|last| {
            last.to == self.stable && last.rollout.moves_traffic() && self.weights.contains_key(&last.from)
        });
        let Some(last) = promoted.filter(|last| last.rollout.phase == Phase::Promoted) else {
            let detail = "no promotion is there to be taken back".to_owned();
            return Err(Denied::Conflict { detail, rollout: None });
        };
        let mut next = self.clone();
        next.guard = None;
        let text = format!("rolled back to {} by {who}", self.version_on(&last.from));
        next.go_back(&last.from, QuarantineCause::Aborted, &format!("taken back by {who}"), moment.wall);
        Ok(next.journaled(Event::Rollback, text))
    }

    /// Another pool becomes stable again, with all traffic; nobody goes back to the one that was.
    pub(super) fn go_back(&mut self, to: &str, cause: QuarantineCause, why: &str, wall: &str) {
        let left = std::mem::replace(&mut self.stable, to.to_owned());
        self.lift_quarantine(to);
        self.give_all(to);
        self.set_quarantine(&left, cause, why, wall);
        let why = format!("{} was left by a rollback", self.version_on(&left));
        (self.previous, self.void) = (None, Some(Void { pool: left, why }));
    }

    /// Whether pools may get traffic by a command, and what history says of it where that is forced.
    pub(super) fn allow<'b>(
        &self,
        pools: impl Iterator<Item = &'b str>,
        caution: Caution<'_>,
    ) -> Result<String, Denied> {
        let objection = |pool: &str| {
            let quarantine = self.quarantine(pool).filter(|quarantine| quarantine.bars());
            let down = || Some(format!("{} is down: {}", self.version_on(pool), caution.down.get(pool)?));
            quarantine.map(|quarantine| quarantine.sentence(pool)).or_else(down)
        };
        let objections: Vec<String> = pools.filter_map(objection).collect();
        match objections.join("; ") {
            none if none.is_empty() => Ok(none),
            why if caution.force => Ok(format!(", forced: {why}")),
            why => Err(unless_forced(&why)),
        }
    }
}

fn unless_forced(why: &str) -> Denied {
    let detail = format!("{why}; to do it all the same, force it (`--force`, or `\"force\": true`)");
    Denied::Conflict { detail, rollout: None }
}
