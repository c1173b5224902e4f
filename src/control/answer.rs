//! The one way in which something is sent to somebody who may not wait for it any more.

use tokio::sync::oneshot;

/// Answers somebody who asked. A client that went away meanwhile, or a part of the process that has stopped, needs
/// no answer.
pub(super) fn answer<T>(to: oneshot::Sender<T>, value: T) {
    drop(to.send(value));
}
