//! The `pointsman` binary: a typed command, carried out.

use pointsman::cli::{self, Args, Command};
use pointsman::{admin, app};
use std::io::Write;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    if cli::is_completing() {
        app::install_crypto();
        cli::complete();
    }
    let typed = Args::typed();
    let result = match typed.command {
        Command::Run(ref run) => app::run(&run.file.config, run.take_over),
        Command::Check(ref file) => return cli::show_check(&app::check(&file.config), typed.output),
        Command::Openapi => {
            let _ = std::io::stdout().write_all(admin::openapi().as_bytes());
            Ok(())
        }
        Command::Demo { keep } => app::demo::run(keep),
        _ => {
            app::install_crypto();
            return cli::run(typed);
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
