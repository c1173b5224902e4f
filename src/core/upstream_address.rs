//! Where an upstream is reached: an address of the network, or a socket in the file system.
//!
//! It is copied as a whole, a path included: an address goes with every attempt, every check and every recall, and
//! none of them allocates or counts references for it.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::SocketAddr;
use std::path::Path;
use std::str::FromStr;

/// What addresses of sockets in the file system begin with.
const SCHEME: &str = "unix:";
/// The longest path that the system takes, without the NUL behind it.
const LONGEST_PATH_BYTES: usize = 107;

/// One address of an upstream.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UpstreamAddress {
    Ip(SocketAddr),
    Unix(SocketPath),
}

/// The path of a socket: absolute, without control characters, and short enough for the system.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SocketPath {
    /// Zeros after the path.
    bytes: [u8; LONGEST_PATH_BYTES],
    length: u8,
}

impl UpstreamAddress {
    /// Its address in the network, if it has one.
    pub fn ip(&self) -> Option<SocketAddr> {
        match self {
            UpstreamAddress::Ip(address) => Some(*address),
            UpstreamAddress::Unix(_) => None,
        }
    }

    /// Whether a text means a socket in the file system, rightly spelled or not.
    pub fn is_path(text: &str) -> bool {
        text.starts_with(SCHEME)
    }

    /// What stands for the host of an upstream, as typed: `app` for `app:3000`, `::1` for `[::1]:3000`, and `localhost`
    /// for a socket in the file system.
    pub fn host_of(label: &str) -> &str {
        if UpstreamAddress::is_path(label) {
            return "localhost";
        }
        let host = label.rsplit_once(':').map_or(label, |(host, _)| host);
        host.trim_start_matches('[').trim_end_matches(']')
    }

    /// The Host header of requests that this process makes itself to an upstream, as typed.
    pub fn authority_of(label: &str) -> &str {
        if UpstreamAddress::is_path(label) { UpstreamAddress::host_of(label) } else { label }
    }
}

impl From<SocketAddr> for UpstreamAddress {
    fn from(address: SocketAddr) -> Self {
        UpstreamAddress::Ip(address)
    }
}

impl FromStr for UpstreamAddress {
    type Err = String;

    /// # Errors
    /// A sentence that says how to write it.
    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix(SCHEME) {
            return SocketPath::new(path).map(UpstreamAddress::Unix).map_err(|why| format!("{text:?} {why}"));
        }
        let address = text.parse().map_err(|_| format!("{text:?} is no address; write 10.0.0.1:3000"))?;
        Ok(UpstreamAddress::Ip(address))
    }
}

impl fmt::Display for UpstreamAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UpstreamAddress::Ip(address) => address.fmt(f),
            UpstreamAddress::Unix(path) => write!(f, "{SCHEME}{}", path.as_path().display()),
        }
    }
}

impl fmt::Debug for UpstreamAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl SocketPath {
    /// # Errors
    /// What is wrong with it, to be read after its text.
    pub fn new(path: &str) -> Result<Self, String> {
        if !path.starts_with('/') {
            return Err("is no socket's path; write it from the root: unix:/run/app.sock".to_owned());
        }
        if path.chars().any(char::is_control) {
            return Err("has a control character in its path; name the socket without one".to_owned());
        }
        SocketPath::of_bytes(path.as_bytes()).ok_or_else(|| {
            let length = path.len();
            format!("has a path of {length} bytes; a socket's has at most {LONGEST_PATH_BYTES}: move it")
        })
    }

    /// As the system names it; `None` where it is longer than can be.
    pub fn of_bytes(path: &[u8]) -> Option<Self> {
        let mut bytes = [0; LONGEST_PATH_BYTES];
        bytes.get_mut(..path.len())?.copy_from_slice(path);
        Some(SocketPath { bytes, length: path.len() as u8 })
    }

    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default()
    }

    pub fn as_path(&self) -> &Path {
        Path::new(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(self.as_bytes()))
    }
}

impl Hash for SocketPath {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl fmt::Debug for SocketPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_path().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_shown_as_they_are_read() {
        for text in ["10.0.0.1:3000", "[::1]:80", "unix:/run/app.sock", "unix:/run/a b:c.sock"] {
            let address: UpstreamAddress = text.parse().expect("an address");
            assert_eq!(address.to_string(), text);
            assert_eq!(address.ip().is_some(), !UpstreamAddress::is_path(text));
        }
    }

    #[test]
    fn what_is_no_path_is_refused_with_its_remedy() {
        let long = format!("unix:/{}", "a".repeat(107));
        for (text, remedy) in [
            ("unix:run/app.sock", "from the root"),
            ("unix:", "from the root"),
            ("unix:/run/\0app", "control character"),
            (&long, "108 bytes"),
            ("app", "is no address"),
        ] {
            let why = text.parse::<UpstreamAddress>().expect_err("refused");
            assert!(why.contains(remedy), "{why}");
        }
        assert!(long[..long.len() - 1].parse::<UpstreamAddress>().is_ok(), "107 bytes");
    }

    #[test]
    fn hosts_of_upstreams_are_what_their_certificates_are_for() {
        for (label, host, authority) in [
            ("app:3000", "app", "app:3000"),
            ("[::1]:443", "::1", "[::1]:443"),
            ("unix:/run/app.sock", "localhost", "localhost"),
        ] {
            assert_eq!(UpstreamAddress::host_of(label), host);
            assert_eq!(UpstreamAddress::authority_of(label), authority);
        }
    }
}
