//! The command line: what was typed, the client commands over the admin API, the import of other
//! products' configurations, and the replay of access logs.
//!
//! Nothing here knows the server's inside; only the shapes of its API. Exit codes: 0 done, healthy
//! or promoted, 1 error or unhealthy, 2 usage, 3 aborted (traffic is back on stable), 4 timed out (what
//! was waited for goes on), 5 waiting for approval, 130 interrupted while it waited.

mod args;
mod check;
mod client;
mod cohort;
mod colour;
mod fleet;
mod follow;
mod import;
mod maintenance;
mod names;
mod out;
mod place;
mod printed;
mod render;
mod replay;
mod rollout;
mod screen;
mod service;
mod sets;
mod tables;
mod token;
mod typed;

pub use args::{Args, Command};
pub use check::show_check;
pub use screen::Screen;
pub use typed::{complete, is_completing};

use crate::config;
use client::{Client, Failure};
use out::Out;
use std::process::ExitCode;

/// How a client command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Done {
    Well,
    /// A check of the status does not hold.
    Unwell,
    Aborted,
    TimedOut,
    AtGate,
    /// By Ctrl-C.
    Interrupted,
}

/// Carries out a client command; the ones that serve are not for it.
pub fn run(typed: Args) -> ExitCode {
    let Args { connection, output, command } = typed;
    let out = Out::new(output);
    let result = match command {
        Command::Import { action } => import::run(&action, output, &out),
        Command::Replay(asked) => replay::run(*asked, &out),
        Command::Token { action } => token::run(&action, &out),
        Command::Completions { shell } => printed::completions(shell, &out),
        Command::Man { dir: Some(dir), .. } => printed::man_in(&dir, &out),
        Command::Man { of, dir: None } => printed::man(&of, &out),
        Command::Schema => {
            out.raw(config::SCHEMA.as_bytes());
            Ok(Done::Well)
        }
        command => Client::new(&connection, output).and_then(|client| over_the_api(&client, command, &out)),
    };
    match result {
        Ok(Done::Well) => ExitCode::SUCCESS,
        Ok(Done::Unwell) => ExitCode::FAILURE,
        Ok(Done::Aborted) => ExitCode::from(3),
        Ok(Done::TimedOut) => ExitCode::from(4),
        Ok(Done::AtGate) => ExitCode::from(5),
        Ok(Done::Interrupted) => ExitCode::from(130),
        Err(failure) => {
            out.error(&failure.to_string());
            ExitCode::FAILURE
        }
    }
}

fn over_the_api(client: &Client, command: Command, out: &Out) -> Result<Done, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match command {
            Command::Deploy(deploy) => rollout::deploy(client, deploy, out).await,
            Command::Idle { service } => rollout::idle(client, &service, out).await,
            Command::Rollout { action } => rollout::run(client, action, out).await,
            Command::Fleet { action } => fleet::run(client, action, out).await,
            Command::Cohort { action } => cohort::run(client, action, out).await,
            Command::Maintenance { action } => maintenance::run(client, action, out).await,
            other => service::run(client, other, out).await,
        }
    })
}
