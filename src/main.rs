//! The `pointsman` binary: a typed command, carried out.

use clap::Parser;
use pointsman::app;
use pointsman::cli::{self, Args, Command};
use std::io::Write;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let Args { connection, command } = Args::parse();
    let result = match command {
        Command::Run(run) => app::run(&run.file.config, run.take_over),
        Command::Check(file) => return cli::show_check(&connection, &app::check(&file.config)),
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
