//! The process's own log, on standard error.

use tracing_subscriber::EnvFilter;

/// Which lines are written, in the syntax of tracing's `EnvFilter`.
const VARIABLE: &str = "POINTSMAN_LOG";
/// What pingora logs for each failed request is in the access log and the metrics already. The library of
/// HTTP/2 would write a line for every odd frame: as many as a hostile client likes.
const DEFAULT: &str = "info,pingora_core=off,pingora_proxy=off,h2=off";
const QUIET: &str = "error,pingora_core=off,pingora_proxy=off,h2=off";

/// Starts the log.
///
/// # Errors
/// When `POINTSMAN_LOG` cannot be understood.
pub(super) fn start() -> anyhow::Result<()> {
    start_at(DEFAULT)
}

/// The same, with errors only unless the variable says otherwise: for the demo, which tells its story itself.
///
/// # Errors
/// As for [`start`].
pub(super) fn start_quiet() -> anyhow::Result<()> {
    start_at(QUIET)
}

fn start_at(default: &str) -> anyhow::Result<()> {
    let text = std::env::var(VARIABLE).unwrap_or_else(|_| default.to_owned());
    let filter = EnvFilter::try_new(&text).map_err(|error| {
        anyhow::anyhow!("{VARIABLE}={text:?}: {error}; write for example {VARIABLE}=info or pointsman=debug")
    })?;
    let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
    // An error means that a log has been started before.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colours)
        .with_target(false)
        .try_init();
    Ok(())
}
