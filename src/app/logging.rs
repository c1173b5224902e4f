//! The process's own log, on standard error.

use crate::core::settings::ProcessLog;
use tracing_subscriber::EnvFilter;

/// Which lines are written, in the syntax of tracing's `EnvFilter`.
const VARIABLE: &str = "POINTSMAN_LOG";
/// What pingora logs for each failed request is in the access log and the metrics already. The library of
/// HTTP/2 would write a line for every odd frame: as many as a hostile client likes.
const DEFAULT: &str = "info,pingora_core=off,h2=off";
const QUIET: &str = "error,pingora_core=off,h2=off";

/// Overrides what the configuration says of the format: `text` or `json`.
const FORMAT: &str = "POINTSMAN_LOG_FORMAT";

/// Starts the log in this format, unless `POINTSMAN_LOG_FORMAT` says otherwise.
///
/// # Errors
/// When one of the variables cannot be understood.
pub(super) fn start(format: ProcessLog) -> anyhow::Result<()> {
    let format = match std::env::var(FORMAT).as_deref() {
        Ok("json") => ProcessLog::Json,
        Ok("text") => ProcessLog::Text,
        Ok(other) => anyhow::bail!("{FORMAT}={other:?}: write text or json"),
        Err(_) => format,
    };
    start_at(DEFAULT, format)
}

/// The same in text, with errors only unless the variable says otherwise: for the demo, which tells its story
/// itself.
///
/// # Errors
/// As for [`start`].
pub(super) fn start_quiet() -> anyhow::Result<()> {
    start_at(QUIET, ProcessLog::Text)
}

fn start_at(default: &str, format: ProcessLog) -> anyhow::Result<()> {
    let text = std::env::var(VARIABLE).unwrap_or_else(|_| default.to_owned());
    let filter = EnvFilter::try_new(&text).map_err(|error| {
        anyhow::anyhow!("{VARIABLE}={text:?}: {error}; write for example {VARIABLE}=info or pointsman=debug")
    })?;
    let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colours)
        .with_target(false);
    // An error means that a log has been started before.
    let _ = match format {
        ProcessLog::Text => log.try_init(),
        // Fields beside level and message, so that a reader needs no nesting.
        ProcessLog::Json => {
            log.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init()
        }
    };
    Ok(())
}
