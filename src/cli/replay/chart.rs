//! The course of a stretch in a terminal: failures and evidence over time, at most 80 columns wide.

use super::report::{PointView, StretchView};
use crate::core::verdict::State;
use std::fmt::Write;

const COLUMNS: usize = 60;
const ROWS: usize = 4;
const BLOCKS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const ASCII: [char; 9] = [' ', '.', '.', ':', ':', '+', '+', '#', '#'];

/// `unicode`: whether block characters can be shown; else it is ASCII. Writing to a text cannot fail.
pub(super) fn draw(view: &StretchView, unicode: bool) -> String {
    let points = columns(&view.course.points, COLUMNS);
    let shares: Vec<f64> = points.iter().map(failed_share).collect();
    let top = shares.iter().copied().fold(0.0, f64::max);
    let evidence: Vec<f64> = points.iter().map(|point| point.evidence).collect();
    let bar = if unicode { '│' } else { '|' };
    let mut text = String::new();
    let scale = if top > 0.0 { top } else { 1.0 };
    let heights: Vec<f64> = shares.iter().map(|share| share / scale).collect();
    let shown = format!("{:.1} %", top * 100.0);
    panel(&mut text, ["failed", &shown, "", "0 %"], &heights, unicode);
    panel(&mut text, ["evidence", "needed", "", "none"], &evidence, unicode);
    let _ = writeln!(text, "  {:>8} {bar}{}", "verdict", verdicts(&points, unicode));
    let (began, ended) = (clock(&view.began), clock(&view.ended));
    let space = points.len().saturating_sub(began.len() + ended.len()).max(1);
    let _ = writeln!(text, "  {:>8}  {began}{}{ended}", "", " ".repeat(space));
    let key = if unicode { "· passing  h held  ✗ aborted" } else { ". passing  h held  X aborted" };
    let _ = writeln!(text, "  {:>8}  {key}; evidence is a logarithm", "");
    text
}

/// Points, so many to a column that they fit.
pub(super) fn columns(points: &[PointView], most: usize) -> Vec<PointView> {
    let each = points.len().div_ceil(most).max(1);
    let merged = |points: &[PointView]| PointView {
        attempts: points.iter().map(|point| point.attempts).sum(),
        failures: points.iter().map(|point| point.failures).sum(),
        evidence: points.iter().map(|point| point.evidence).fold(0.0, f64::max),
        verdict: points.iter().map(|point| point.verdict).max().unwrap_or_default(),
    };
    points.chunks(each).map(merged).collect()
}

pub(super) fn failed_share(point: &PointView) -> f64 {
    (point.failures as f64 / point.attempts.max(1) as f64).min(1.0)
}

/// Heights are from 0 to 1.
fn panel(text: &mut String, labels: [&str; ROWS], heights: &[f64], unicode: bool) {
    let (blocks, bar) = if unicode { (BLOCKS, '│') } else { (ASCII, '|') };
    for (row, label) in labels.iter().enumerate() {
        let floor = (ROWS - 1 - row) * 8;
        let cell = |height: &f64| {
            let eighths = (height.clamp(0.0, 1.0) * (ROWS * 8) as f64).ceil() as usize;
            blocks[eighths.saturating_sub(floor).min(8)]
        };
        let cells: String = heights.iter().map(cell).collect();
        let _ = writeln!(text, "  {label:>8} {bar}{}", cells.trim_end());
    }
}

/// Nothing is said after an abort.
fn verdicts(points: &[PointView], unicode: bool) -> String {
    let failed = points.iter().position(|point| point.verdict == State::Fail);
    let mark = |(index, point): (usize, &PointView)| match point.verdict {
        _ if failed.is_some_and(|failed| index > failed) => ' ',
        State::Fail if unicode => '✗',
        State::Fail => 'X',
        State::Hold => 'h',
        State::Pass if unicode => '·',
        State::Pass => '.',
    };
    points.iter().enumerate().map(mark).collect::<String>().trim_end().to_owned()
}

/// `2026-11-24T23:58:32.123Z` without its date.
fn clock(time: &str) -> &str {
    time.get(11..23).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::super::report::CourseView;
    use super::*;

    fn view() -> StretchView {
        let point = |index: u64| PointView {
            attempts: 10,
            failures: if index > 80 { 10 } else { 0 },
            evidence: (index as f64 / 100.0).min(1.2),
            verdict: match index {
                0..60 => State::Pass,
                60..100 => State::Hold,
                _ => State::Fail,
            },
        };
        StretchView {
            began: "2026-11-24T23:58:32.123Z".into(),
            ended: "2026-11-24T23:59:32.123Z".into(),
            attempts: 1200,
            abandoned: 0,
            failures: 400,
            requests: 1200,
            failures_seen: 400,
            aborted: None,
            failures_spared: 0,
            changes: Vec::new(),
            more_changes: 0,
            course: CourseView { point_seconds: 0.5, points: (0..120).map(point).collect() },
        }
    }

    #[test]
    fn it_fits_and_shows_what_happened() {
        for unicode in [true, false] {
            let text = draw(&view(), unicode);
            assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
            assert!(unicode || text.is_ascii(), "{text}");
            let verdict = text.lines().find(|line| line.contains("verdict")).expect("a row");
            let mark = if unicode { '✗' } else { 'X' };
            assert!(verdict.contains('h') && verdict.ends_with(mark), "{text}");
            assert!(text.contains("100.0 %") && text.contains("23:58:32.123"), "{text}");
            println!("{text}");
        }
    }

    #[test]
    fn an_empty_course_is_drawn_too() {
        let mut view = view();
        view.course.points.clear();
        assert!(draw(&view, false).contains("verdict"));
    }
}
