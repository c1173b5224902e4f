//! Which pool a container belongs to and where it is reached, by its labels.

use super::container::Container;
use crate::core::settings::{Config, Upstream};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

pub(super) const SERVICE: &str = "pointsman.service";
const POOL: &str = "pointsman.pool";
const PORT: &str = "pointsman.port";
const NETWORK: &str = "pointsman.network";

/// The pool of a container, and what it is called there: its name with its port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub service: Arc<str>,
    pub pool: Arc<str>,
    pub label: Arc<str>,
    port: u16,
}

impl Place {
    /// # Errors
    /// A sentence that says which label is wrong, and what to write.
    pub(super) fn of(container: &Container, config: &Config) -> Result<Place, String> {
        let label =
            |name: &str| container.labels.get(name).map(|value| value.trim()).filter(|v| !v.is_empty());
        let service = label(SERVICE).ok_or("the label pointsman.service is empty; name a service there")?;
        let services = || config.services.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        let service = config.services.get(service).ok_or_else(|| {
            format!("the label {SERVICE} names {service:?}, which is no service; there are: {}", services())
        })?;
        let pools = || service.pools.keys().map(|name| &**name).collect::<Vec<_>>().join(", ");
        let pool = match (label(POOL), service.pools.len()) {
            (Some(pool), _) => service.pools.get_key_value(pool).ok_or_else(|| {
                format!(
                    "the label {POOL} names {pool:?}, which is no pool of {}; there are: {}",
                    service.name,
                    pools()
                )
            })?,
            (None, 1) => service.pools.iter().next().ok_or("its service has no pool")?,
            (None, _) => {
                return Err(format!("the label {POOL} is missing; write one of: {}", pools()));
            }
        };
        let port = port(container, label(PORT))?;
        let label = format!("{}:{port}", container.name()).into();
        Ok(Place { service: service.name.clone(), pool: pool.0.clone(), label, port })
    }

    /// The upstream that it is while it runs; `network` is the one to prefer.
    ///
    /// # Errors
    /// A sentence that says why it has no address, and what to write.
    pub(super) fn reached(&self, container: &Container, network: Option<&str>) -> Result<Upstream, String> {
        let ip = address(container, network)?;
        let at = SocketAddr::new(ip, self.port);
        Ok(Upstream::of_container(self.label.clone(), at, container.short_id()))
    }
}

fn port(container: &Container, label: Option<&str>) -> Result<u16, String> {
    if let Some(text) = label {
        let port = text.parse().ok().filter(|port| *port > 0);
        return port.ok_or_else(|| format!("the label {PORT} is {text:?}, which is no port; write 3000"));
    }
    let ports: Vec<u16> = container.ports().into_iter().collect();
    match ports[..] {
        [port] => Ok(port),
        [] => Err(format!("it exposes no port; say which one by the label {PORT}")),
        _ => {
            let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
            Err(format!("it exposes the ports {}; say which one by the label {PORT}", ports.join(", ")))
        }
    }
}

fn address(container: &Container, network: Option<&str>) -> Result<IpAddr, String> {
    if container.is_on_host() {
        return Ok(Ipv4Addr::LOCALHOST.into());
    }
    let addresses = container.addresses();
    let names = || addresses.keys().copied().collect::<Vec<_>>().join(", ");
    if let Some(own) = container.labels.get(NETWORK) {
        let address = addresses.get(own.as_str()).copied();
        return address.ok_or_else(|| {
            format!("the label {NETWORK} names {own:?}, where it has no address; it has one on: {}", names())
        });
    }
    if let Some(address) = network.and_then(|network| addresses.get(network)) {
        return Ok(*address);
    }
    match addresses.values().collect::<Vec<_>>()[..] {
        [address] => Ok(*address),
        [] if container.is_in_another() => {
            Err("its network is another container's; give the labels to that one".to_owned())
        }
        [] => Err("it has no address on any network; connect it to one".to_owned()),
        _ => Err(format!(
            "it is on the networks {}; say which one by the label {NETWORK}, or by `network` in [docker]",
            names()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const CONFIG: &str = "[[listeners]]\naddress = \"127.0.0.1:0\"\n[docker]\n[[routes]]\nservice = \"web\"\n\
        [services.web]\nstable = \"blue\"\n[services.web.pools.blue]\n[services.web.pools.green]\n\
        [[routes]]\nhosts = [\"one\"]\nservice = \"one\"\n[services.one.pools.only]\n";

    fn config() -> Config {
        crate::config::parse(CONFIG, "test", &|_| None, "/tmp".as_ref()).expect("a configuration")
    }

    fn placed(labels: Value, network: Option<&str>) -> Result<(String, String, String), String> {
        let container = json!({
            "Id": "0123456789abcdef", "Names": ["/web-1"], "State": "running", "Labels": labels,
            "Ports": [{"PrivatePort": 3000, "Type": "tcp"}],
            "NetworkSettings": {"Networks": {"app": {"IPAddress": "172.18.0.3"}, "db": {"IPAddress": "172.19.0.3"}}},
        });
        let container: Container = serde_json::from_value(container).expect("a container");
        let place = Place::of(&container, &config())?;
        let upstream = place.reached(&container, network)?;
        let at = format!("{:?}", upstream.host);
        Ok((format!("{}/{}", place.service, place.pool), upstream.identity(), at))
    }

    #[test]
    fn labels_say_the_pool_the_port_and_the_network() {
        let labels = json!({"pointsman.service": "web", "pointsman.pool": "green", "pointsman.port": "8080",
            "pointsman.network": "db"});
        let (pool, identity, at) = placed(labels, Some("app")).expect("placed");
        assert_eq!((&*pool, &*identity), ("web/green", "web-1:8080@0123456789ab"));
        assert_eq!(at, "Address(172.19.0.3:8080)");
        let (pool, identity, at) = placed(json!({"pointsman.service": "one"}), Some("app")).expect("placed");
        assert_eq!(
            (&*pool, &*identity, &*at),
            ("one/only", "web-1:3000@0123456789ab", "Address(172.18.0.3:3000)")
        );
    }

    #[test]
    fn what_is_wrong_is_said_with_the_remedy() {
        let with = |name: &str, value: &str| {
            let mut labels =
                json!({"pointsman.service": "web", "pointsman.pool": "blue", "pointsman.network": "app"});
            labels[name] = value.into();
            placed(labels, None).expect_err("refused")
        };
        for (name, value, expected) in [
            ("pointsman.service", "wbe", "names \"wbe\", which is no service; there are: one, web"),
            ("pointsman.pool", "gren", "names \"gren\", which is no pool of web; there are: blue, green"),
            ("pointsman.pool", "", "pointsman.pool is missing; write one of: blue, green"),
            ("pointsman.port", "http", "which is no port; write 3000"),
            ("pointsman.network", "none", "where it has no address; it has one on: app, db"),
        ] {
            let why = with(name, value);
            assert!(why.contains(expected), "{why}");
        }
        let why = placed(json!({"pointsman.service": "one"}), None).expect_err("two networks");
        assert!(why.contains("is on the networks app, db; say which one"), "{why}");
    }
}
