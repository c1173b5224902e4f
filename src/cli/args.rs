//! What can be typed.

mod connection;
mod rollout;
mod upstream;

pub(super) use connection::{Connection, Format};
pub(super) use rollout::{Deploy, How, Rollout, Start};
pub(super) use upstream::{Drain, Upstream, Upstreams};

use super::replay::Replay;
use super::{names, place};
use crate::core::duration;
use clap::builder::NonEmptyStringValueParser;
use clap::{Parser, Subcommand};
use clap_complete::Shell;
use clap_complete::engine::ArgValueCompleter;
use std::path::PathBuf;
use std::time::Duration;

/// A front load balancer that deploys safely by itself.
#[derive(Debug, Parser)]
#[command(name = "pointsman", version, about, max_term_width = 100, arg_required_else_help = true)]
#[command(after_help = "Exit codes: 0 done, healthy or promoted, 1 error or unhealthy, 2 usage, 3 aborted \
    (traffic is back on stable), 4 timed out (what was waited for goes on), 5 waiting for approval.")]
pub struct Args {
    /// How answers are printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub output: Format,
    #[command(flatten)]
    pub connection: Connection,
    #[command(subcommand)]
    pub command: Command,
}

/// The file that `run` and `check` read.
#[derive(Debug, clap::Args)]
pub struct ConfigFile {
    #[arg(
        long,
        short,
        env = "POINTSMAN_CONFIG",
        default_value = place::CONFIG,
        value_name = "FILE"
    )]
    pub config: PathBuf,
}

#[derive(Debug, clap::Args)]
pub struct Run {
    #[command(flatten)]
    pub file: ConfigFile,
    /// The new process of an upgrade: sockets and state come from the old one, over standard input.
    #[arg(long, hide = true)]
    pub take_over: bool,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve, until SIGTERM or SIGINT.
    ///
    /// SIGHUP reloads the configuration, SIGUSR1 opens the access log again, SIGUSR2 upgrades.
    Run(Run),
    /// Check a configuration: every fault with its path, line and column.
    ///
    /// With `--output json` as an array.
    Check(ConfigFile),
    /// Show the product at work, all embedded.
    ///
    /// Origins, load, a good rollout and a bad one, and the dashboard.
    Demo {
        /// Leave it running afterwards, for the admin API, until SIGINT or SIGTERM.
        #[arg(long)]
        keep: bool,
    },
    /// Show services: weights, figures, upstreams, rollout, checks.
    ///
    /// It exits with 1 if a check does not hold.
    Status {
        /// A service, or a set; all services without.
        #[arg(add = ArgValueCompleter::new(names::services_and_sets))]
        service: Option<String>,
        /// Go on showing it, once a second.
        #[arg(long, short)]
        watch: bool,
    },
    /// Start, watch and steer rollouts.
    Rollout {
        #[command(subcommand)]
        action: Rollout,
    },
    /// Put a version into the idle pool, and roll it out.
    ///
    /// The addresses become the idle pool's, and a rollout to it begins. Run again it finds the pool that has them.
    Deploy(Deploy),
    /// Go back to the version before, or abort the rollout that runs.
    ///
    /// It is refused where another version lies there by now, or that one was aborted. A second call does not toggle.
    /// The services of a set go back together.
    Rollback {
        /// A service, or a set.
        #[arg(add = ArgValueCompleter::new(names::services_and_sets))]
        service: String,
        /// Even to a pool that is down, was aborted, or holds another version.
        #[arg(long)]
        force: bool,
    },
    /// Switch all traffic to another pool at once, and make it stable.
    Flip {
        /// The service.
        #[arg(add = ArgValueCompleter::new(names::services))]
        service: String,
        #[arg(long, value_name = "POOL", add = ArgValueCompleter::new(names::pools))]
        to: String,
        /// Even to a pool that is down, or whose version was aborted.
        #[arg(long)]
        force: bool,
    },
    /// Set weights by hand: `weights web blue=95 green=5`.
    Weights {
        /// The service.
        #[arg(add = ArgValueCompleter::new(names::services))]
        service: String,
        /// In percent; pools left out get 0.
        #[arg(
            required = true,
            value_name = "POOL=PERCENT",
            value_parser = weight,
            add = ArgValueCompleter::new(names::weights)
        )]
        weights: Vec<(String, f64)>,
        /// Only if the service still has this revision.
        #[arg(long, value_name = "REVISION")]
        if_match: Option<u64>,
        /// Even to a pool that is down, or whose version was aborted.
        #[arg(long)]
        force: bool,
    },
    /// Say who did what, when, why and from where.
    History {
        /// A service, or a set; all services without.
        #[arg(add = ArgValueCompleter::new(names::services_and_sets))]
        service: Option<String>,
        /// Lines to show, the newest first.
        #[arg(long, short = 'n', default_value_t = 20)]
        limit: usize,
    },
    /// Print the pool that is free for a deploy.
    ///
    /// It is neither stable, nor has it weight, nor is it a candidate.
    Idle {
        /// The service.
        #[arg(add = ArgValueCompleter::new(names::services))]
        service: String,
    },
    /// Take an upstream out: no new requests, the ones in flight finish.
    Drain(Drain),
    /// Take a drained upstream back.
    ///
    /// In a rolling update it is the word that the upstream runs the new version.
    Ready(Upstream),
    /// Register the addresses of a fresh deploy.
    ///
    /// They get no traffic before their first passed check.
    Upstreams {
        #[command(subcommand)]
        action: Upstreams,
    },
    /// Let testers see a version before others do.
    Cohort {
        #[command(subcommand)]
        action: Cohort,
    },
    /// Answer 503 with a page, in place of a service or the site.
    Maintenance {
        #[command(subcommand)]
        action: Maintenance,
    },
    /// Show the fleet, several instances that act as one, and forget members.
    Fleet {
        #[command(subcommand)]
        action: Fleet,
    },
    /// Have the configuration read again, as SIGHUP does.
    ///
    /// It prints what changed, and what needs a restart.
    Reload,
    /// Replace the running process by a new one, without a failed request.
    ///
    /// The new process is of the binary and the configuration that are there now; it takes over the listening sockets
    /// and the state. Both process ids are printed.
    Upgrade,
    /// Ask whether the process lives, for health checks of containers.
    Healthcheck {
        /// Whether it could serve: not stopping, and every service has an upstream that is ready.
        #[arg(long)]
        ready: bool,
    },
    /// Say what a policy would have decided on recorded traffic.
    ///
    /// When it would have held or aborted, at which request, and how many failures users would have been spared.
    Replay(Box<Replay>),
    /// Turn the configuration of another product into one of Pointsman.
    Import {
        #[command(subcommand)]
        action: Import,
    },
    /// Make tokens for the admin API.
    Token {
        #[command(subcommand)]
        action: Token,
    },
    /// Print a JSON Schema of the configuration, for editors.
    ///
    /// With `#:schema FILE` as the first line of a configuration they complete its keys and mark what is wrong.
    Schema,
    /// Print the description of the admin API: OpenAPI 3.1.
    ///
    /// It is what `/openapi.json` answers.
    Openapi,
    /// Print what makes a shell complete: `source <(pointsman completions bash)`.
    Completions { shell: Shell },
    /// Print the manual page, or that of a command: `man rollout start`.
    Man {
        #[arg(value_name = "COMMAND")]
        of: Vec<String>,
        /// Write all pages into a directory instead: `pointsman.1`, `pointsman-status.1`, …
        #[arg(long, conflicts_with = "of")]
        dir: Option<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
pub enum Cohort {
    /// Print a signed value that takes its sender to a pool, whatever the weights are.
    Link {
        /// The service.
        #[arg(add = ArgValueCompleter::new(names::services))]
        service: String,
        /// A pool, or the role that one plays at the time: stable, candidate.
        #[arg(long, value_name = "POOL", add = ArgValueCompleter::new(names::pools))]
        to: String,
        /// How long it holds.
        #[arg(long, value_parser = duration::parse, default_value = "8h")]
        ttl: Duration,
    },
}

#[derive(Debug, Subcommand)]
pub enum Fleet {
    /// Show its members: who leads, versions, configurations, what each shows, and what holds rollouts.
    ///
    /// It exits with 1 if anything does.
    Status,
    /// Forget a member that is gone for good: rollouts wait for it no more.
    ///
    /// It is refused for one that is there. One that comes back joins again.
    Forget {
        /// The member.
        #[arg(value_parser = NonEmptyStringValueParser::new(), add = ArgValueCompleter::new(names::members))]
        name: String,
    },
}

#[derive(Debug, Subcommand)]
pub enum Maintenance {
    /// Begin maintenance, or begin it again.
    On {
        /// How long; it ends by itself then. Without, it lasts until it is switched off.
        #[arg(long, value_parser = duration::parse)]
        duration: Option<Duration>,
        /// One service; the whole site without.
        #[arg(long, add = ArgValueCompleter::new(names::services))]
        service: Option<String>,
    },
    /// End maintenance.
    Off {
        /// One service's own; the whole site's without.
        #[arg(long, add = ArgValueCompleter::new(names::services))]
        service: Option<String>,
    },
    /// Show what is under maintenance, and for how long.
    Status,
}

#[derive(Debug, Subcommand)]
pub enum Import {
    /// Read nginx.conf, or a part of one, with all that it includes: TOML on standard output; on standard
    /// error every directive that was not carried over or works slightly differently, with file and line.
    Nginx {
        file: PathBuf,
        /// Exit with 1 if anything was not carried over.
        #[arg(long)]
        strict: bool,
        /// Import nothing: send the same requests to nginx and to Pointsman, and print what differs. They are made
        /// of the hosts and locations of FILE, with GET, HEAD and OPTIONS only; exits with 1 if anything differs.
        #[arg(long, num_args = 2, value_names = ["NGINX", "POINTSMAN"], conflicts_with = "strict")]
        diff: Vec<reqwest::Url>,
        /// With --diff: these requests instead, `METHOD HOST /PATH` a line; - reads standard input.
        #[arg(long, value_name = "FILE", requires = "diff")]
        requests: Option<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
pub enum Token {
    /// Print a new token once, and the line for the configuration, which only holds its hash.
    New {
        /// Who uses it; the history names it.
        #[arg(long)]
        name: String,
        /// read: look; deploy: weights and rollouts; admin: everything.
        #[arg(long, value_parser = ["read", "deploy", "admin"])]
        role: String,
    },
}

fn weight(text: &str) -> Result<(String, f64), String> {
    let wrong = || format!("{text:?} is not POOL=PERCENT, such as blue=95");
    let (pool, percent) = text.split_once('=').ok_or_else(wrong)?;
    let percent = percent.trim_end_matches('%').parse::<f64>().map_err(|_| wrong())?;
    if pool.is_empty() { Err(wrong()) } else { Ok((pool.to_owned(), percent)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_pairs() {
        assert_eq!(weight("blue=95"), Ok(("blue".into(), 95.0)));
        assert_eq!(weight("green=2.5%"), Ok(("green".into(), 2.5)));
        for wrong in ["blue", "=5", "blue=", "blue=many"] {
            assert!(weight(wrong).is_err(), "{wrong}");
        }
    }
}
