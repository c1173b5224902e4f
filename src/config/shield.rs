//! `shield`: whether a service's users are spared a candidate's failures, and how far.

use super::reader::{Item, Section};
use super::service::expect;
use crate::core::shield::{Budget, Shield};
use crate::core::weight::BasisPoints;
use std::sync::Arc;

/// `true` (the default), `false`, or a table with what differs.
pub(super) fn shield(item: &Item<'_>) -> Option<Option<Arc<Shield>>> {
    if item.is_bool() {
        return Some(item.bool()?.then(Arc::default));
    }
    let section = item.section()?;
    let shield = read(&section);
    section.finish();
    Some(Some(Arc::new(shield)))
}

fn read(section: &Section<'_>) -> Shield {
    let default = Shield::default();
    let share = |item: &Item<'_>| {
        let remedy = "must be from 0% to 100%, with at most two decimals";
        let points = BasisPoints::from_percent(item.share(0.0..=1.0, remedy)? * 100.0);
        if points.is_none() {
            item.wrong(remedy);
        }
        points
    };
    let budget = Budget {
        share: section.read("budget", default.budget.share, share),
        burst: section.read("burst", u64::from(default.budget.burst), |item| item.integer(1..=1_000_000))
            as u32,
    };
    let statuses = section.read("statuses", default.statuses, |item| {
        let statuses = item.array()?.iter().map(status).collect::<Option<Vec<_>>>()?;
        if statuses.is_empty() {
            item.fault("names no status; leave it out for all of 500-599, or write shield = false");
        }
        Some(statuses)
    });
    Shield { budget, statuses }
}

/// Statuses that count as failures of an attempt.
fn status(item: &Item<'_>) -> Option<(u16, u16)> {
    let range = expect(item)?;
    if range.0 < 500 {
        item.fault("is no failure: write statuses from 500 to 599");
        return None;
    }
    Some(range)
}
