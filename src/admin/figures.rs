//! `GET /api/metrics`: the figures under the names that runbooks grep for.

use super::State;
use super::params::Query;
use super::problem::Problem;
use super::shapes::FiguresView;
use crate::control::view::{PoolView, ServiceView, WindowView};
use axum::Json;
use axum::extract::State as Extract;
use serde::Deserialize;
use std::sync::Arc;
use utoipa::ToSchema;

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FiguresFilter {
    service: Option<String>,
}

/// Of one service, or of all together.
pub(super) async fn show(
    Extract(state): Extract<State>,
    Query(filter): Query<FiguresFilter>,
) -> Result<Json<FiguresView>, Problem> {
    let snapshot = state.snapshots.borrow().clone();
    let services: Vec<Arc<ServiceView>> = match &filter.service {
        Some(name) => vec![state.service(name)?],
        None => snapshot.services.values().cloned().collect(),
    };
    let is_meant = |service: &str| match &filter.service {
        Some(name) => service == name,
        None => snapshot.services.get(service).is_some(),
    };
    let (total, failed) = state.metrics.attempts(is_meant);
    let pools = services.iter().flat_map(|service| service.pools.values());
    let pools: Vec<&PoolView> = pools.collect();
    let windows: Vec<&WindowView> = pools.iter().map(|pool| &pool.window).collect();
    Ok(Json(FiguresView {
        http_requests_total: total,
        http_requests_failed: failed,
        database_connections: worst(&pools, "database_connections"),
        memory_usage_mb: worst(&pools, "memory_usage_mb"),
        cpu_usage_percent: worst(&pools, "cpu_usage_percent"),
        ..over(&windows)
    }))
}

/// The highest value of a signal over the pools that are scraped for it.
fn worst(pools: &[&PoolView], signal: &str) -> Option<f64> {
    pools.iter().filter_map(|pool| pool.signals.get(signal).copied()).reduce(f64::max)
}

/// The rates of several pools together.
fn over(windows: &[&WindowView]) -> FiguresView {
    let requests: u64 = windows.iter().map(|window| window.requests).sum();
    if requests == 0 {
        return FiguresView::default();
    }
    let failures: u64 = windows.iter().map(|window| window.failures).sum();
    let time_ms: f64 = windows.iter().map(|window| window.requests as f64 * window.latency_ms.mean).sum();
    FiguresView {
        http_requests_duration_seconds: time_ms / requests as f64 / 1000.0,
        error_rate_percent: failures as f64 / requests as f64 * 100.0,
        response_time_ms: windows.iter().map(|window| window.latency_ms.p95).fold(0.0, f64::max),
        ..FiguresView::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::view::LatencyView;

    #[test]
    fn pools_count_by_their_requests() {
        let window = |requests, failures, mean, p95| WindowView {
            requests,
            failures,
            latency_ms: LatencyView { mean, p95, ..LatencyView::default() },
            ..WindowView::default()
        };
        let figures =
            over(&[&window(900, 0, 10.0, 20.0), &window(100, 10, 110.0, 300.0), &window(0, 0, 0.0, 0.0)]);
        assert!((figures.http_requests_duration_seconds - 0.02).abs() < 1e-12);
        assert_eq!((figures.error_rate_percent, figures.response_time_ms), (1.0, 300.0));
        assert_eq!(over(&[&window(0, 0, 0.0, 0.0)]), FiguresView::default());
    }
}
