//! `[policies.*]`.

use super::reader::{Item, Section};
use super::units;
use crate::core::policy::{Limit, Mode, Policy};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Above this, an allowed share of failures leaves the test no room.
const MAX_SHARE: f64 = 0.4;
const QUANTILES: [(&str, f64); 4] =
    [("latency_p50", 0.50), ("latency_p90", 0.90), ("latency_p95", 0.95), ("latency_p99", 0.99)];

/// All policies by name; `default` is there even when the file has none.
pub(super) fn policies(root: &Section<'_>) -> BTreeMap<String, Arc<Policy>> {
    let mut policies = BTreeMap::from([("default".to_owned(), Arc::new(built_in()))]);
    for (name, item) in root.section("policies").entries() {
        if let Some(section) = item.section() {
            let policy = policy(&name, &section);
            section.finish();
            policies.insert(name, Arc::new(policy));
        }
    }
    policies
}

fn built_in() -> Policy {
    let seconds = |n| Some(Duration::from_secs(n));
    Policy {
        name: "default".into(),
        mode: Mode::Evidence,
        alpha: 0.001,
        horizon: 1_000_000,
        window: Duration::from_secs(60),
        min_sample: 500,
        limits: vec![
            Limit::ErrorRate { warning: Some(0.005), critical: Some(0.01) },
            Limit::Latency { quantile: 0.95, warning: seconds(1), critical: seconds(2) },
        ],
        signals: Vec::new(),
    }
}

fn policy(name: &str, section: &Section<'_>) -> Policy {
    let default = built_in();
    let modes = [("evidence", Mode::Evidence), ("window", Mode::Window)];
    let mut limits = Vec::new();
    if let Some((warning, critical)) = section.item("error_rate").and_then(|item| levels(&item, share)) {
        limits.push(Limit::ErrorRate { warning, critical });
    }
    for (key, quantile) in QUANTILES {
        if let Some((warning, critical)) = section.item(key).and_then(|item| levels(&item, time)) {
            limits.push(Limit::Latency { quantile, warning, critical });
        }
    }
    if limits.is_empty() {
        section.fault("sets no limit; add error_rate = { critical = \"1%\" }");
    }
    Policy {
        name: name.to_owned(),
        mode: section.read("mode", default.mode, |item| item.choice(&modes)),
        alpha: section.read("alpha", default.alpha, alpha),
        horizon: section.read("horizon", default.horizon, |item| item.integer(1000..=1_000_000_000_000)),
        window: section.read("window", default.window, |item| {
            item.duration(Duration::from_secs(1)..=Duration::from_secs(3600))
        }),
        min_sample: section.read("min_sample", default.min_sample, |item| item.integer(1..=1_000_000)),
        limits,
        signals: Vec::new(),
    }
}

/// Warning and critical level; at least one, and the warning below the critical.
fn levels<T: PartialOrd>(
    item: &Item<'_>,
    read: impl Fn(&Item<'_>) -> Option<T>,
) -> Option<(Option<T>, Option<T>)> {
    let section = item.section()?;
    let warning = section.item("warning").map(|item| read(&item));
    let critical = section.item("critical").map(|item| read(&item));
    section.finish();
    match (warning, critical) {
        (None, None) => {
            item.fault("sets neither warning nor critical");
            None
        }
        (Some(None), _) | (_, Some(None)) => None,
        (warning, critical) => {
            let (warning, critical) = (warning.flatten(), critical.flatten());
            if warning.as_ref().zip(critical.as_ref()).is_some_and(|(warning, critical)| warning >= critical)
            {
                item.fault("warning must be below critical");
            }
            Some((warning, critical))
        }
    }
}

fn share(item: &Item<'_>) -> Option<f64> {
    item.parsed(|text| {
        let share = units::share(text)?;
        let fits = share > 0.0 && share <= MAX_SHARE;
        if fits { Ok(share) } else { Err("must be above 0 % and at most 40 %".to_owned()) }
    })
}

fn time(item: &Item<'_>) -> Option<Duration> {
    item.duration(Duration::from_millis(1)..=Duration::from_secs(90))
}

fn alpha(item: &Item<'_>) -> Option<f64> {
    let alpha = item.number()?;
    if alpha > 0.0 && alpha <= 0.5 {
        return Some(alpha);
    }
    item.fault("must be above 0 and at most 0.5: the chance of a false abort within the horizon");
    None
}
