//! Names that a shell completes: those that the admin API knows at the time. Where it does not answer at once, there
//! are none.

use super::args::{Connection, Format};
use super::client::Client;
use crate::control::view::{ServiceView, SetView};
use crate::core::fleet::status::FleetView;
use clap::Parser;
use clap_complete::engine::CompletionCandidate;
use serde::de::DeserializeOwned;
use std::ffi::OsStr;
use std::time::Duration;

/// Somebody waits with a finger on the key.
const PATIENCE: Duration = Duration::from_secs(1);

pub(super) fn services(typed: &OsStr) -> Vec<CompletionCandidate> {
    let names = ask::<Vec<ServiceView>>("services").into_iter().map(|of| {
        let stable = format!("stable {}", of.stable);
        CompletionCandidate::new(of.name).help(Some(stable.into()))
    });
    beginning_with(names, typed)
}

pub(super) fn services_and_sets(typed: &OsStr) -> Vec<CompletionCandidate> {
    let sets = ask::<Vec<SetView>>("sets").into_iter().map(|of| {
        let services = of.services.join(", ");
        CompletionCandidate::new(of.name).help(Some(services.into()))
    });
    services(typed).into_iter().chain(beginning_with(sets, typed)).collect()
}

/// Pools of the service that stands on the line, or of all.
pub(super) fn pools(typed: &OsStr) -> Vec<CompletionCandidate> {
    beginning_with(pool_names().into_iter().map(CompletionCandidate::new), typed)
}

pub(super) fn pools_or_idle(typed: &OsStr) -> Vec<CompletionCandidate> {
    let names = pool_names().into_iter().chain(["idle".to_owned()]);
    beginning_with(names.map(CompletionCandidate::new), typed)
}

/// `blue=`: the percents are typed.
pub(super) fn weights(typed: &OsStr) -> Vec<CompletionCandidate> {
    beginning_with(pool_names().into_iter().map(|pool| CompletionCandidate::new(pool + "=")), typed)
}

/// Addresses of the service and the pools that stand on the line.
pub(super) fn upstreams(typed: &OsStr) -> Vec<CompletionCandidate> {
    let words = words();
    let addresses = of_the_line().into_iter().flat_map(|service| service.pools).filter_map(|(name, pool)| {
        words
            .contains(&name)
            .then(|| pool.upstreams.into_iter().map(|of| CompletionCandidate::new(of.address)))
    });
    beginning_with(addresses.flatten(), typed)
}

/// Members of the fleet that are gone.
pub(super) fn members(typed: &OsStr) -> Vec<CompletionCandidate> {
    let fleet = ask::<FleetView>("fleet");
    let gone = fleet.missing().map(|member| {
        let since = member.last_seen.as_ref().map(|since| format!("gone since {since}"));
        CompletionCandidate::new(member.name.clone()).help(since.map(Into::into))
    });
    beginning_with(gone, typed)
}

fn beginning_with(
    names: impl Iterator<Item = CompletionCandidate>,
    typed: &OsStr,
) -> Vec<CompletionCandidate> {
    let begin = typed.as_encoded_bytes();
    names.filter(|name| name.get_value().as_encoded_bytes().starts_with(begin)).collect()
}

fn pool_names() -> Vec<String> {
    let mut names: Vec<String> = of_the_line().into_iter().flat_map(|of| of.pools.into_keys()).collect();
    names.sort();
    names.dedup();
    names
}

/// The services that stand on the line; all where none does.
fn of_the_line() -> Vec<ServiceView> {
    let (words, mut services) = (words(), ask::<Vec<ServiceView>>("services"));
    if services.iter().any(|of| words.contains(&of.name)) {
        services.retain(|of| words.contains(&of.name));
    }
    services
}

/// The line so far: a shell passes it on as arguments.
fn words() -> Vec<String> {
    std::env::args().collect()
}

/// Flags as the environment has them.
#[derive(Parser)]
struct Surroundings {
    #[command(flatten)]
    connection: Connection,
}

fn ask<T: DeserializeOwned + Default>(what: &str) -> T {
    let answer = || {
        let Surroundings { connection } = Surroundings::try_parse_from([""]).ok()?;
        let client = Client::new(&connection, Format::Text).ok()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
        let asked = async { tokio::time::timeout(PATIENCE, client.get(&["v1", what])).await };
        runtime.block_on(asked).ok()?.ok()
    };
    answer().unwrap_or_default()
}
