//! The course of a rollout as a picture: the weights over time, where it was held or waited for somebody, the failures as
//! far as points reach, the last requests that failed, and how it ended.
//!
//! It is drawn of the history's rows, so that a rollout of last month has one, too. The file stands alone: nothing in it
//! is loaded or run.

mod draw;

use super::State;
use super::frames;
use super::params::Named;
use super::problem::{Problem, ProblemType};
use super::rollouts::find;
use super::shapes::PoolSeries;
use crate::control::view::{FailureView, HistoryView, RolloutView};
use crate::observe::clock::wall;
use axum::extract::State as Extract;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;

/// Rows that are read at once, and pages of them.
const ROWS: usize = 500;
const PAGES: usize = 20;
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox";

/// What a course is drawn of; times are in milliseconds since 1970.
#[derive(Debug, Default)]
pub(super) struct Course {
    pub title: String,
    pub reason: String,
    pub began: i64,
    pub ended: i64,
    /// The candidate's weight in percent from each moment on, the oldest first.
    pub weights: Vec<(i64, f64)>,
    pub marks: Vec<Mark>,
    /// Attempts of the candidate and those of them that failed, by the second, as far as points reach.
    pub points: Vec<(i64, u32, u32)>,
    /// The last requests that failed on the candidate, oldest first, each with what is known of it.
    pub failures: Vec<(i64, String)>,
}

/// Something that happened.
#[derive(Debug)]
pub(super) struct Mark {
    pub kind: MarkKind,
    pub from: i64,
    /// The same as `from` for a moment.
    pub until: i64,
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MarkKind {
    /// The verdict holds it.
    Hold,
    /// It waits for somebody: at a gate, or paused.
    Gate,
    Step,
    Promoted,
    Aborted,
}

pub(super) async fn show(
    Extract(state): Extract<State>,
    Named((service, id)): Named<(String, String)>,
) -> Result<Response, Problem> {
    let rollout = find(&state.snapshots.borrow(), &service, &id)?;
    let rows = rows(&state, &rollout).await?;
    let view = state.service(&service)?;
    let series = frames::series_of(&state, &view);
    let points = series.pools.get(&rollout.to).map(|pool| points(series.from, pool)).unwrap_or_default();
    let picture = draw::draw(&Course::of(&rollout, &rows, points, wall().as_millisecond()));
    let headers = [
        (header::CONTENT_TYPE, "image/svg+xml"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    Ok((headers, picture).into_response())
}

/// The rows of the rollout, the oldest first.
async fn rows(state: &State, rollout: &RolloutView) -> Result<Vec<HistoryView>, Problem> {
    let began = moment(&rollout.started_at).unwrap_or_default();
    let (mut found, mut before) = (Vec::new(), None);
    for _ in 0..PAGES {
        let page = state.journal.history(Some(rollout.service.clone()), before, ROWS).await;
        let page = page.map_err(|error| Problem::new(ProblemType::Unavailable, error.to_string()))?;
        before = page.last().map(|row| row.id);
        let is_last =
            page.len() < ROWS || page.last().and_then(|row| moment(&row.at)).is_some_and(|at| at < began);
        found.extend(page.into_iter().filter(|row| row.rollout.as_ref() == Some(&rollout.id)));
        if is_last {
            break;
        }
    }
    found.reverse();
    Ok(found)
}

/// Milliseconds since 1970.
fn moment(text: &str) -> Option<i64> {
    text.parse::<Timestamp>().ok().map(|at| at.as_millisecond())
}

fn points(from: u64, pool: &PoolSeries) -> Vec<(i64, u32, u32)> {
    // A point is taken when its second has ended.
    let seconds = i64::try_from(from).unwrap_or_default() - 1..;
    let counts = pool.requests.iter().zip(&pool.failures);
    seconds.zip(counts).map(|(second, (requests, failures))| (second * 1000, *requests, *failures)).collect()
}

impl Course {
    fn of(rollout: &RolloutView, rows: &[HistoryView], points: Vec<(i64, u32, u32)>, now: i64) -> Self {
        let began = moment(&rollout.started_at).unwrap_or(now);
        let ended = rollout.ended_at.as_deref().and_then(moment).unwrap_or(now).max(began + 1);
        let version = rollout.version.as_ref().unwrap_or(&rollout.to);
        let weight = |row: &HistoryView| row.figures.pointer("/weights")?.get(&rollout.to)?.as_f64();
        let weights = rows.iter().filter_map(|row| Some((moment(&row.at)?, weight(row)?)));
        let within = |(at, _, _): &(i64, u32, u32)| *at + 1000 > began && *at < ended + 1000;
        Course {
            title: format!("{}: {version} on {}, {}", rollout.service, rollout.to, rollout.phase),
            reason: rollout.reason.clone().unwrap_or_default(),
            began,
            ended,
            weights: weights.collect(),
            marks: marks(rows, ended),
            points: points.into_iter().filter(within).collect(),
            failures: rollout
                .failures
                .iter()
                .filter_map(|of| Some((moment(&of.at)?, sentence(of))))
                .collect(),
        }
    }
}

/// `GET /users/* answered 500 on 10.0.0.3:3000, request 7f3a`.
fn sentence(failure: &FailureView) -> String {
    let FailureView { request, request_id, outcome, .. } = failure;
    let came_to = match (failure.status, &**outcome) {
        (Some(status), "status") => format!("answered {status}"),
        (Some(status), _) => format!("answered {status}, {outcome}"),
        (None, _) => outcome.clone(),
    };
    let place = failure.upstream.as_ref().map(|upstream| format!(" on {upstream}")).unwrap_or_default();
    format!("{request} {came_to}{place}, request {request_id}")
}

/// What the rows say; a hold or a gate lasts until the row that ends it.
fn marks(rows: &[HistoryView], ended: i64) -> Vec<Mark> {
    let mut marks = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        let Some(from) = moment(&row.at) else { continue };
        let (kind, over): (_, &[&str]) = match row.action.as_str() {
            "held" => (MarkKind::Hold, &["passing", "step", "baking", "promoted", "aborted"]),
            "approval" => (MarkKind::Gate, &["approved", "aborted", "promoted"]),
            "paused" => (MarkKind::Gate, &["resumed", "aborted", "promoted"]),
            "started" | "step" | "baking" => (MarkKind::Step, &[]),
            "promoted" => (MarkKind::Promoted, &[]),
            "aborted" => (MarkKind::Aborted, &[]),
            _ => continue,
        };
        let lasts = !over.is_empty();
        let end = rows.iter().skip(index + 1).find(|row| over.contains(&row.action.as_str()));
        let until = end.and_then(|row| moment(&row.at)).unwrap_or(if lasts { ended } else { from });
        marks.push(Mark { kind, from, until, text: row.text.clone() });
    }
    marks
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn row(second: i64, action: &str, weight: f64, text: &str) -> HistoryView {
        HistoryView {
            id: second.unsigned_abs(),
            at: Timestamp::from_second(second).expect("a time").to_string(),
            service: "web".into(),
            actor: "pointsman".into(),
            action: action.into(),
            text: text.into(),
            figures: json!({ "weights": { "blue": 100.0 - weight, "green": weight } }),
            rollout: Some("web-1".into()),
            address: None,
        }
    }

    fn course(rows: &[HistoryView]) -> Course {
        let rollout = RolloutView {
            service: "web".into(),
            to: "green".into(),
            version: Some("v2 <script>".into()),
            phase: "aborted".into(),
            reason: Some("error_rate: 3 of 40 & more".into()),
            failures: (0..9).map(failure).collect(),
            started_at: Timestamp::from_second(100).expect("a time").to_string(),
            ended_at: Some(Timestamp::from_second(200).expect("a time").to_string()),
            ..empty()
        };
        Course::of(&rollout, rows, vec![(90_000, 9, 9), (150_000, 10, 1), (151_000, 10, 0)], 300_000)
    }

    /// All of them in one second, as when a version is broken at once.
    fn failure(number: i64) -> FailureView {
        FailureView {
            at: Timestamp::from_millisecond(151_000 + number).expect("a time").to_string(),
            request_id: format!("id-{number}"),
            request: "GET /users/*".into(),
            status: (number > 0).then_some(500),
            outcome: if number > 0 { "status".into() } else { "reset".into() },
            upstream: Some("10.0.0.3:80".into()),
        }
    }

    fn empty() -> RolloutView {
        let plain = json!({
            "id": "web-1", "service": "", "strategy": "canary", "from": "blue", "to": "", "version": null,
            "phase": "", "step": 0, "steps": [], "weight": 0.0, "verdict": { "state": "pass", "reasons": [] },
            "started_at": "", "updated_at": "", "ended_at": null, "outcome": null, "reason": null, "revision": 1,
        });
        serde_json::from_value(plain).expect("a view")
    }

    #[test]
    fn rows_are_weights_and_marks_with_their_lengths() {
        let rows = [
            row(100, "started", 0.0, "begins"),
            row(110, "step", 5.0, "step 1 of 3"),
            row(120, "held", 5.0, "needs more attempts"),
            row(150, "passing", 5.0, "passes again"),
            row(160, "approval", 5.0, "waits for an approval"),
            row(200, "aborted", 0.0, "<b>broken</b>"),
        ];
        let course = course(&rows);
        assert_eq!(course.weights.len(), 6);
        assert_eq!((course.began, course.ended), (100_000, 200_000));
        let marks: Vec<_> = course.marks.iter().map(|mark| (mark.kind, mark.from, mark.until)).collect();
        assert!(marks.contains(&(MarkKind::Hold, 120_000, 150_000)), "{marks:?}");
        assert!(marks.contains(&(MarkKind::Gate, 160_000, 200_000)), "{marks:?}");
        assert!(marks.contains(&(MarkKind::Aborted, 200_000, 200_000)), "{marks:?}");
        assert_eq!(course.points.len(), 2, "what came before it is not its own");
        let picture = draw::draw(&course);
        for part in [
            "v2 &lt;script&gt;",
            "3 of 40 &amp; more",
            "&lt;b&gt;broken",
            "class=\"hold\"",
            "class=\"gate\"",
            "class=\"abort\"",
            "class=\"bad\"",
        ] {
            assert!(picture.contains(part), "{part}: {picture}");
        }
        for title in [
            "<title>1970-01-01 00:02:31 UTC GET /users/* reset on 10.0.0.3:80, request id-0</title>",
            "<title>1970-01-01 00:02:31 UTC GET /users/* answered 500 on 10.0.0.3:80, request id-8</title>",
        ] {
            assert!(picture.contains(title), "{title}: {picture}");
        }
        let dots: std::collections::BTreeSet<_> = picture
            .lines()
            .filter(|line| line.starts_with("<circle"))
            .map(|line| line.split('>').next())
            .collect();
        assert_eq!(dots.len(), 9, "none covers another: {picture}");
        assert!(!picture.contains("<script") && !picture.contains("<b>"), "{picture}");
    }

    #[test]
    fn requests_that_failed_at_once_cover_neither_each_other_nor_the_beginning() {
        for at in [100_000, 150_000, 200_000] {
            let failures = (0..20).map(|_| (at, "GET / reset".to_owned())).collect();
            let picture =
                draw::draw(&Course { began: 100_000, ended: 200_000, failures, ..Course::default() });
            let dots = picture.lines().filter_map(|line| line.strip_prefix("<circle class=\"bad\" cx=\""));
            let dots: std::collections::BTreeSet<_> =
                dots.filter_map(|dot| dot.split(" r=").next()).collect();
            let left = dots.iter().filter_map(|dot| dot.split('"').next()?.parse::<f64>().ok());
            assert_eq!(dots.len(), 20, "{picture}");
            assert!(left.fold(f64::INFINITY, f64::min) >= 84.0, "{picture}");
        }
    }

    #[test]
    fn a_course_without_rows_or_time_is_drawn_too() {
        let picture = draw::draw(&Course { began: 5, ended: 5, ..Course::default() });
        assert!(
            picture.ends_with("</svg>\n") && !picture.contains("NaN") && !picture.contains("inf"),
            "{picture}"
        );
    }
}
