//! The instance's part in a fleet, where the configuration has one.

use crate::control::fleet::FleetSeam;
use crate::control::journal::Journal;
use crate::core::secret::Secret;
use crate::core::settings::Config;
use crate::fleet::{FleetRunning, FleetStart};
use crate::observe::clock::Clock;
use crate::observe::metrics::Metrics;
use tokio::runtime::Runtime;

/// Begins it, and waits a little while until it is known what the fleet has in effect.
///
/// # Errors
/// When no client of etcd can be made by the configuration, or the state store cannot be written.
pub(super) fn start(
    config: &Config,
    journal: &Journal,
    aborted: impl IntoIterator<Item = String>,
    (clock, metrics): (Clock, &Metrics),
    runtime: &Runtime,
) -> anyhow::Result<Option<(FleetRunning, FleetSeam)>> {
    let Some(fleet) = &config.fleet else { return Ok(None) };
    let start = FleetStart {
        name: fleet.name.clone(),
        etcd: fleet.etcd.clone(),
        prefix: fleet.prefix.clone(),
        lease: fleet.lease,
        forget: fleet.forget,
        missing: fleet.missing,
        config: config.shared_digest.clone(),
        secret: fleet.secret.key("fleet", "").iter().take(8).map(|byte| format!("{byte:02x}")).collect(),
        sealing: fleet.secret.clone(),
        services: config.services.keys().map(|name| name.as_str().into()).collect(),
        aborted: aborted.into_iter().collect(),
        journal: journal.clone(),
        clock,
        times: metrics.fleet_times().clone(),
    };
    let (running, seam) = runtime.block_on(start.begin(runtime.handle()))?;
    metrics.show_fleet(running.handle.view.clone())?;
    Ok(Some((running, seam)))
}

/// The secret that all members have, or the instance's own.
pub(super) fn secret(config: &Config, own: Secret) -> Secret {
    config.fleet.as_ref().map_or(own, |fleet| fleet.secret.clone())
}
