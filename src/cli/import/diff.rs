//! `--diff NGINX POINTSMAN`: the same requests to both, one after the other, and what differs.
//!
//! Nothing is written anywhere, and only GET, HEAD and OPTIONS are sent. nginx is asked twice, so that what
//! changes by itself is not told as a difference.

use super::super::Done;
use super::super::client::Failure;
use super::super::out::Out;
use super::answers::{Answer, differences};
use crate::config::nginx::{Probe, probes};
use reqwest::header::HOST;
use reqwest::redirect::Policy;
use reqwest::{Client, Method, Url};
use serde::Serialize;
use std::io::Read;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::Path;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);
/// As much of a body as is compared.
const BODY: usize = 1 << 20;

/// What came of all requests.
#[derive(Debug, Default, Serialize)]
struct Comparison {
    asked: usize,
    alike: usize,
    /// Those that give what nginx refuses come first.
    different: Vec<Different>,
}

#[derive(Debug, Serialize)]
struct Different {
    request: String,
    /// nginx refuses what Pointsman gives.
    is_given: bool,
    what: Vec<String>,
}

/// `requests`: a file with a request a line, `-` for standard input; without, those of the configuration.
pub(super) fn run(
    file: &Path,
    (theirs, ours): (&Url, &Url),
    requests: Option<&Path>,
    out: &Out,
) -> Result<Done, Failure> {
    let probes = match requests {
        Some(list) => listed(&read(list)?)?,
        None => probes(file).map_err(|error| Failure::Other(error.to_string()))?,
    };
    let ends = [Server::at("nginx", theirs, &probes)?, Server::at("pointsman", ours, &probes)?];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let comparison = runtime.block_on(compare(&ends, &probes))?;
    out.show(&comparison, text);
    Ok(if comparison.different.is_empty() { Done::Well } else { Done::Unwell })
}

async fn compare([nginx, pointsman]: &[Server; 2], probes: &[Probe]) -> Result<Comparison, Failure> {
    let mut comparison = Comparison::default();
    for probe in probes {
        let first = nginx.ask(probe).await?;
        let second = pointsman.ask(probe).await?;
        let again = nginx.ask(probe).await?;
        let what = differences(&first, &again, &second);
        comparison.asked += 1;
        if what.is_empty() {
            comparison.alike += 1;
        } else {
            let is_given = second.is_given_against(&first);
            comparison.different.push(Different { request: probe.to_string(), is_given, what });
        }
    }
    comparison.different.sort_by_key(|different| !different.is_given);
    Ok(comparison)
}

fn text(comparison: &Comparison) -> String {
    let mut text = String::new();
    for Different { request, is_given, what } in &comparison.different {
        let mark = if *is_given { "GIVEN, WHERE NGINX REFUSES: " } else { "" };
        what.iter().for_each(|what| text.push_str(&format!("{mark}{request}: {what}\n")));
    }
    let Comparison { asked, alike, different } = comparison;
    text + &format!("{asked} requests: {alike} alike, {} different", different.len())
}

fn read(list: &Path) -> Result<String, Failure> {
    let failed =
        |error: std::io::Error| Failure::File { file: list.display().to_string(), detail: error.to_string() };
    if list.as_os_str() != "-" {
        return std::fs::read_to_string(list).map_err(failed);
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).map_err(failed)?;
    Ok(text)
}

/// `[METHOD] HOST TARGET`, a line each; `#` begins a comment.
fn listed(text: &str) -> Result<Vec<Probe>, Failure> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    lines
        .filter(|line| !line.is_empty())
        .map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let (method, host, target) = match words.as_slice() {
                [host, target] => ("GET", *host, *target),
                [method @ ("GET" | "HEAD" | "OPTIONS"), host, target] => (*method, *host, *target),
                _ => ("", "", ""),
            };
            let is_whole = target.starts_with('/') && Url::parse(&format!("http://{host}{target}")).is_ok();
            is_whole
                .then(|| Probe { method: method.into(), host: host.into(), target: target.into() })
                .ok_or_else(|| {
                    Failure::Other(format!("{line:?} is no request: write [GET|HEAD|OPTIONS] HOST /PATH"))
                })
        })
        .collect()
}

/// One of the two, asked for every host at its own address.
struct Server {
    name: &'static str,
    base: Url,
    http: Client,
}

impl Server {
    fn at(name: &'static str, base: &Url, probes: &[Probe]) -> Result<Self, Failure> {
        let address =
            address(base).ok_or_else(|| Failure::Other(format!("{base} names no address of {name}")))?;
        let mut builder = Client::builder()
            .timeout(PATIENCE)
            .redirect(Policy::none())
            .no_proxy()
            // What is compared is not the certificate, and the name in it is that of the site.
            .tls_danger_accept_invalid_certs(true)
            .user_agent(concat!("pointsman/", env!("CARGO_PKG_VERSION")));
        for probe in probes {
            builder = builder.resolve(bare(&probe.host), address);
        }
        let http = builder.build().map_err(|error| Failure::Other(format!("no HTTP client: {error}")))?;
        Ok(Server { name, base: base.clone(), http })
    }

    async fn ask(&self, probe: &Probe) -> Result<Answer, Failure> {
        let failed = |error: &dyn std::fmt::Display| {
            Failure::Other(format!("{} at {}: {probe}: {error}", self.name, self.base))
        };
        let port = self.base.port_or_known_default().unwrap_or(80);
        let url = format!("{}://{}:{port}{}", self.base.scheme(), bare(&probe.host), probe.target);
        let method = Method::from_bytes(probe.method.as_bytes()).map_err(|error| failed(&error))?;
        let url = Url::parse(&url).map_err(|error| failed(&error))?;
        let sent = self.http.request(method, url).header(HOST, &probe.host).send().await;
        let mut response = match sent {
            Ok(response) => response,
            Err(error) if error.is_connect() => return Err(failed(&error)),
            // Closed without an answer, as by 444.
            Err(_) => return Ok(Answer::default()),
        };
        let mut answer = Answer { status: response.status().as_u16(), ..Answer::default() };
        for (name, value) in response.headers() {
            answer.add(name.as_str(), &String::from_utf8_lossy(value.as_bytes()), &probe.host);
        }
        while let Ok(Some(piece)) = response.chunk().await {
            answer.body.extend_from_slice(&piece);
            if answer.body.len() >= BODY {
                answer.body.truncate(BODY);
                break;
            }
        }
        Ok(answer)
    }
}

/// A host without its port.
fn bare(host: &str) -> &str {
    host.split(':').next().unwrap_or(host)
}

fn address(base: &Url) -> Option<SocketAddr> {
    let host = base.host_str()?.trim_matches(['[', ']']);
    (host, base.port_or_known_default()?).to_socket_addrs().ok()?.next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_requests() {
        let probes = listed("# all\nGET a.example /x?y\n\nb.example:81 /  # the start\n").expect("a list");
        let shown: Vec<String> = probes.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["GET a.example /x?y", "GET b.example:81 /"]);
        for wrong in ["POST a.example /", "a.example", "GET a.example x", "GET a b c"] {
            assert!(listed(wrong).is_err(), "{wrong}");
        }
    }
}
