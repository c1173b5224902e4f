//! What can be typed.

use super::Done;
use super::client::Failure;
use super::out::Out;
use super::replay::Replay;
use crate::core::duration;
use clap::{CommandFactory, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use std::path::PathBuf;
use std::time::Duration;

/// A front load balancer that deploys safely by itself.
#[derive(Debug, Parser)]
#[command(name = "pointsman", version, about, max_term_width = 100, arg_required_else_help = true)]
#[command(after_help = "Exit codes: 0 done, healthy or promoted, 1 error or unhealthy, 2 usage, 3 aborted \
    (traffic is back on stable), 4 timed out (what was waited for goes on), 5 waiting for approval.")]
pub struct Args {
    #[command(flatten)]
    pub connection: Connection,
    #[command(subcommand)]
    pub command: Command,
}

/// How client commands reach the admin API.
#[derive(Debug, clap::Args)]
pub struct Connection {
    /// Where the admin API listens.
    #[arg(
        long,
        global = true,
        env = "POINTSMAN_ADMIN",
        default_value = "http://127.0.0.1:9900",
        value_name = "URL"
    )]
    pub admin: String,
    /// The bearer token; better in the environment than in the shell's history.
    #[arg(long, global = true, env = "POINTSMAN_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// The authority of the admin API's certificate (PEM), where the system does not know it.
    #[arg(long, global = true, env = "POINTSMAN_CA", value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// A certificate to show to the admin API (PEM), with its key.
    #[arg(long, global = true, env = "POINTSMAN_CERT", value_name = "FILE", requires = "key")]
    pub cert: Option<PathBuf>,
    /// The key of --cert (PEM).
    #[arg(long, global = true, env = "POINTSMAN_KEY", value_name = "FILE", requires = "cert")]
    pub key: Option<PathBuf>,
    /// How answers are printed.
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    pub output: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Text,
    Json,
}

/// The file that `run` and `check` read.
#[derive(Debug, clap::Args)]
pub struct ConfigFile {
    #[arg(
        long,
        short,
        env = "POINTSMAN_CONFIG",
        default_value = "/etc/pointsman/pointsman.toml",
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
    /// Serve, until SIGTERM or SIGINT; SIGHUP reloads, SIGUSR1 opens the access log anew, SIGUSR2 upgrades.
    Run(Run),
    /// Check a configuration: every fault with its path, line and column.
    Check(ConfigFile),
    /// Show the product at work: origins, load, a good rollout and a bad one, all embedded.
    Demo {
        /// Leave it running afterwards, for the admin API, until SIGINT or SIGTERM.
        #[arg(long)]
        keep: bool,
    },
    /// Have the configuration read anew, as SIGHUP does; prints what changed and what needs a restart.
    Reload,
    /// Replace the running process by a new one, of the binary and configuration that are there now: it takes
    /// over the listening sockets and the state, and no request fails. Prints both process ids.
    Upgrade,
    /// Ask whether the process lives; exit 1 if not. For health checks of containers.
    Healthcheck {
        /// Whether it could serve: not stopping, and every service has an upstream that is ready.
        #[arg(long)]
        ready: bool,
    },
    /// Show services (all, one or those of a set): weights, figures, upstreams, the rollout and the checks; exit 1 if
    /// one does not hold.
    Status {
        service: Option<String>,
        /// Go on showing it, once a second.
        #[arg(long, short)]
        watch: bool,
    },
    /// Set weights in percent: `weights web blue=95 green=5`; pools left out get 0.
    Weights {
        service: String,
        #[arg(required = true, value_name = "POOL=PERCENT", value_parser = weight)]
        weights: Vec<(String, f64)>,
        /// Only if the service still has this revision.
        #[arg(long, value_name = "REVISION")]
        if_match: Option<u64>,
        /// Even to a pool that is down, or whose version was aborted.
        #[arg(long)]
        force: bool,
    },
    /// Switch all traffic to another pool at once, and make it stable.
    Flip {
        service: String,
        #[arg(long, value_name = "POOL")]
        to: String,
        /// Even to a pool that is down, or whose version was aborted.
        #[arg(long)]
        force: bool,
    },
    /// Abort the running rollout; after a promotion, return to the version before, once. Refused where another
    /// version lies there by now, or that one was aborted. The services of a set go back together.
    Rollback {
        service: String,
        /// Even to a pool that is down, was aborted, or holds another version.
        #[arg(long)]
        force: bool,
    },
    /// Start, watch and steer rollouts, of a service or of a set of services.
    Rollout {
        #[command(subcommand)]
        action: Rollout,
    },
    /// Let testers see a version before others do.
    Cohort {
        #[command(subcommand)]
        action: Cohort,
    },
    /// Print the pool that is free for a deploy: neither stable, nor with weight, nor a candidate.
    Idle { service: String },
    /// Deploy in one step: the addresses of a fresh version become the idle pool's, and a rollout to it begins.
    Deploy(Deploy),
    /// Take an upstream out: no new requests, the ones in flight finish.
    Drain(Drain),
    /// Take a drained upstream back; in a rolling update, the word that it runs the new version.
    Ready(Upstream),
    /// The addresses of a fresh deploy: they get no traffic before their first passed check.
    Upstreams {
        #[command(subcommand)]
        action: Upstreams,
    },
    /// Answer 503 with a page, and when to come back, in place of a service or the whole site.
    Maintenance {
        #[command(subcommand)]
        action: Maintenance,
    },
    /// Who did what, when, why and from where; newest first. Without a service or a set, of all.
    History {
        service: Option<String>,
        /// Lines to show.
        #[arg(long, short = 'n', default_value_t = 20)]
        limit: usize,
    },
    /// Say what a policy would have decided on recorded traffic: when it would have held or aborted, at which
    /// request, and how many failures users would have been spared.
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
    /// Print a completion script for a shell.
    Completions { shell: Shell },
    /// Print the manual page.
    Man,
    /// Print the description of the admin API: OpenAPI 3.1, as `/openapi.json` answers it.
    Openapi,
}

#[derive(Debug, Subcommand)]
pub enum Rollout {
    /// Start making a pool stable, step by step under the service's policy.
    Start(Start),
    /// Show the service's rollout, running or last.
    Status { service: String },
    /// Show what the running rollout does until it ends.
    Watch(Watch),
    /// Hold the weights where they are.
    Pause { service: String },
    /// Go on after a pause, or past a gate: the approval.
    Resume { service: String },
    /// Skip the remaining steps: all traffic to the candidate, which becomes stable.
    Promote { service: String },
    /// Stop, and put all traffic back on stable at once.
    Abort { service: String },
}

impl Rollout {
    /// The service, or the set, that it is about.
    pub(super) fn name(&self) -> &str {
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

#[derive(Debug, Subcommand)]
pub enum Cohort {
    /// Print a signed value that takes whoever sends it to a pool, whatever the weights are.
    Link {
        service: String,
        /// A pool, or the role that one plays at the time: stable, candidate.
        #[arg(long, value_name = "POOL")]
        to: String,
        /// How long it holds.
        #[arg(long, value_parser = duration::parse, default_value = "8h")]
        ttl: Duration,
    },
}

#[derive(Debug, Subcommand)]
pub enum Maintenance {
    /// Begin it, or begin it anew.
    On {
        /// How long; it ends by itself then. Without, it lasts until it is switched off.
        #[arg(long, value_parser = duration::parse)]
        duration: Option<Duration>,
        /// One service; the whole site without.
        #[arg(long)]
        service: Option<String>,
    },
    /// End it.
    Off {
        /// One service's own; the whole site's without.
        #[arg(long)]
        service: Option<String>,
    },
    /// Show what is under maintenance, and for how long.
    Status,
}

#[derive(Clone, Debug, clap::Args)]
pub struct Start {
    /// Or a set of services, which go on and are undone together.
    pub service: String,
    /// The pool that is to become stable, or `idle`: the one that is free.
    #[arg(long, value_name = "POOL")]
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
    pub service: String,
    /// Where the new version listens: `10.0.0.3:3000 10.0.0.4:3000`.
    #[arg(long, required = true, num_args = 1.., value_name = "ADDRESS")]
    pub upstreams: Vec<String>,
    #[command(flatten)]
    pub how: How,
}

#[derive(Debug, clap::Args)]
pub struct Watch {
    pub service: String,
    /// How long to wait at most.
    #[arg(long, value_parser = duration::parse)]
    pub timeout: Option<Duration>,
}

#[derive(Debug, Subcommand)]
pub enum Upstreams {
    /// Replace the upstreams of a pool: `upstreams set web green 10.0.0.3:3000 10.0.0.4:3000`.
    Set {
        service: String,
        pool: String,
        #[arg(required = true, value_name = "ADDRESS")]
        addresses: Vec<String>,
    },
    /// Go back to the upstreams of the configuration.
    Reset { service: String, pool: String },
}

#[derive(Debug, clap::Args)]
pub struct Upstream {
    pub service: String,
    pub pool: String,
    /// As in the configuration: `10.0.0.1:3000`.
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

#[derive(Debug, Subcommand)]
pub enum Import {
    /// Read nginx.conf, or a part of one, with all that it includes: TOML on standard output; on standard
    /// error every directive that was not carried over or works slightly differently, with file and line.
    Nginx {
        file: PathBuf,
        /// Exit with 1 if anything was not carried over.
        #[arg(long)]
        strict: bool,
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

pub(super) fn completions(shell: Shell, out: &Out) -> Result<Done, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "pointsman", &mut script);
    out.raw(&script);
    Ok(Done::Well)
}

pub(super) fn man(out: &Out) -> Result<Done, Failure> {
    let mut page = Vec::new();
    clap_mangen::Man::new(Args::command()).render(&mut page)?;
    out.raw(&page);
    Ok(Done::Well)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_holds_together() {
        Args::command().debug_assert();
    }

    #[test]
    fn weights_are_pairs() {
        assert_eq!(weight("blue=95"), Ok(("blue".into(), 95.0)));
        assert_eq!(weight("green=2.5%"), Ok(("green".into(), 2.5)));
        for wrong in ["blue", "=5", "blue=", "blue=many"] {
            assert!(weight(wrong).is_err(), "{wrong}");
        }
    }
}
