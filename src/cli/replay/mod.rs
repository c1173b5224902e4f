//! `pointsman replay`: recorded access logs, held against a policy by the same core that decides live.
//!
//! The log is read in one pass with bounded memory (after a first look for the pools, where they are not
//! named): lines ([`logs`]) → what they say ([`said`]) → outcomes in the order they became known
//! ([`pass`]) → [`crate::core::replay`] → a report as text, JSON and SVG.

mod asked;
mod chart;
mod combined;
mod fields;
mod json;
mod judged;
mod logs;
mod pass;
mod policies;
mod report;
mod roles;
mod said;
mod svg;
mod template;
mod text;
mod times;

pub(super) use asked::Replay;

use super::Done;
use super::client::Failure;
use super::out::Out;
use logs::Logs;
use report::Report;
use roles::Roles;

pub(super) fn run(asked: Replay, out: &Out) -> Result<Done, Failure> {
    let asked = asked.sorted();
    let (policy, not_in_logs) = policies::chosen(&asked)?;
    let variants = policies::variants(&asked, &policy)?;
    let logs = Logs::new(&asked)?;
    let roles = Roles::find(&asked, &logs)?;
    let name = policy.name.clone();
    let found = pass::run(&asked, &logs, &roles, policy, variants)?;
    let report = Report::new(roles, &name, not_in_logs, asked.seed, found);
    if let Some(file) = &asked.svg {
        let failed = |error: std::io::Error| Failure::File {
            file: file.display().to_string(),
            detail: error.to_string(),
        };
        std::fs::write(file, svg::draw(&report)).map_err(failed)?;
    }
    out.show(&report, |report| text::report(report, shows_blocks()));
    Ok(Done::Well)
}

/// Whether block characters are welcome: a UTF-8 locale, and nobody asked for plain text.
fn shows_blocks() -> bool {
    let named = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(|name| std::env::var(name).ok());
    let locale = named.into_iter().find(|value| !value.is_empty()).unwrap_or_default().to_ascii_lowercase();
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !plain && (locale.contains("utf-8") || locale.contains("utf8"))
}

#[cfg(test)]
mod tests;
