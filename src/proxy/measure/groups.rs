//! Counting by group: the outcome of an attempt, among the requests of its kind.

use super::meter::{Charged, Meter};
use crate::core::group::{GroupEvent, SAMPLED, Shape, name};
use crate::core::outcome::Outcome;
use crate::core::table::GroupCounting;
use crate::proxy::exchange::{CountedGroup, Request};

/// An attempt has its outcome: it is counted in the group of its request, and what follows is, too.
pub(in crate::proxy) fn decided(meter: &Meter, request: &mut Request, charged: Charged, code: u16) {
    let event = match charged.outcome {
        Outcome::Success => GroupEvent::Decided { failed: false, late: charged.late },
        Outcome::Failure(_) => GroupEvent::Decided { failed: true, late: charged.late },
        Outcome::Abandoned => GroupEvent::Abandoned { late: charged.late.unwrap_or_default() },
        Outcome::Ignored => return,
    };
    let Some(target) = request.plan.target else { return };
    let counting = target.service(&request.plan.table).and_then(|service| service.groups.as_ref());
    let Some(GroupCounting { groups, is_sampled, .. }) = counting else { return };
    // The clock's last digits are as good as a draw.
    if !charged.is_current || *is_sampled && !charged.now_us.is_multiple_of(SAMPLED) {
        return;
    }
    let Some(side) = counting.and_then(|counting| counting.side(target.pool)) else { return };
    let (method, path) = (request.head.method.as_str(), request.head.raw_path());
    let shape = Shape::of(request.plan.route.unwrap_or_default(), method.as_bytes(), path);
    let id = groups.of(shape, !(400..500).contains(&code), || name(method, path));
    groups.count(meter.worker, side, id, event);
    let counted = CountedGroup { groups: groups.clone(), side, id };
    if let Some(attempt) = request.attempts.current.as_mut() {
        attempt.group = Some(counted);
    }
}

/// Counts what came later of an attempt that is counted in a group.
pub(in crate::proxy) fn count(meter: &Meter, request: &Request, event: GroupEvent) {
    let attempt = request.attempts.current.as_ref();
    if let Some(CountedGroup { groups, side, id }) = attempt.and_then(|attempt| attempt.group.as_ref()) {
        groups.count(meter.worker, *side, *id, event);
    }
}
