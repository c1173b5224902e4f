//! The `pointsman` binary: a typed command, carried out.

use clap::Parser;
use pointsman::cli::{self, Args, Command};
use pointsman::{admin, app, core};
use std::io::Write;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let Args { connection, command } = Args::parse();
    let result = match command {
        Command::Run(run) => app::run(&run.file.config, run.take_over),
        Command::Check(file) => app::check(&file.config).map_err(anyhow::Error::from).map(|config| {
            for warning in &config.warnings {
                let _ = writeln!(std::io::stderr(), "warning: {warning}");
            }
            summary(&config);
        }),
        Command::Openapi => {
            let _ = std::io::stdout().write_all(admin::openapi().as_bytes());
            Ok(())
        }
        Command::Demo { keep } => app::demo::run(keep),
        command => {
            app::install_crypto();
            return cli::run(&connection, command);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Where standard error is closed, nobody wants to know.
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn summary(config: &core::settings::Config) {
    let counts = format!(
        "ok: {} listeners, {} routes, {} services, {} policies",
        config.listeners.len(),
        config.routes.specs().len(),
        config.services.len(),
        config.policies.len()
    );
    let _ = writeln!(std::io::stdout(), "{counts}");
}
