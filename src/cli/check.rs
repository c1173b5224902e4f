//! `pointsman check`: what it has found, for people or for programs.

use super::args::Format;
use super::out::Out;
use crate::config::{Fault, Faults};
use crate::core::settings::{Config, Remark};
use serde::Serialize;
use std::process::ExitCode;

/// Something that was found, as `--output json` shows it.
#[derive(Debug, Serialize)]
struct Finding<'a> {
    /// `fault`: the file is refused; `warning`: it is not.
    severity: &'static str,
    path: &'a str,
    line: usize,
    column: usize,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    example: Option<&'a str>,
}

/// Shows what a check has found; the exit code is 1 for faults, and 0 for warnings.
pub fn show_check(result: &Result<Config, Faults>, output: Format) -> ExitCode {
    let out = Out::new(output);
    match (result, output) {
        (Ok(config), Format::Json) => {
            out.show(&config.warnings.iter().map(warning).collect::<Vec<_>>(), |_| String::new())
        }
        (Err(faults), Format::Json) => {
            out.show(&faults.faults.iter().map(fault).collect::<Vec<_>>(), |_| String::new())
        }
        (Ok(config), Format::Text) => {
            config.warnings.iter().for_each(|warning| out.aside(&format!("warning: {warning}")));
            out.line(&summary(config));
        }
        (Err(faults), Format::Text) => out.error(&faults.to_string()),
    }
    if result.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn warning(remark: &Remark) -> Finding<'_> {
    let Remark { path, line, column, detail, .. } = remark;
    Finding { severity: "warning", path, line: *line, column: *column, message: detail, example: None }
}

fn fault(fault: &Fault) -> Finding<'_> {
    let Fault { path, line, column, detail, example } = fault;
    let example = example.as_deref();
    Finding { severity: "fault", path, line: *line, column: *column, message: detail, example }
}

fn summary(config: &Config) -> String {
    format!(
        "ok: {}, {}, {}, {}",
        counted(config.listeners.len(), "listener", "listeners"),
        counted(config.routes.specs().len(), "route", "routes"),
        counted(config.services.len(), "service", "services"),
        counted(config.policies.len(), "policy", "policies"),
    )
}

fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}
