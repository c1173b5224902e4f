//! What the command line says of itself: manual pages, and what shells complete by.

use super::client::Failure;
use super::out::Out;
use super::{Done, typed};
use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;
use std::path::Path;

pub(super) fn completions(shell: Shell, out: &Out) -> Result<Done, Failure> {
    let command = typed::command();
    let names: Vec<&str> = command.get_subcommands().map(Command::get_name).collect();
    let shell = shell.to_string();
    // All shells that are known have this sign for a remark.
    out.raw(format!("# Completes {} and what follows, by asking pointsman.\n", names.join(", ")).as_bytes());
    out.raw(&typed::registration(&shell)?);
    Ok(Done::Well)
}

/// The page of a command, or of the whole.
pub(super) fn man(of: &[String], out: &Out) -> Result<Done, Failure> {
    let whole = typed::command();
    let mut command = &whole;
    for name in of {
        let unknown = || Failure::Other(format!("{} is no command of pointsman", of.join(" ")));
        command = command.find_subcommand(name).ok_or_else(unknown)?;
    }
    out.raw(&page(command)?);
    Ok(Done::Well)
}

/// All pages, each in a file of its own.
pub(super) fn man_in(dir: &Path, out: &Out) -> Result<Done, Failure> {
    let fault =
        |error: std::io::Error| Failure::File { file: dir.display().to_string(), detail: error.to_string() };
    std::fs::create_dir_all(dir).map_err(fault)?;
    let count = write(&typed::command(), dir).map_err(fault)?;
    out.line(&format!("{count} pages written to {}", dir.display()));
    Ok(Done::Well)
}

/// Writes the pages of a command and of those below it; how many.
fn write(command: &Command, dir: &Path) -> std::io::Result<usize> {
    let name = command.get_display_name().unwrap_or(command.get_name());
    std::fs::write(dir.join(format!("{name}.1")), page(command)?)?;
    let below = command.get_subcommands().filter(|of| of.get_name() != "help" && !of.is_hide_set());
    below.map(|of| write(of, dir)).sum::<std::io::Result<usize>>().map(|count| count + 1)
}

fn page(command: &Command) -> std::io::Result<Vec<u8>> {
    let mut page = Vec::new();
    // Pages name the commands below them, which `help` is none of.
    let version = env!("CARGO_PKG_VERSION");
    Man::new(command.clone()).source(format!("pointsman {version}")).render(&mut page)?;
    Ok(page)
}
