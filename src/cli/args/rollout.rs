//! What can be typed about rollouts.

use crate::cli::names;
use crate::core::duration;
use clap::Subcommand;
use clap_complete::engine::ArgValueCompleter;
use std::time::Duration;

#[derive(Debug, Subcommand)]
pub enum Rollout {
    /// Start making a pool stable, step by step under the service's policy.
    Start(Start),
    /// Show the service's rollout, running or last.
    Status {
        /// A service, or a set.
        #[arg(add = ArgValueCompleter::new(names::services_and_sets))]
        service: String,
    },
    /// Show what the running rollout does until it ends.
    Watch(Watch),
    /// Hold the weights where they are.
    Pause {
        /// A service, or a set.
        #[arg(add = ArgValueCompleter::new(names::services_and_sets))]
        service: String,
    },
    /// Go on after a pause, or past a gate: the approval.
    Resume {
        /// A service, or a set.
        #[arg(add = ArgValueCompleter::new(names::services_and_sets))]
        service: String,
    },
    /// Skip the remaining steps: all traffic to the candidate, which becomes stable.
    Promote {
        /// A service, or a set.
        #[arg(add = ArgValueCompleter::new(names::services_and_sets))]
        service: String,
    },
    /// Stop, and put all traffic back on stable at once.
    Abort {
        /// A service, or a set.
        #[arg(add = ArgValueCompleter::new(names::services_and_sets))]
        service: String,
    },
}

impl Rollout {
    /// The service, or the set, that it is about.
    pub(in crate::cli) fn name(&self) -> &str {
        match self {
            Rollout::Start(Start { service, .. })
            | Rollout::Watch(Watch { service, .. })
            | Rollout::Status { service }
            | Rollout::Pause { service }
            | Rollout::Resume { service }
            | Rollout::Promote { service }
            | Rollout::Abort { service } => service,
        }
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Start {
    /// A service, or a set: its services go on and are undone together.
    #[arg(add = ArgValueCompleter::new(names::services_and_sets))]
    pub service: String,
    /// The pool that is to become stable, or `idle`: the one that is free.
    #[arg(long, value_name = "POOL", add = ArgValueCompleter::new(names::pools_or_idle))]
    pub to: String,
    #[command(flatten)]
    pub how: How,
}

/// How a rollout is made.
#[derive(Clone, Debug, clap::Args)]
pub struct How {
    /// Instead of the service's own.
    #[arg(long, value_parser = ["canary", "blue-green", "rolling"])]
    pub strategy: Option<String>,
    /// The name of what is deployed, for the history.
    #[arg(long)]
    pub version: Option<String>,
    /// Another policy of the configuration.
    #[arg(long)]
    pub policy: Option<String>,
    /// Have somebody approve before the candidate gets traffic.
    #[arg(long)]
    pub gate: bool,
    /// By when it has ended, such as 4h; it is aborted then.
    #[arg(long, value_parser = duration::parse)]
    pub deadline: Option<Duration>,
    /// How long it waits for an approval, such as 24h, before it is aborted.
    #[arg(long, value_parser = duration::parse)]
    pub gate_timeout: Option<Duration>,
    /// Only say what the policy would decide; nothing is moved.
    #[arg(long)]
    pub dry_run: bool,
    /// The same key starts the same rollout only once, however often this is run.
    #[arg(long, value_name = "KEY")]
    pub idempotency_key: Option<String>,
    /// Show progress until it ends or waits for approval; exit 0 promoted, 3 aborted, 4 timed out, 5 at a gate.
    #[arg(long)]
    pub wait: bool,
    /// How long to wait at most.
    #[arg(long, value_parser = duration::parse, requires = "wait")]
    pub timeout: Option<Duration>,
}

#[derive(Clone, Debug, clap::Args)]
pub struct Deploy {
    /// The service.
    #[arg(add = ArgValueCompleter::new(names::services))]
    pub service: String,
    /// Where the new version listens: `10.0.0.3:3000 10.0.0.4:3000`.
    #[arg(long, required = true, num_args = 1.., value_name = "ADDRESS")]
    pub upstreams: Vec<String>,
    #[command(flatten)]
    pub how: How,
}

#[derive(Debug, clap::Args)]
pub struct Watch {
    /// A service, or a set.
    #[arg(add = ArgValueCompleter::new(names::services_and_sets))]
    pub service: String,
    /// How long to wait at most.
    #[arg(long, value_parser = duration::parse)]
    pub timeout: Option<Duration>,
}
