//! How long things may take.

use std::time::Duration;

/// How long the client waits, for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EtcdTimes {
    /// One call, from its sending to the end of its answer.
    pub call: Duration,
    /// A new connection: TCP, TLS, and a first answer.
    pub connect: Duration,
    /// Between two looks whether the member at the other end of a connection is still there.
    pub pulse: Duration,
    /// Until the answer to such a look. A member that stalls is given up after `pulse` and `silence` at most.
    pub silence: Duration,
    /// A login: etcd hashes the password slowly, on purpose.
    pub login: Duration,
    /// Between two looks whether a watch is still served, on a connection that is; the answer has twice that time.
    pub progress: Duration,
}

impl Default for EtcdTimes {
    fn default() -> Self {
        EtcdTimes {
            call: Duration::from_millis(500),
            connect: Duration::from_millis(500),
            pulse: Duration::from_millis(500),
            silence: Duration::from_millis(500),
            login: Duration::from_secs(2),
            progress: Duration::from_secs(5),
        }
    }
}
