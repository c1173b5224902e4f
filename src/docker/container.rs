//! A container as Docker lists it.

use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

/// The digits of an id that people see.
const SHORT_ID: usize = 12;

/// One entry of `GET /containers/json`, as far as it matters here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Container {
    pub id: String,
    #[serde(deserialize_with = "or_empty")]
    names: Vec<String>,
    #[serde(deserialize_with = "or_empty")]
    pub labels: BTreeMap<String, String>,
    #[serde(deserialize_with = "or_empty")]
    state: String,
    #[serde(deserialize_with = "or_empty")]
    ports: Vec<Port>,
    #[serde(deserialize_with = "or_empty")]
    host_config: HostConfig,
    #[serde(deserialize_with = "or_empty")]
    network_settings: NetworkSettings,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Port {
    private_port: u16,
    r#type: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct HostConfig {
    network_mode: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct NetworkSettings {
    #[serde(deserialize_with = "or_empty")]
    networks: BTreeMap<String, Network>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Network {
    #[serde(rename = "IPAddress")]
    ip_address: String,
    #[serde(rename = "GlobalIPv6Address")]
    global_ipv6_address: String,
}

/// What Docker says of a container's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    /// It has not run yet.
    Created,
    Running,
    /// It exists, and does not run.
    Stopped,
}

impl Container {
    pub(super) fn short_id(&self) -> Arc<str> {
        short(&self.id)
    }

    /// Without Docker's slash.
    pub(super) fn name(&self) -> String {
        let first = self.names.first().map(|name| name.trim_start_matches('/').to_owned());
        first.filter(|name| !name.is_empty()).unwrap_or_else(|| self.short_id().to_string())
    }

    pub(super) fn life(&self) -> Life {
        match self.state.as_str() {
            "running" => Life::Running,
            "created" => Life::Created,
            _ => Life::Stopped,
        }
    }

    /// Whether it is `docker compose run`'s: it has its service's labels and is none of its instances.
    pub(super) fn is_one_off(&self) -> bool {
        self.labels.get("com.docker.compose.oneoff").is_some_and(|is| is.eq_ignore_ascii_case("true"))
    }

    /// Whether it has no network of its own.
    pub(super) fn is_on_host(&self) -> bool {
        self.host_config.network_mode == "host" || self.network_settings.networks.contains_key("host")
    }

    /// Whether its network is another container's.
    pub(super) fn is_in_another(&self) -> bool {
        self.host_config.network_mode.starts_with("container:")
    }

    /// The ports that it says it listens on, without UDP's.
    pub(super) fn ports(&self) -> BTreeSet<u16> {
        let tcp = self.ports.iter().filter(|port| port.r#type.is_empty() || port.r#type == "tcp");
        tcp.map(|port| port.private_port).filter(|port| *port > 0).collect()
    }

    /// Its address on every network that it has one on.
    pub(super) fn addresses(&self) -> BTreeMap<&str, IpAddr> {
        let address = |network: &Network| {
            network.ip_address.parse().or_else(|_| network.global_ipv6_address.parse::<IpAddr>())
        };
        let networks = self.network_settings.networks.iter();
        networks.filter_map(|(name, network)| Some((name.as_str(), address(network).ok()?))).collect()
    }
}

pub(super) fn short(id: &str) -> Arc<str> {
    id.get(..SHORT_ID).unwrap_or(id).into()
}

/// Docker writes `null` for what is empty.
fn or_empty<'de, D: serde::Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Option::<T>::deserialize(from).map(Option::unwrap_or_default)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_read_as_docker_lists_it() {
        let text = r#"{"Id": "0123456789abcdef", "Names": ["/web-1"], "Image": "web", "State": "running",
            "Ports": [{"PrivatePort": 3000, "Type": "tcp"}, {"IP": "::", "PrivatePort": 3000, "PublicPort": 80, "Type": "tcp"},
                      {"PrivatePort": 53, "Type": "udp"}],
            "Labels": {"pointsman.service": "web"}, "HostConfig": {"NetworkMode": "app_default"},
            "NetworkSettings": {"Networks": {"app_default": {"IPAddress": "172.18.0.3", "GlobalIPv6Address": ""},
                                             "six": {"IPAddress": "", "GlobalIPv6Address": "fd00::3"}, "off": {"IPAddress": ""}}}}"#;
        let container: Container = serde_json::from_str(text).expect("a container");
        assert_eq!((&*container.short_id(), container.name()), ("0123456789ab", "web-1".to_owned()));
        assert_eq!((container.life(), container.is_on_host()), (Life::Running, false));
        assert_eq!(container.ports(), BTreeSet::from([3000]));
        let addresses: Vec<_> = container.addresses().into_iter().map(|(n, a)| format!("{n} {a}")).collect();
        assert_eq!(addresses, ["app_default 172.18.0.3", "six fd00::3"]);
    }

    #[test]
    fn what_is_left_out_or_null_is_empty() {
        let text = r#"{"Id": "ab", "Names": null, "Labels": null, "Ports": null, "HostConfig": null, "NetworkSettings": {"Networks": null}}"#;
        let container: Container = serde_json::from_str(text).expect("a container");
        assert_eq!((container.name(), container.life()), ("ab".to_owned(), Life::Stopped));
        assert!(container.ports().is_empty() && container.addresses().is_empty());
    }
}
