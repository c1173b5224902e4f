//! Commands about maintenance.

use super::Done;
use super::args::Maintenance;
use super::client::{Client, Failure};
use super::out::Out;
use crate::admin::shapes::{MaintenanceBody, MaintenanceStatus};
use crate::control::view::{MaintenanceView, StretchView};
use crate::core::duration;
use reqwest::Method;
use std::time::Duration;

pub(super) async fn run(client: &Client, action: Maintenance, out: &Out) -> Result<Done, Failure> {
    let path = ["v1", "maintenance"];
    let body = match action {
        Maintenance::Status => {
            let view = client.get(&path).await?;
            out.show(&view, text);
            return Ok(Done::Well);
        }
        Maintenance::On { duration, service } => MaintenanceBody {
            status: MaintenanceStatus::Maintenance,
            duration: duration.map(duration::show),
            service,
            ..MaintenanceBody::default()
        },
        Maintenance::Off { service } => {
            MaintenanceBody { status: MaintenanceStatus::Operational, service, ..MaintenanceBody::default() }
        }
    };
    let view = client.send_json(Method::PUT, &path, &[], &body).await?;
    out.show(&view, text);
    Ok(Done::Well)
}

/// One line for the site and for each service.
pub(super) fn text(view: &MaintenanceView) -> String {
    let site = view.site.iter().map(|stretch| ("the whole site", stretch));
    let services = view.services.iter().map(|(name, stretch)| (name.as_str(), stretch));
    let lines: Vec<_> = site.chain(services).map(|(scope, stretch)| line(scope, stretch)).collect();
    if lines.is_empty() { "nothing is under maintenance".into() } else { lines.join("\n") }
}

/// `web is under maintenance until …`
pub(super) fn line(scope: &str, stretch: &StretchView) -> String {
    let left = stretch.remaining_seconds.map(|seconds| duration::show(Duration::from_secs(seconds)));
    let until = match (&stretch.until, left) {
        (Some(until), Some(left)) => format!("until {until}, {left} left"),
        _ => "until it is switched off".into(),
    };
    format!("{scope} is under maintenance {until}, by {}", stretch.by)
}
