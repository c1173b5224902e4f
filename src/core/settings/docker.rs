//! Where Docker is asked for containers.

use std::fmt;
use std::path::PathBuf;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Docker {
    pub socket: DockerSocket,
    /// The network that containers are reached on, where they are on several.
    pub network: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DockerSocket {
    Unix(PathBuf),
    /// Host and port of a proxy before the socket.
    Tcp(String),
}

impl fmt::Display for DockerSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DockerSocket::Unix(path) => path.display().fmt(f),
            DockerSocket::Tcp(address) => write!(f, "tcp://{address}"),
        }
    }
}
