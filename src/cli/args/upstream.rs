//! What can be typed about upstreams.

use crate::cli::names;
use crate::core::duration;
use clap::Subcommand;
use clap_complete::engine::ArgValueCompleter;
use std::time::Duration;

#[derive(Debug, Subcommand)]
pub enum Upstreams {
    /// Replace the upstreams of a pool: `upstreams set web green 10.0.0.3:3000 10.0.0.4:3000`.
    Set {
        /// The service.
        #[arg(add = ArgValueCompleter::new(names::services))]
        service: String,
        /// The pool.
        #[arg(add = ArgValueCompleter::new(names::pools))]
        pool: String,
        #[arg(required = true, value_name = "ADDRESS")]
        addresses: Vec<String>,
    },
    /// Go back to the upstreams of the configuration.
    Reset {
        /// The service.
        #[arg(add = ArgValueCompleter::new(names::services))]
        service: String,
        /// The pool.
        #[arg(add = ArgValueCompleter::new(names::pools))]
        pool: String,
    },
}

#[derive(Debug, clap::Args)]
pub struct Upstream {
    /// The service.
    #[arg(add = ArgValueCompleter::new(names::services))]
    pub service: String,
    /// The pool.
    #[arg(add = ArgValueCompleter::new(names::pools))]
    pub pool: String,
    /// As in the configuration: `10.0.0.1:3000`.
    #[arg(add = ArgValueCompleter::new(names::upstreams))]
    pub upstream: String,
}

#[derive(Debug, clap::Args)]
pub struct Drain {
    #[command(flatten)]
    pub upstream: Upstream,
    /// Return when nothing is in flight on it any more; exit 0 then, 4 when the time is over first.
    #[arg(long)]
    pub wait: bool,
    /// How long to wait at most.
    #[arg(long, value_parser = duration::parse, requires = "wait")]
    pub timeout: Option<Duration>,
}
