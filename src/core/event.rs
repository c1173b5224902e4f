//! What happened to a service: the kinds of rows in its history.
//!
//! Whether an event waits for the disk, takes traffic away from somebody or is a warning is asked of the event, and
//! never of its text. The labels stand in state stores, in the admin API and in scripts: a label that was given once
//! stays. A history may hold labels of other versions, so what is read back is a text.

/// One kind of row of history, and what each of them means for order, log and notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    /// An operator set weights, flipped to a pool, went back from one.
    Weights,
    Flip,
    Rollback,
    /// An upstream gets no new requests, gets them again; a pool has other upstreams.
    Drain,
    Ready,
    Upstreams,
    /// An upstream went up or down.
    Health,
    Maintenance,
    /// Of a rollout.
    Started,
    Hook,
    Testing,
    Tested,
    Approval,
    Approved,
    Step,
    Updating,
    Updated,
    Held,
    Passing,
    /// An answer of the candidate to a mirrored request differed from stable's.
    Difference,
    Baking,
    Paused,
    Resumed,
    Promoted,
    Aborted,
    /// After a promotion: limits are broken, were kept to the end of the watch, or led back to the pool before.
    Degraded,
    Verified,
    Returned,
    /// A weight that was set by hand was taken back.
    TakenBack,
    /// A pool without weight, or nobody, serves in place of those that cannot; no longer so.
    Refuge,
    RefugeOver,
    /// What a start made of the stored state.
    Recovered,
}

impl Event {
    pub const ALL: [Event; 32] = [
        Event::Weights,
        Event::Flip,
        Event::Rollback,
        Event::Drain,
        Event::Ready,
        Event::Upstreams,
        Event::Health,
        Event::Maintenance,
        Event::Started,
        Event::Hook,
        Event::Testing,
        Event::Tested,
        Event::Approval,
        Event::Approved,
        Event::Step,
        Event::Updating,
        Event::Updated,
        Event::Held,
        Event::Passing,
        Event::Difference,
        Event::Baking,
        Event::Paused,
        Event::Resumed,
        Event::Promoted,
        Event::Aborted,
        Event::Degraded,
        Event::Verified,
        Event::Returned,
        Event::Refuge,
        Event::RefugeOver,
        Event::Recovered,
        Event::TakenBack,
    ];

    /// As the history, the admin API and the log have it.
    pub const fn label(self) -> &'static str {
        match self {
            Event::Weights => "weights",
            Event::Flip => "flip",
            Event::Rollback => "rollback",
            Event::Drain => "drain",
            Event::Ready => "ready",
            Event::Upstreams => "upstreams",
            Event::Health => "health",
            Event::Maintenance => "maintenance",
            Event::Started => "started",
            Event::Hook => "hook",
            Event::Testing => "testing",
            Event::Tested => "tested",
            Event::Approval => "approval",
            Event::Approved => "approved",
            Event::Step => "step",
            Event::Updating => "updating",
            Event::Updated => "updated",
            Event::Held => "held",
            Event::Passing => "passing",
            Event::Difference => "difference",
            Event::Baking => "baking",
            Event::Paused => "paused",
            Event::Resumed => "resumed",
            Event::Promoted => "promoted",
            Event::Aborted => "aborted",
            Event::Degraded => "degraded",
            Event::Verified => "verified",
            Event::Returned => "returned",
            Event::TakenBack => "taken-back",
            Event::Refuge => "refuge",
            Event::RefugeOver => "refuge-over",
            Event::Recovered => "recovered",
        }
    }

    /// Whether a bad version loses its traffic by it: an abort, the return after a promotion, or a weight set by hand
    /// that is taken back. It takes effect
    /// before anything is written, overtakes what is being written, and is marked until its row is durable.
    pub const fn takes_traffic_away(self) -> bool {
        matches!(self, Event::Aborted | Event::Returned | Event::TakenBack)
    }

    /// Whether its row may be written after the fact: it takes traffic away, or gives nobody any and tells what is
    /// so already.
    pub const fn may_be_written_after(self) -> bool {
        let tells = matches!(self, Event::Held | Event::Passing | Event::Degraded | Event::Verified);
        self.takes_traffic_away() || tells
    }

    /// Whether it is about what one instance sees, so that in a fleet each has its own row.
    pub const fn is_of_one_instance(self) -> bool {
        matches!(
            self,
            Event::Health | Event::Refuge | Event::RefugeOver | Event::Recovered | Event::Difference
        )
    }

    /// Whether the log has it as a warning: a version loses users by it, or ought to. A hold is one where a
    /// critical limit holds.
    pub const fn is_warning(self, is_critical: bool) -> bool {
        match self {
            Event::Held => is_critical,
            event => event.takes_traffic_away() || matches!(event, Event::Degraded),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_labels_are_those_of_former_versions() {
        let labels = Event::ALL.map(Event::label).join(" ");
        let known = "weights flip rollback drain ready upstreams health maintenance started hook testing tested \
            approval approved step updating updated held passing difference baking paused resumed promoted aborted \
            degraded verified returned refuge refuge-over recovered taken-back";
        assert_eq!(labels, known);
    }

    #[test]
    fn what_takes_traffic_away_waits_for_no_disk() {
        let of =
            |is: fn(Event) -> bool| Event::ALL.into_iter().filter(|event| is(*event)).collect::<Vec<_>>();
        assert_eq!(of(Event::takes_traffic_away), [Event::Aborted, Event::Returned, Event::TakenBack]);
        let after = of(Event::may_be_written_after);
        let tells = [Event::Held, Event::Passing, Event::Aborted, Event::Degraded, Event::Verified];
        assert_eq!(after, [&tells[..], &[Event::Returned, Event::TakenBack]].concat());
        let warnings = [Event::Aborted, Event::Degraded, Event::Returned, Event::TakenBack];
        assert_eq!(of(|event| event.is_warning(false)), warnings);
        assert_eq!(of(|event| event.is_warning(true)), [&[Event::Held], &warnings[..]].concat());
    }
}
