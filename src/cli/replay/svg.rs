//! The course as SVG: stands alone, and is legible on light and dark pages.

use super::chart::{columns, failed_share};
use super::report::{PointView, Report, StretchView};
use crate::core::svg::{self, INNER, LEFT};
use crate::core::verdict::State;
use std::fmt::Write;

/// The height of one stretch.
const BLOCK: f64 = 346.0;
const PANEL: f64 = 100.0;
/// Where the first panel begins, below two lines of text, and the second.
const FIRST: f64 = 46.0;
const SECOND: f64 = FIRST + PANEL + 20.0;
/// Stretches that are drawn.
const MOST: usize = 20;
const COLUMNS: usize = 256;

/// Writing to a text cannot fail.
pub(super) fn draw(report: &Report) -> String {
    let stretches = &report.stretches[..report.stretches.len().min(MOST)];
    let height = 40.0 + BLOCK * stretches.len().max(1) as f64;
    let mut title = format!("{} under the policy {}", report.roles.candidate, report.policy);
    if report.stretches.len() > MOST {
        let _ = write!(title, ", the first {MOST} of {} stretches", report.stretches.len());
    }
    let mut text = svg::head(&title, height);
    if stretches.is_empty() {
        let _ = writeln!(text, "<text x=\"{LEFT}\" y=\"60\">no request went to it</text>");
    }
    for (index, view) in stretches.iter().enumerate() {
        let _ = writeln!(text, "<g transform=\"translate(0 {})\">", 40.0 + BLOCK * index as f64);
        stretch(&mut text, view);
        text.push_str("</g>\n");
    }
    text + "</svg>\n"
}

fn stretch(text: &mut String, view: &StretchView) {
    let points = columns(&view.course.points, COLUMNS);
    let step = INNER / points.len().max(1) as f64;
    let top = points.iter().map(failed_share).fold(0.0, f64::max);
    let (said, why) = match &view.aborted {
        Some(decision) => (format!("would have aborted at {}", decision.at), decision.reason.as_str()),
        None => ("would not have aborted".to_owned(), ""),
    };
    let _ = writeln!(text, "<text x=\"{LEFT}\" y=\"14\">{said}</text>");
    text.push_str(&svg::line(why, 32.0));
    failures(text, &points, step, if top > 0.0 { top } else { 1.0 });
    evidence(text, &points, step);
    text.push_str(&svg::times(&view.began, &view.ended, SECOND + PANEL + 20.0));
}

fn failures(text: &mut String, points: &[PointView], step: f64, top: f64) {
    let floor = FIRST + PANEL;
    text.push_str(&svg::axis(floor, PANEL, &format!("{:.1} %", top * 100.0), "failed"));
    for (index, point) in points.iter().enumerate().filter(|(_, point)| point.failures > 0) {
        let height = PANEL * failed_share(point) / top;
        let _ = writeln!(
            text,
            "<rect class=\"bad\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{height:.1}\"/>",
            LEFT + step * index as f64,
            floor - height,
            step.max(1.0)
        );
    }
}

fn evidence(text: &mut String, points: &[PointView], step: f64) {
    let floor = SECOND + PANEL;
    text.push_str(&svg::axis(floor, PANEL, "needed", "evidence"));
    let limit = floor - PANEL;
    let right = LEFT + INNER;
    let _ = writeln!(text, "<path class=\"limit\" d=\"M{LEFT} {limit} H{right}\"/>");
    let mut path = String::new();
    let mut is_decided = false;
    for (index, point) in points.iter().enumerate() {
        let x = LEFT + step * index as f64;
        if is_decided {
            break;
        }
        let height = PANEL * point.evidence.clamp(0.0, 1.0);
        let _ = write!(path, "{}{x:.1} {:.1}", if index == 0 { "M" } else { " L" }, floor - height);
        match point.verdict {
            State::Pass => {}
            State::Hold => {
                let width = step.max(1.0);
                let _ = writeln!(
                    text,
                    "<rect class=\"hold\" x=\"{x:.1}\" y=\"{limit}\" width=\"{width:.1}\" height=\"{PANEL}\"/>"
                );
            }
            State::Fail => {
                is_decided = true;
                let _ = writeln!(text, "<path class=\"abort\" d=\"M{x:.1} {FIRST} V{floor}\"/>");
            }
        }
    }
    if !path.is_empty() {
        let _ = writeln!(text, "<path class=\"proof\" d=\"{path}\"/>");
    }
}
