//! What a replay found, for people.

use super::chart;
use super::report::{ChangeView, DecisionView, Report, StretchView, TradeView, VariantView};
use std::fmt::Write;

/// `unicode`: whether the terminal can show more than ASCII. Writing to a text cannot fail.
pub(super) fn report(report: &Report, unicode: bool) -> String {
    let mut text = head(report);
    if report.stretches.is_empty() {
        let _ = writeln!(text, "\nno request went to {}: nothing to decide", report.roles.candidate);
    }
    for (index, view) in report.stretches.iter().enumerate() {
        text.push('\n');
        stretch(&mut text, index + 1, view, &report.roles.candidate);
        text.push_str(&chart::draw(view, unicode));
    }
    if let Some(view) = &report.what_if {
        text.push('\n');
        trade(&mut text, view, report);
    }
    text
}

fn head(report: &Report) -> String {
    let roles = &report.roles;
    let service = roles.service.as_deref().map(|service| format!("service {service}, ")).unwrap_or_default();
    let stable =
        roles.stable.as_deref().map_or("nothing to compare with".into(), |stable| format!("stable {stable}"));
    let mut text = format!("{service}candidate {}, {stable}, policy {}\n", roles.candidate, report.policy);
    if let Some(because) = &roles.because {
        let _ = writeln!(text, "{because}");
    }
    let tale = &report.tale;
    let _ = write!(text, "{} lines", tale.lines);
    if tale.unreadable > 0 {
        let _ = write!(
            text,
            ", {} of them unreadable, such as:\n  {}",
            tale.unreadable,
            tale.first_unreadable.join("\n  ")
        );
    }
    text.push('\n');
    if !report.not_in_logs.is_empty() {
        let _ = writeln!(text, "left out, since no log tells of it: {}", report.not_in_logs.join(", "));
    }
    if report.out_of_order > 0 {
        let _ = writeln!(
            text,
            "{} outcomes of answers that took over a minute to end came out of order",
            report.out_of_order
        );
    }
    text
}

fn stretch(text: &mut String, number: usize, view: &StretchView, candidate: &str) {
    let _ = writeln!(text, "stretch {number}: {} to {}", view.began, view.ended);
    let _ = write!(text, "  {} attempts on {candidate}, {} failed", view.attempts, view.failures);
    if view.abandoned > 0 {
        let _ = write!(text, ", and {} more were left by their clients", view.abandoned);
    }
    text.push('\n');
    for change in &view.changes {
        changed(text, change);
    }
    if view.more_changes > 0 {
        let _ = writeln!(text, "  and {} more changes between held and passing", view.more_changes);
    }
    match &view.aborted {
        Some(decision) => {
            let _ = writeln!(text, "  it would have aborted at {}", place(decision));
            let before = view.failures_seen - view.failures_spared;
            if view.failures_spared == 0 {
                let _ = writeln!(text, "  users saw {before} failures, none of them after that");
                return;
            }
            let _ = writeln!(
                text,
                "  users saw {} failures; they would have seen {before}, the other {} came after that",
                view.failures_seen, view.failures_spared
            );
        }
        None => {
            let _ = writeln!(text, "  it would not have aborted; users saw {} failures", view.failures_seen);
        }
    }
}

fn changed(text: &mut String, change: &ChangeView) {
    let place = change.place.as_ref().map(|at| format!(", {}:{}", at.file, at.line)).unwrap_or_default();
    let _ = writeln!(text, "  {} {:<7} attempt {}{place}", change.at, change.action, change.attempts);
    let _ = writeln!(text, "    {}", change.text);
}

fn place(decision: &DecisionView) -> String {
    let id = decision.request_id.as_deref().map(|id| format!(" ({id})")).unwrap_or_default();
    let place =
        decision.place.as_ref().map(|at| format!(", {}:{}{id}", at.file, at.line)).unwrap_or_default();
    let group = decision.group.as_deref().map(|group| format!(" of {group}")).unwrap_or_default();
    let by = format!("by {}{group}", decision.kind);
    format!("attempt {}{place}, with {} failures, {by}", decision.attempts, decision.failures)
}

fn trade(text: &mut String, view: &TradeView, report: &Report) {
    let _ = writeln!(
        text,
        "what if: when it would have aborted {}, and a version that is good",
        report.roles.candidate
    );
    let header = ["", "attempt", "failures", "seen", "spared", "stable", "resampled"].map(String::from);
    let rows: Vec<_> = std::iter::once(header).chain(view.variants.iter().map(row)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    for row in &rows {
        let cells = row.iter().enumerate().map(|(column, cell)| match column {
            0 => format!("{cell:<0$}", width(0)),
            column => format!("{cell:>0$}", width(column)),
        });
        let _ = writeln!(text, "  {}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
    let _ = writeln!(
        text,
        "  attempt, failures: on {} until the (first) abort; seen, spared: by users",
        report.roles.candidate
    );
    let Some(stable) = report.roles.stable.as_deref().filter(|_| view.stable_attempts > 0) else {
        let _ = writeln!(text, "  the log has no stable pool to try false aborts on");
        return;
    };
    let _ = writeln!(
        text,
        "  stable: times it aborts {stable}'s own {} attempts, taken for a candidate's",
        view.stable_attempts
    );
    let _ = writeln!(
        text,
        "  resampled: aborted runs over stretches of 500 of them, drawn again (seed {})",
        view.seed
    );
    if view.stable_attempts_left_out > 0 {
        let _ = writeln!(
            text,
            "  resampled from the first of them; {} more were left out",
            view.stable_attempts_left_out
        );
    }
}

fn row(variant: &VariantView) -> [String; 7] {
    let first = variant.first.as_ref();
    let number = |number: Option<u64>| number.map_or("-".to_owned(), |number| number.to_string());
    let resampled = variant.resampled_aborted.zip(variant.resampled_runs);
    [
        variant.name.clone(),
        first.map_or("never".to_owned(), |first| first.attempts.to_string()),
        number(first.map(|first| first.failures)),
        number(first.map(|first| first.failures_seen)),
        number(first.map(|_| variant.failures_spared)),
        number(variant.stable_aborts),
        resampled.map_or("-".to_owned(), |(aborted, runs)| format!("{aborted} of {runs}")),
    ]
}
