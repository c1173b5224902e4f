//! The course as SVG: stands alone, and is legible on light and dark pages.

use super::chart::{columns, failed_share};
use super::report::{PointView, Report, StretchView};
use crate::core::verdict::State;
use std::fmt::Write;

const WIDTH: f64 = 860.0;
/// The drawing within its margins, and the height of one stretch.
const LEFT: f64 = 84.0;
const INNER: f64 = 760.0;
const BLOCK: f64 = 346.0;
const PANEL: f64 = 100.0;
/// Where the first panel begins, below two lines of text, and the second.
const FIRST: f64 = 46.0;
const SECOND: f64 = FIRST + PANEL + 20.0;
/// Characters that fit on a line.
const FITS: usize = 118;
/// Stretches that are drawn.
const MOST: usize = 20;
const COLUMNS: usize = 256;

/// Plain colours first, for what draws SVG without variables or media queries; browsers know both.
const STYLE: &str = "\
    text { font: 12px system-ui, sans-serif; fill: #1c2024 } text.faint { fill: #6b737b }\n\
    .paper { fill: #ffffff } .bad { fill: #c62828 } .hold { fill: #ef9a00; opacity: .25 }\n\
    .proof { fill: none; stroke: #1565c0; stroke-width: 1.5 } .axis { stroke: #8b929a; fill: none }\n\
    .limit { stroke: #1c2024; stroke-dasharray: 4 3 } .abort { stroke: #c62828; stroke-width: 2 }\n\
    @media (prefers-color-scheme: dark) {\n\
    text { fill: #e6e8ea } text.faint { fill: #9aa2aa } .paper { fill: #15181b } .bad { fill: #ff6b6b }\n\
    .hold { fill: #ffca28 } .proof { stroke: #64b5f6 } .axis { stroke: #868e96 } .limit { stroke: #e6e8ea }\n\
    .abort { stroke: #ff6b6b } }\n";

/// Writing to a text cannot fail.
pub(super) fn draw(report: &Report) -> String {
    let stretches = &report.stretches[..report.stretches.len().min(MOST)];
    let height = 40.0 + BLOCK * stretches.len().max(1) as f64;
    let mut title = format!("{} under the policy {}", report.roles.candidate, report.policy);
    if report.stretches.len() > MOST {
        let _ = write!(title, ", the first {MOST} of {} stretches", report.stretches.len());
    }
    let title = escaped(&title);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
         aria-label=\"{title}\">\n<title>{title}</title>\n<style>\n{STYLE}</style>\n\
         <rect class=\"paper\" width=\"{WIDTH}\" height=\"{height}\"/>\n\
         <text x=\"{LEFT}\" y=\"26\" font-weight=\"bold\">{title}</text>\n"
    );
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
    let short: String = why.chars().take(FITS).collect();
    let more = if short.len() < why.len() { "…" } else { "" };
    let (short, why) = (escaped(&short), escaped(why));
    let _ = writeln!(
        text,
        "<text class=\"faint\" x=\"{LEFT}\" y=\"32\">{short}{more}<title>{why}</title></text>"
    );
    failures(text, &points, step, if top > 0.0 { top } else { 1.0 });
    evidence(text, &points, step);
    let below = SECOND + PANEL + 20.0;
    let right = LEFT + INNER;
    let _ =
        writeln!(text, "<text class=\"faint\" x=\"{LEFT}\" y=\"{below}\">{}</text>", escaped(&view.began));
    let _ = writeln!(
        text,
        "<text class=\"faint\" x=\"{right}\" y=\"{below}\" text-anchor=\"end\">{}</text>",
        escaped(&view.ended)
    );
}

fn failures(text: &mut String, points: &[PointView], step: f64, top: f64) {
    let floor = FIRST + PANEL;
    axis(text, floor, &format!("{:.1} %", top * 100.0), "failed");
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
    axis(text, floor, "needed", "evidence");
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

fn axis(text: &mut String, floor: f64, top: &str, name: &str) {
    let (ceiling, right, label) = (floor - PANEL, LEFT + INNER, LEFT - 8.0);
    let _ = writeln!(text, "<path class=\"axis\" d=\"M{LEFT} {ceiling} V{floor} H{right}\"/>");
    for (y, words) in [(ceiling + 4.0, top), (ceiling + PANEL / 2.0, name), (floor, "0")] {
        let _ = writeln!(text, "<text x=\"{label}\" y=\"{y}\" text-anchor=\"end\">{words}</text>");
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
