//! As many file descriptors as the system allows: every connection of a client needs two.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Fewer are worth a warning.
const FEW: u64 = 4096;

/// Raises the soft limit to the hard one, and says what it is.
pub(super) fn raise_limit() {
    let before = getrlimit(Resource::Nofile);
    let wanted = Rlimit { current: before.maximum, maximum: before.maximum };
    if before.current != before.maximum
        && let Err(error) = setrlimit(Resource::Nofile, wanted)
    {
        tracing::warn!("the limit of file descriptors cannot be raised: {error}");
    }
    let limit = getrlimit(Resource::Nofile).current;
    let text = limit.map_or("unlimited".to_owned(), |limit| limit.to_string());
    if limit.is_some_and(|limit| limit < FEW) {
        tracing::warn!("only {text} file descriptors may be open: about half as many clients at a time");
    } else {
        tracing::info!("file descriptors: {text} may be open");
    }
}
