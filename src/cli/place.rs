//! Where the admin API is, where nobody says: as the configuration of this machine has it.

use super::args::Connection;
use crate::config;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

const DEFAULT: &str = "http://127.0.0.1:9900";
/// The file that `run` reads where nobody names another.
pub(super) const CONFIG: &str = "/etc/pointsman/pointsman.toml";

/// Its address, and the file that has it, if one does.
pub(super) fn of_admin(connection: &Connection) -> (String, Option<PathBuf>) {
    if let Some(admin) = &connection.admin {
        return (admin.clone(), None);
    }
    let file = std::env::var_os("POINTSMAN_CONFIG").map_or_else(|| CONFIG.into(), PathBuf::from);
    match by_config(&file) {
        Some(url) => (url, Some(file)),
        None => (DEFAULT.to_owned(), None),
    }
}

/// Where a file cannot be read, by whom the tokens in it are no business of, or has a fault, nothing is found in it.
fn by_config(file: &Path) -> Option<String> {
    let (address, has_tls) = config::place_of_admin(file)?;
    let scheme = if has_tls { "https" } else { "http" };
    Some(format!("{scheme}://{}", reached(address)))
}

/// A process that listens on all addresses is reached on loopback.
fn reached(address: SocketAddr) -> SocketAddr {
    let loopback = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(loopback, address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_where_the_configuration_has_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("pointsman.toml");
        let of = |text: &str| {
            std::fs::write(&file, text).expect("a file");
            by_config(&file)
        };
        let found = |url: &str| Some(url.to_owned());
        assert_eq!(of("[admin]\nlisten = \"10.0.0.1:9901\""), found("http://10.0.0.1:9901"));
        assert_eq!(of("[admin]\nlisten = \"0.0.0.0:1\"\nunknown = 1"), found("http://127.0.0.1:1"));
        assert_eq!(of("[admin]\nlisten = \"[::]:1\"\ntls = {}"), found("https://[::1]:1"));
        assert_eq!(of("[server]\nthreads = 2"), found(DEFAULT), "the default is the file's, too");
        assert_eq!(of("[admin]\nlisten = \"127.0.0.1:0\""), None, "any port is none that is known");
        assert_eq!(of("[admin\n"), None);
        assert_eq!(by_config(&dir.path().join("none")), None);
    }
}
