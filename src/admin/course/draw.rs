//! The course as SVG. Writing to a text cannot fail.

use super::{Course, Mark, MarkKind};
use crate::core::svg::{self, INNER, LEFT, escaped};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::fmt::Write;

const PANEL: f64 = 120.0;
/// The floors of the panels: weights, and failures below.
const WEIGHTS: f64 = 58.0 + PANEL;
const FAILURES: f64 = WEIGHTS + PANEL + 24.0;
const HEIGHT: f64 = FAILURES + 44.0;
/// Below: a dot for each of the last requests that failed, in rows where they would cover each other.
const DOTS: [f64; 4] = [8.0, 15.0, 22.0, 29.0];
const DOT: f64 = 2.5;
const STRIP: f64 = 32.0;
/// Columns of the failures, at most; none is shorter than a second.
const COLUMNS: i64 = 190;

pub(super) fn draw(course: &Course) -> String {
    let strip = if course.failures.is_empty() { 0.0 } else { STRIP };
    let mut text = svg::head(&course.title, HEIGHT + strip);
    text.push_str(&svg::line(&course.reason, 44.0));
    stretches(&mut text, course);
    text.push_str(&svg::axis(WEIGHTS, PANEL, "100 %", "weight"));
    weights(&mut text, course);
    failures(&mut text, course);
    moments(&mut text, course);
    dots(&mut text, course);
    text.push_str(&svg::times(&time(course.began), &time(course.ended), FAILURES + strip + 20.0));
    let mut key =
        "blue: the candidate · grey: stable · amber: held · shaded blue: waits for somebody".to_owned();
    if strip > 0.0 {
        key.push_str(" · dots: the last failed requests");
    }
    text.push_str(&svg::line(&key, FAILURES + strip + 36.0));
    text + "</svg>\n"
}

fn time(at: i64) -> String {
    Timestamp::from_millisecond(at)
        .map(|at| at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
        .unwrap_or_default()
}

impl Course {
    /// Where a moment is, from the left.
    fn x(&self, at: i64) -> f64 {
        let lasts = (self.ended - self.began).max(1) as f64;
        LEFT + INNER * ((at - self.began) as f64 / lasts).clamp(0.0, 1.0)
    }
}

/// Holds and gates, behind the curves.
fn stretches(text: &mut String, course: &Course) {
    for mark in &course.marks {
        let class = match mark.kind {
            MarkKind::Hold => "hold",
            MarkKind::Gate => "gate",
            MarkKind::Step | MarkKind::Promoted | MarkKind::Aborted => continue,
        };
        let (from, until) = (course.x(mark.from), course.x(mark.until));
        let (width, top, height) = ((until - from).max(1.0), WEIGHTS - PANEL, FAILURES - WEIGHTS + PANEL);
        let _ = writeln!(
            text,
            "<rect class=\"{class}\" x=\"{from:.1}\" y=\"{top}\" width=\"{width:.1}\" height=\"{height}\">{}</rect>",
            title(mark)
        );
    }
}

/// Steps, and how it ended.
fn moments(text: &mut String, course: &Course) {
    for mark in &course.marks {
        let class = match mark.kind {
            MarkKind::Step => "mark",
            MarkKind::Promoted => "done",
            MarkKind::Aborted => "abort",
            MarkKind::Hold | MarkKind::Gate => continue,
        };
        let (x, top) = (course.x(mark.from), WEIGHTS - PANEL);
        let _ =
            writeln!(text, "<path class=\"{class}\" d=\"M{x:.1} {top} V{FAILURES}\">{}</path>", title(mark));
    }
}

fn title(mark: &Mark) -> String {
    format!("<title>{} {}</title>", time(mark.from), escaped(&mark.text))
}

/// Each weight stands until the next one.
fn weights(text: &mut String, course: &Course) {
    let Some((_, first)) = course.weights.first() else { return };
    let y = |percent: f64| WEIGHTS - PANEL * percent.clamp(0.0, 100.0) / 100.0;
    let path = |of: &dyn Fn(f64) -> f64| {
        let mut path = format!("M{LEFT} {:.1}", y(of(*first)));
        for (at, percent) in &course.weights {
            let _ = write!(path, " H{:.1} V{:.1}", course.x(*at), y(of(*percent)));
        }
        path + &format!(" H{:.1}", course.x(course.ended))
    };
    let _ = writeln!(text, "<path class=\"stable\" d=\"{}\"/>", path(&|percent| 100.0 - percent));
    let _ = writeln!(text, "<path class=\"proof\" d=\"{}\"/>", path(&|percent| percent));
}

/// The share of the candidate's attempts that failed, as far as points reach.
fn failures(text: &mut String, course: &Course) {
    let column_ms = ((course.ended - course.began) / COLUMNS).max(1000);
    let first = course.began - course.began.rem_euclid(1000);
    let mut columns: BTreeMap<i64, (u64, u64)> = BTreeMap::new();
    for (at, requests, failures) in &course.points {
        let column = columns.entry((at - first).div_euclid(column_ms)).or_default();
        *column = (column.0 + u64::from(*requests), column.1 + u64::from(*failures));
    }
    let share = |(requests, failures): &(u64, u64)| *failures as f64 / (*requests).max(1) as f64;
    let top = columns.values().map(share).fold(0.0, f64::max);
    let shown = if top > 0.0 { format!("{:.1} %", top * 100.0) } else { String::new() };
    text.push_str(&svg::axis(FAILURES, PANEL, &shown, "failed"));
    if course.points.is_empty() {
        text.push_str(&svg::line(
            "no figures by the second: those reach back 15 minutes",
            FAILURES - PANEL / 2.0,
        ));
    }
    for (index, column) in columns.iter().filter(|(_, column)| column.1 > 0) {
        let (x, end) = (course.x(first + index * column_ms), course.x(first + (index + 1) * column_ms));
        let (width, height) = ((end - x).max(1.0), PANEL * share(column) / top);
        let y = FAILURES - height;
        let _ = writeln!(
            text,
            "<rect class=\"bad\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>"
        );
    }
}

/// A dot a request, with what is known of it.
fn dots(text: &mut String, course: &Course) {
    if course.failures.is_empty() {
        return;
    }
    text.push_str(&svg::label("requests", FAILURES + DOTS[1] + 4.0));
    let wanted: Vec<_> = course.failures.iter().map(|(at, _)| course.x(*at)).collect();
    for ((at, words), (x, row)) in course.failures.iter().zip(places(&wanted)) {
        let (at, y, words) = (time(*at), FAILURES + DOTS[row], escaped(words));
        let _ = writeln!(
            text,
            "<circle class=\"bad\" cx=\"{x:.1}\" cy=\"{y}\" r=\"{DOT}\"><title>{at} {words}</title></circle>"
        );
    }
}

/// Where dots stand that are wanted at these places, and in which row. Those that would cover each other stand in several
/// rows, and to the left where all rows are full: the last ones, which decided, stand where they belong.
fn places(wanted: &[f64]) -> Vec<(f64, usize)> {
    let apart = DOT * 2.0 + 1.0;
    let mut places = Vec::new();
    let mut free = DOTS.map(|_| f64::INFINITY);
    for x in wanted.iter().rev() {
        let row = free.iter().position(|until| x <= until);
        let roomiest = |one: &usize, other: &usize| free[*one].total_cmp(&free[*other]);
        let row = row.unwrap_or_else(|| (0..DOTS.len()).max_by(roomiest).unwrap_or_default());
        let x = x.min(free[row]);
        free[row] = x - apart;
        places.push((x, row));
    }
    places.reverse();
    // Nothing stands before the beginning.
    let mut free = DOTS.map(|_| LEFT);
    for (x, row) in &mut places {
        *x = x.max(free[*row]);
        free[*row] = *x + apart;
    }
    places
}
