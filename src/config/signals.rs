//! `signals` of `[policies.*]`: what to ask the upstreams of themselves.

use super::policy::ordered;
use super::reader::{Item, Section};
use crate::core::policy::readings::MAX_COUNT;
use crate::core::signal::{Locator, Signal};
use std::time::Duration;

/// Names that reasons of other kinds have.
const TAKEN: [&str; 5] = ["attempts", "clients", "error_rate", "health", "shared_outage"];

pub(super) fn read(policy: &Section<'_>) -> Vec<Signal> {
    let items = policy.item("signals").and_then(|item| item.array()).unwrap_or_default();
    let mut signals: Vec<Signal> = Vec::new();
    for item in &items {
        let Some(signal) = signal(item) else { continue };
        if signals.iter().any(|known| known.name == signal.name) {
            item.fault(&format!("a signal named {} stands before it", signal.name));
        }
        signals.push(signal);
    }
    signals
}

fn signal(item: &Item<'_>) -> Option<Signal> {
    let section = item.section()?;
    let name = section.need("name", "add name = \"database_connections\"", |item| item.parsed(name));
    let from = section.need("from", "add from = \"/api/metrics\"", |item| item.parsed(path));
    let at = section.need("at", "add at = \"/database_connections\"", |item| item.parsed(Locator::parse));
    let warning = section.item("warning").map(|item| level(&item));
    let critical = section.item("critical").map(|item| level(&item));
    let levels = ordered(item, warning, critical);
    let second = Duration::from_secs(1);
    let interval =
        section.read("interval", 5 * second, |item| item.duration(Duration::from_millis(50)..=3600 * second));
    let timeout =
        section.read("timeout", second, |item| item.duration(Duration::from_millis(1)..=60 * second));
    let count = section.read("count", 2, |item| item.integer(1..=MAX_COUNT as u64));
    section.finish();
    let (warning, critical) = levels?;
    let (name, count) = (name?.into(), count as u32);
    Some(Signal { name, from: from?, at: at?, warning, critical, interval, timeout, count })
}

fn name(text: &str) -> Result<String, String> {
    let mut bytes = text.bytes();
    let begins = bytes.next().is_some_and(|b| b.is_ascii_lowercase() || b == b'_');
    let goes_on = bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if !begins || !goes_on || text.len() > 63 {
        return Err("a name has 1 to 63 characters of a-z, 0-9 and _, and does not begin with a digit".into());
    }
    if TAKEN.contains(&text) || text.starts_with("latency_") || text.ends_with("_relative") {
        return Err(format!("{text} is the name of a metric that Pointsman measures itself"));
    }
    Ok(text.to_owned())
}

fn path(text: &str) -> Result<String, String> {
    let legal = text.starts_with('/') && text.bytes().all(|b| b.is_ascii_graphic());
    if legal { Ok(text.to_owned()) } else { Err(format!("\"{text}\" must begin with / and be a path")) }
}

fn level(item: &Item<'_>) -> Option<f64> {
    item.number(.., "must be a finite number")
}
