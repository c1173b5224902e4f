//! `[docker]`: where containers are asked for.

use super::reader::{Item, Section};
use crate::core::settings::{Docker, DockerSocket};
use std::path::Path;

const SOCKET: &str = "/run/docker.sock";

/// Docker, if the file names it.
pub(super) fn read(root: &Section<'_>) -> Option<Docker> {
    let section = root.item("docker")?.section()?;
    let default = DockerSocket::Unix(SOCKET.into());
    let socket = section.read("socket", default, |item| item.parsed(socket));
    let network = section.item("network").and_then(|item| network(&item));
    section.finish();
    Some(Docker { socket, network })
}

/// A path, with or without `unix://`, or `tcp://` with a host and a port.
fn socket(text: &str) -> Result<DockerSocket, String> {
    if let Some(address) = text.strip_prefix("tcp://") {
        let port = address.rsplit_once(':').filter(|(host, _)| !host.is_empty()).map(|(_, port)| port);
        return match port.and_then(|port| port.parse::<u16>().ok()).filter(|port| *port > 0) {
            Some(_) => Ok(DockerSocket::Tcp(address.to_owned())),
            None => Err("has no host and port; write tcp://proxy:2375".to_owned()),
        };
    }
    let path = text.strip_prefix("unix://").unwrap_or(text);
    match Path::new(path).is_absolute() {
        true => Ok(DockerSocket::Unix(path.into())),
        false => Err(format!("is no socket; write {SOCKET}, or tcp://proxy:2375 for a proxy before it")),
    }
}

fn network(item: &Item<'_>) -> Option<String> {
    item.parsed(|text| match text.trim() {
        "" => Err("is empty; name the network that containers are reached on".to_owned()),
        name => Ok(name.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use crate::core::settings::{Config, Docker, DockerSocket};

    const MINIMAL: &str = include_str!("../../conf/minimal.toml");

    fn read(docker: &str) -> Result<Config, String> {
        let text = format!("{MINIMAL}\n[docker]\n{docker}\n");
        crate::config::parse(&text, "test", &|_| None, "/nowhere".as_ref()).map_err(|f| f.to_string())
    }

    #[test]
    fn a_socket_is_a_path_or_a_proxy() {
        let unix = |path: &str| DockerSocket::Unix(path.into());
        for (text, socket) in [
            ("", unix("/run/docker.sock")),
            ("socket = \"/var/run/docker.sock\"", unix("/var/run/docker.sock")),
            ("socket = \"unix:///run/podman.sock\"", unix("/run/podman.sock")),
            ("socket = \"tcp://proxy:2375\"", DockerSocket::Tcp("proxy:2375".into())),
        ] {
            let docker = read(text).expect("accepted").docker;
            assert_eq!(docker, Some(Docker { socket, network: None }), "{text}");
        }
        let docker = read("network = \"front\"").expect("accepted").docker.expect("there");
        assert_eq!(docker.network.as_deref(), Some("front"));
        assert_eq!(crate::config::parse(MINIMAL, "t", &|_| None, "/".as_ref()).expect("good").docker, None);
    }

    #[test]
    fn what_is_none_is_refused_with_the_remedy() {
        for (text, expected) in [
            ("socket = \"docker.sock\"", "docker.socket: is no socket; write /run/docker.sock"),
            ("socket = \"tcp://proxy\"", "docker.socket: has no host and port; write tcp://proxy:2375"),
            ("socket = \"tcp://:2375\"", "has no host and port"),
            ("network = \"\"", "docker.network: is empty"),
            ("labels = true", "docker.labels"),
        ] {
            let faults = read(text).expect_err("refused");
            assert!(faults.contains(expected), "{expected} is not in {faults}");
        }
    }
}
