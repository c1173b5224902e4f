//! Answers as text.

use super::{fleet, maintenance, tables};
use crate::admin::shapes::{ProcessLimitsView, ProcessView};
use crate::control::command::{ReloadReport, UpgradeReport};
use crate::control::view::{
    EvidenceView, HistoryView, MirrorView, PoolView, RolloutView, ServiceView, SetRolloutView, SetView,
    WatchView,
};
use crate::core::rollout::Stage;
use std::fmt::Write;

pub(super) fn status(services: &[ServiceView]) -> String {
    let blocks: Vec<_> = services.iter().map(service).collect();
    if blocks.is_empty() { "no services are configured".into() } else { blocks.join("\n") }
}

/// Services that are asked for by name, each with its upstreams one by one.
pub(super) fn named(services: &[ServiceView]) -> String {
    let blocks = services.iter().map(|view| service(view) + &tables::upstreams(view));
    blocks.collect::<Vec<_>>().join("\n")
}

/// All services, below what is used of the limits of the process, and its fleet.
pub(super) fn overview(services: &[ServiceView], process: Option<&ProcessView>) -> String {
    let mut text = String::new();
    if let Some(process) = process {
        text.push_str(&limits(&process.limits));
        text.push('\n');
        text.extend(process.fleet.iter().map(fleet::brief));
    }
    text + &status(services)
}

fn limits(limits: &ProcessLimitsView) -> String {
    let ProcessLimitsView { connections, memory_bytes } = limits;
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let (held, most) = (mib(memory_bytes.used), mib(memory_bytes.limit));
    let (used, limit) = (connections.used, connections.limit);
    format!("limits: {used} of {limit} connections, {held:.1} of {most:.1} MiB for bodies")
}

fn service(view: &ServiceView) -> String {
    let mut text = format!("{}  stable {}", view.name, view.stable);
    let previous = view.previous.iter().map(|pool| format!(", previous {pool}"));
    let candidate = view.candidate.iter().map(|pool| format!(", candidate {pool}"));
    let cohort = (!matches!(&*view.cohort, "" | "request")).then(|| format!(", cohort by {}", view.cohort));
    text.extend(previous.chain(candidate).chain(cohort));
    text.push('\n');
    if let Some(stretch) = &view.maintenance {
        // Writing to a text cannot fail.
        let _ = writeln!(text, "  {}", maintenance::line(&view.name, stretch));
    }
    // What the rollout says below is not said twice.
    let ended = view.rollout.as_ref().filter(|rollout| rollout.outcome.is_some());
    let reason = ended.and_then(|rollout| rollout.reason.as_deref());
    let brief = |why: &str| match reason.and_then(|reason| why.strip_suffix(reason)) {
        Some(rest) => rest.trim_end_matches(": ").to_owned(),
        None => why.to_owned(),
    };
    if let Some(why) = &view.no_way_back {
        let _ = writeln!(text, "  no way back: {}", brief(why));
    }
    if let Some(refuge) = &view.refuge {
        let _ = writeln!(text, "  {refuge} serves as a refuge: no pool with weight can");
    }
    text.push_str(&tables::pools(view));
    for (name, pool) in &view.pools {
        of_pool(&mut text, name, pool, &brief);
    }
    if let Some(view) = &view.rollout {
        text.push_str(&rollout(view));
    }
    if let Some(watch) = &view.watch {
        text.push_str(&self::watch(watch));
    }
    for check in &view.checks {
        let mark = if check.ok { '✓' } else { '✗' };
        // Writing to a text cannot fail.
        let _ = writeln!(text, "  {mark} {:<8} {}", check.name, check.detail);
    }
    text
}

/// What the table of the pools has no column for. Writing to a text cannot fail.
fn of_pool(text: &mut String, name: &str, pool: &PoolView, brief: &dyn Fn(&str) -> String) {
    if let Some(version) = &pool.version {
        let _ = writeln!(text, "  {version} on {name}");
    }
    if (pool.weight - pool.effective_weight).abs() > 1e-9 {
        let _ = writeln!(text, "  {name} serves {} % now, whatever its weight", pool.effective_weight);
    }
    if let Some(why) = &pool.quarantine {
        let _ = writeln!(text, "  {name} gets no traffic: {}", brief(why));
    }
    if pool.window.shielded > 0 {
        let count = pool.window.shielded;
        let _ = writeln!(text, "  {name}: {count} failures were shielded, and no user saw them");
    }
    if pool.window.own_limits > 0 {
        let count = pool.window.own_limits;
        let _ =
            writeln!(text, "  {name}: {count} requests were kept out by our own limits, charged to nobody");
    }
    for upstream in pool.upstreams.iter().filter(|upstream| upstream.state != "ready") {
        let detail = upstream.detail.as_deref().map(|detail| format!(": {detail}")).unwrap_or_default();
        let _ = writeln!(text, "  {name} {} is {}{detail}", upstream.address, upstream.state);
    }
}

fn watch(watch: &WatchView) -> String {
    let back = if watch.rollback { ", goes back by itself" } else { "" };
    let (seconds, of) = (watch.seconds.round(), watch.of_seconds.round());
    let (verdict, pool) = (watch.verdict.state.label(), &watch.pool);
    let mut text = match watch.by_hand {
        true => {
            format!("  {pool} is watched since its weight was set by hand: {verdict}, {seconds} s{back}\n")
        }
        false => format!("  watched since the promotion: {verdict}, {seconds} of {of} s{back}\n"),
    };
    for reason in &watch.verdict.reasons {
        // Writing to a text cannot fail.
        let _ = writeln!(text, "    {}", reason.text);
    }
    text
}

/// Limits and comparisons with any evidence that are shown.
const SUSPECTS: usize = 4;

pub(super) fn rollout(view: &RolloutView) -> String {
    let version = view.version.as_deref().map(|version| format!(" ({version})")).unwrap_or_default();
    let pools = match view.from == view.to {
        true => view.to.clone(),
        false => format!("{} to {}", view.from, view.to),
    };
    let dry = if view.dry_run { " (dry run)" } else { "" };
    let mut text = format!("  rollout {}: {}{dry} {pools}{version}, {}", view.id, view.strategy, view.phase);
    if view.outcome.is_none() {
        let _ = write!(text, ", {}", step(view));
    }
    text.push('\n');
    for instance in view.instances.iter().filter(|i| i.stage != Stage::Waiting || view.outcome.is_some()) {
        let stage = format!("{:?}", instance.stage).to_lowercase();
        let _ = writeln!(text, "    {} {stage}", instance.upstream);
    }
    if let Some(view) = &view.mirror {
        let _ = writeln!(text, "    {}", mirror(view));
        for sample in &view.samples {
            let _ = writeln!(text, "    differs: {sample}");
        }
    }
    if let Some(reason) = &view.reason {
        let _ = writeln!(text, "    {reason}");
    }
    if let Some(deadline) = view.deadline.as_ref().filter(|_| view.outcome.is_none()) {
        let _ = writeln!(text, "    is aborted at {deadline}, unless it has ended before");
    }
    let is_news = |text: &str| view.outcome.is_none() && view.reason.as_deref() != Some(text);
    for reason in view.verdict.reasons.iter().filter(|reason| is_news(&reason.text)) {
        let _ = writeln!(text, "    {}: {}", view.verdict.state.label(), reason.text);
    }
    let suspects = view.evidence.iter().filter(|of| of.ln > 0.0 && of.ln < of.needed);
    for of in suspects.take(SUSPECTS) {
        let _ = writeln!(text, "    {}", evidence(of));
    }
    text
}

/// A set: its rollout, and that of each of its services.
pub(super) fn set(view: &SetView) -> String {
    let Some(of_all) = &view.rollout else { return format!("{}  {}", view.name, view.services.join(", ")) };
    let version = of_all.version.as_deref().map(|version| format!(" ({version})")).unwrap_or_default();
    let mut text = format!("{}  rollout {}{version}, {}\n", view.name, of_all.id, of_all.phase);
    if let Some(reason) = &of_all.reason {
        // Writing to a text cannot fail.
        let _ = writeln!(text, "  {reason}");
    }
    for view in &of_all.rollouts {
        let _ = writeln!(text, "{}", view.service);
        text.push_str(&rollout(view));
    }
    text
}

/// A set's rollout on one line: where each service stands.
pub(super) fn set_line(view: &SetRolloutView) -> String {
    let of = |view: &RolloutView| format!("{} {} {} %", view.service, view.phase, view.weight);
    view.rollouts.iter().map(of).collect::<Vec<_>>().join("; ")
}

/// `GET /checkout, error_rate: 3 of 40, evidence 12.1 of 22.3; 3 more in a row abort`.
fn evidence(of: &EvidenceView) -> String {
    let group = of.group.as_deref().map(|group| format!("{group}, ")).unwrap_or_default();
    let (metric, ln, needed) = (&of.metric, of.ln, of.needed);
    let mut text =
        format!("{group}{metric}: {} of {}, evidence {ln:.1} of {needed:.1}", of.events, of.attempts);
    if let Some(events) = of.events_to_abort {
        let _ = write!(text, "; {events} more in a row abort");
    }
    text
}

pub(super) fn mirror(view: &MirrorView) -> String {
    let mut text = format!("{} requests mirrored, {} failed", view.requests, view.failures);
    if view.dropped > 0 {
        let _ = write!(text, ", {} dropped for want of room", view.dropped);
    }
    if view.compared > 0 {
        let _ = write!(text, ", {} of {} compared answers differ", view.differences, view.compared);
    }
    text
}

/// Where it stands: `step 1 of 3, 5 % on green`.
pub(super) fn step(view: &RolloutView) -> String {
    if !view.instances.is_empty() {
        let done = view.instances.iter().filter(|instance| instance.stage == Stage::Serving).count();
        return format!("{done} of {} upstreams updated", view.instances.len());
    }
    let place = format!("step {} of {}", view.step + 1, view.steps.len());
    match &view.mirror {
        Some(mirror) => format!("{place}, {} % mirrored to {}", mirror.share, view.to),
        None => format!("{place}, {} % on {}", view.weight, view.to),
    }
}

pub(super) fn weights(view: &ServiceView) -> String {
    let weights: Vec<_> = view.pools.iter().map(|(name, pool)| format!("{name} {} %", pool.weight)).collect();
    format!("{}: {}, stable {}", view.name, weights.join(", "), view.stable)
}

/// What a command did, and how the weights stand.
pub(super) fn done(view: &ServiceView) -> String {
    match &view.detail {
        Some(detail) => format!("{detail}\n{}", weights(view)),
        None => weights(view),
    }
}

/// One line a row; of all services, each with its own.
pub(super) fn history(rows: &[HistoryView], of_all: bool) -> String {
    if rows.is_empty() {
        return "nothing has happened yet".into();
    }
    let line = |row: &HistoryView| match of_all {
        true => format!("{:<12} {}\n", row.service, event(row)),
        false => event(row) + "\n",
    };
    rows.iter().map(line).collect()
}

/// One line that is read as it comes: on a terminal with the time of day alone.
pub(super) fn news(row: &HistoryView, on_terminal: bool) -> String {
    let time = row.at.get(11..19).filter(|_| on_terminal);
    match time {
        Some(time) => format!("{time}Z  {:<9} {}", row.action, row.text),
        None => event(row),
    }
}

/// One line.
pub(super) fn event(row: &HistoryView) -> String {
    let from = row.address.as_ref().map(|address| format!(" (from {address})")).unwrap_or_default();
    format!("{}  {:<10} {}{from}", row.at, row.action, row.text)
}

pub(super) fn upgrade(report: &UpgradeReport) -> String {
    let UpgradeReport { old_pid, new_pid, version, took_ms } = report;
    format!(
        "upgraded: process {new_pid}, version {version}, serves in place of {old_pid}; it took {took_ms} ms\n"
    )
}

pub(super) fn reload(report: &ReloadReport) -> String {
    let nothing = report.changed.is_empty() && report.needs_restart.is_empty();
    let nothing = nothing.then(|| "nothing has changed\n".to_owned());
    let changed = report.changed.iter().map(|path| format!("changed: {path}\n"));
    let restart = report.needs_restart.iter().map(|path| format!("takes effect at the next start: {path}\n"));
    let differs = report.differs.iter().map(|path| {
        format!(
            "not the file's, but as registered over the API: {path} (`pointsman upstreams reset` goes back)\n"
        )
    });
    nothing.into_iter().chain(changed).chain(restart).chain(differs).collect()
}
