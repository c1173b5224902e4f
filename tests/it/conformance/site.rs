//! nginx and Pointsman side by side before the same origins.

use super::furnish::{LISTENERS, certificates, import, ports, prepare, source};
use super::origins::{Origins, Reserved};
use super::secured::Secured;
use crate::harness::{Answer, Authority, Connection, Nginx, Pointsman, Received, TlsClient};
use std::fs::read_to_string;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::Path;

pub(super) struct Site {
    nginx: Nginx,
    pointsman: Pointsman,
    nginx_ports: Vec<Reserved>,
    ports: Vec<Reserved>,
    origins: Origins,
    client: TlsClient,
    /// Where the configuration names it.
    _secured: Option<Secured>,
}

/// What came of a request.
pub(super) struct Exchange {
    pub answer: Answer,
    pub host: String,
    pub target: String,
    /// The fields of the request.
    pub sent: Vec<(String, String)>,
    /// Which origin got it, and as what.
    pub upstream: Option<(&'static str, Received)>,
}

impl Site {
    /// `hosts`: what certificates have to be good for.
    ///
    /// # Errors
    /// What the import or `check` said.
    pub(super) fn start(file: &str, hosts: &[&str], is_strict: bool) -> Result<Self, String> {
        let origins = Origins::start();
        let secured = source(file).contains("@TLS@").then(Secured::start);
        let marks: Vec<_> =
            origins.marks().into_iter().chain(secured.iter().flat_map(Secured::marks)).collect();
        let authority = Authority::new();
        let certificates = certificates(file, hosts, &authority);
        let (nginx_ports, own_ports) = (ports(), ports());
        let furnished = |ports: &[Reserved]| prepare(file, &marks, &addresses(ports), &certificates);
        let (nginx_dir, dir) = (furnished(&nginx_ports), furnished(&own_ports));
        let read = |name: &str| read_to_string(nginx_dir.path().join(name)).expect("a file");
        let mut conf = read("nginx.conf");
        if conf.contains("include sites/") {
            conf.push_str(&read("sites/20-site.conf"));
        }
        import(dir.path(), is_strict)?;
        let used = |address: &SocketAddr| conf.contains(&address.port().to_string());
        let listening = addresses(&nginx_ports).into_iter().filter(used).collect();
        let nginx = Nginx::serve(nginx_dir, listening);
        let pointsman = Pointsman::start_in(dir);
        let client = TlsClient::new(&authority);
        Ok(Site { nginx, pointsman, nginx_ports, ports: own_ports, origins, client, _secured: secured })
    }

    /// nginx's exchange and Pointsman's.
    pub(super) fn ask(&self, request: &str) -> (Exchange, Exchange) {
        assert!(!self.nginx.addresses.is_empty() && !self.pointsman.listeners.is_empty());
        (self.exchange(&self.nginx_ports, request), self.exchange(&self.ports, request))
    }

    /// Where the files of the configuration lie.
    pub(super) fn folder(&self) -> &Path {
        self.pointsman.dir.path()
    }

    pub(super) fn nginx_url(&self) -> String {
        format!("http://{}", self.nginx_ports[0].address)
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.ports[0].address)
    }

    /// Where nobody listens.
    pub(super) fn dead_url(&self) -> String {
        format!("http://{}", self.origins.dead())
    }

    fn exchange(&self, ports: &[Reserved], request: &str) -> Exchange {
        let (listener, rest) =
            request.strip_prefix('@').and_then(|r| r.split_once(' ')).unwrap_or(("HTTP", request));
        let index = LISTENERS.iter().position(|name| *name == listener).expect("a listener");
        let origins = &self.origins.all;
        let before: Vec<u64> = origins.iter().map(|(_, origin)| origin.requests()).collect();
        let ask = Ask::parse(rest);
        let address = ports[index].address;
        let answer = if listener == "HTTPS" {
            match self.client.open(address, ask.host.split(':').next().unwrap_or_default()) {
                Ok(mut secured) => ask.over(&mut secured.0),
                Err(error) => Answer { fault: error.to_string(), ..Answer::default() },
            }
        } else {
            ask.over(&mut Connection::open(address))
        };
        let reached = origins.iter().zip(before).find(|((_, origin), before)| origin.requests() > *before);
        Exchange {
            answer,
            host: ask.host.to_owned(),
            target: ask.target.to_owned(),
            sent: ask.fields.iter().filter_map(|field| field.split_once(": ")).map(owned).collect(),
            upstream: reached.map(|((name, origin), _)| (*name, origin.last())),
        }
    }
}

fn owned((name, value): (&str, &str)) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

fn addresses(ports: &[Reserved]) -> Vec<SocketAddr> {
    ports.iter().map(|port| port.address).collect()
}

/// A request, taken apart.
struct Ask<'a> {
    method: &'a str,
    host: &'a str,
    target: &'a str,
    fields: Vec<&'a str>,
    body: Option<usize>,
}

impl<'a> Ask<'a> {
    fn parse(text: &'a str) -> Self {
        let mut parts = text.split("; ");
        let mut line = parts.next().expect("a line").split(' ');
        let [method, host, target] = std::array::from_fn(|_| line.next().expect("three words"));
        let (sizes, fields): (Vec<&str>, Vec<&str>) = parts.partition(|part| part.starts_with("body="));
        let body = sizes.first().map(|size| size[5..].parse().expect("a size"));
        Ask { method, host, target, fields, body }
    }

    fn over<S: Read + Write>(&self, connection: &mut Connection<S>) -> Answer {
        let Ask { method, host, target, .. } = self;
        let mut request = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n");
        self.fields.iter().for_each(|field| request.push_str(&format!("{field}\r\n")));
        if let Some(size) = self.body {
            request.push_str(&format!("Content-Length: {size}\r\n\r\n{}", "x".repeat(size)));
        } else {
            request.push_str("\r\n");
        }
        let mut answer = connection.send(request.as_bytes());
        let is_upgrade = self.fields.iter().any(|field| field.starts_with("Upgrade: w"));
        if is_upgrade && answer.status == 101 {
            connection.write(b"to and fro").expect("written");
            answer.body = vec![0; 10];
            connection.reader.read_exact(&mut answer.body).expect("an echo");
        }
        answer
    }
}
