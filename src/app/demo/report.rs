//! What happened, and what the users of the site noticed of it.

use super::Instance;
use super::load::Load;
use super::origin::Origin;
use crate::control::view::{HistoryView, RolloutView};
use anyhow::Context;
use std::time::Duration;
use tokio::time::sleep;

/// The end of the demo, in figures.
#[derive(Debug)]
pub(super) struct Report {
    history: Vec<HistoryView>,
    served: u64,
    failed: u64,
    /// From the deciding failure at the origin to the table without the candidate, and to the first
    /// request after which none went to it.
    /// Not there where no failure completed the evidence.
    reaction_ms: Option<f64>,
    turned_ms: f64,
    /// Requests the bad version got, and failed.
    received: usize,
    failures: usize,
}

pub(super) async fn gather(
    instance: &Instance,
    bad: &RolloutView,
    candidate: &Origin,
    load: &Load,
) -> anyhow::Result<Report> {
    let history = history(instance, bad).await?;
    let aborted = history.iter().find(|row| row.action == "aborted").context("the abort has no row")?;
    let figures = &aborted.figures;
    let reaction_ms = figures["reaction_ms"].as_f64();
    let counted = figures["window"][&bad.to]["failures"].as_u64().context("the abort has no failures")?;
    let failures = candidate.failures_us();
    // The one that completed the evidence; the controller may have counted it before its answer was out.
    let deciding = counted.checked_sub(1).and_then(|index| failures.get(index as usize)).copied();
    let deciding = deciding.context("the origin did not see the failures that were counted")?;
    let last_arrival = candidate.arrivals_us().last().copied().unwrap_or_default();
    let from = last_arrival.max(deciding + (reaction_ms.unwrap_or_default() * 1000.0) as u64);
    let first = load.sent_us().into_iter().filter(|sent| *sent > from).min().context("the load has ended")?;
    let (served, failed) = load.served_and_failed();
    Ok(Report {
        reaction_ms,
        turned_ms: first.saturating_sub(deciding) as f64 / 1000.0,
        served,
        failed,
        received: candidate.arrivals_us().len(),
        failures: failures.len(),
        history,
    })
}

/// Newest first. The row of an abort is written just after it took effect.
async fn history(instance: &Instance, bad: &RolloutView) -> anyhow::Result<Vec<HistoryView>> {
    loop {
        let rows = instance.journal.history(Some("web".into()), None, 100).await?;
        if rows.iter().any(|row| row.action == "aborted" && row.rollout.as_ref() == Some(&bad.id)) {
            return Ok(rows);
        }
        sleep(Duration::from_millis(10)).await;
    }
}

impl Report {
    pub(super) fn text(&self) -> String {
        let mut text = String::from("== what happened\n");
        for row in self.history.iter().rev() {
            let time = row.at.get(11..23).unwrap_or(&row.at);
            text.push_str(&format!("  {time}  {:<9} {}\n", row.action, row.text));
        }
        text.push_str("\n== what the users noticed\n");
        let share = self.failed as f64 * 100.0 / (self.served + self.failed).max(1) as f64;
        let ms = |ms: f64| format!("{ms:.2} ms");
        for (what, figure) in [
            ("requests served", self.served.to_string()),
            ("requests that users saw fail", format!("{} ({share:.3} % of all)", self.failed)),
            ("requests that v3 got before it was taken out", self.received.to_string()),
            ("requests that v3 failed", self.failures.to_string()),
            ("from the failure that decided to the switch", self.reaction_ms.map_or("-".into(), ms)),
            ("from that failure until v3 got no more requests", ms(self.turned_ms)),
        ] {
            text.push_str(&format!("  {what:<50}  {figure}\n"));
        }
        text.pop();
        text
    }
}
