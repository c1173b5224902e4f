//! One check of one upstream: to accept a connection, to answer a request, or to say by gRPC that it serves.

use super::exchange::{Ask, Failed};
use super::transport::Transport;
use super::{expected, grpc};
use crate::core::settings::{CheckKind, GrpcCheck, Health, HttpCheck, UpstreamTls};
use crate::core::upstream_address::UpstreamAddress;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, TE};
use http::{HeaderValue, Method};
use tokio::time::timeout;

/// The most of an answer's body that is read.
const MAX_BODY: usize = 64 * 1024;
const AGENT: &str = "pointsman-health";

/// A check, ready to be made again and again.
pub(super) struct Check {
    health: Health,
    transport: Transport,
    /// The Host header, where the check says no other.
    authority: String,
    /// What is asked, as it is shown.
    name: String,
}

impl Check {
    /// Of the upstream with this address, as typed.
    pub(super) fn new(health: Health, label: &str, tls: Option<&UpstreamTls>) -> Self {
        let transport = Transport::to(label, health.http2, tls.filter(|_| health.tls));
        let what = match &health.kind {
            CheckKind::Connect => "connect".to_owned(),
            CheckKind::Http(check) => format!("{} {}", check.method, check.path),
            CheckKind::Grpc(_) => "grpc".to_owned(),
        };
        let name = match health.port {
            Some(port) => format!("{what} on port {port}"),
            None => what,
        };
        let authority = authority(label, health.port);
        Check { health, transport, authority, name }
    }

    /// Makes it once.
    ///
    /// # Errors
    /// What was wrong, in words that name what was asked; or what this process is short of.
    pub(super) async fn passes(&self, address: UpstreamAddress) -> Result<(), Failed> {
        let time = self.health.timeout;
        match timeout(time, self.ask(address)).await {
            Ok(result) => result,
            Err(_) if self.health.kind == CheckKind::Connect => {
                Err(Failed::Theirs(format!("{}: no connection within {time:?}", self.name)))
            }
            Err(_) => Err(Failed::Theirs(format!("{}: no answer within {time:?}", self.name))),
        }
    }

    async fn ask(&self, address: UpstreamAddress) -> Result<(), Failed> {
        let address = self.place(address)?;
        let stream =
            self.transport.open(address).await.map_err(|failed| match (failed, self.health.port) {
                (Failed::Theirs(why), Some(port)) => Failed::Theirs(format!("port {port}: {why}")),
                (failed, _) => failed,
            })?;
        let result = match &self.health.kind {
            CheckKind::Connect => {
                stream.close();
                return Ok(());
            }
            CheckKind::Http(check) => {
                let answer = self.http(check).on(stream).await;
                answer.and_then(|answer| expected::judged(&answer, &check.expect, check.matches.as_ref()))
            }
            CheckKind::Grpc(check) => self.grpc(check).on(stream).await.and_then(|answer| {
                let fields = (&answer.headers, &answer.trailers);
                grpc::serving(&check.service, answer.status, fields, &answer.body)
            }),
        };
        result.map_err(|why| Failed::Theirs(format!("{}: {why}", self.name)))
    }

    /// Where it is asked: at the upstream, or at another port of its host.
    fn place(&self, address: UpstreamAddress) -> Result<UpstreamAddress, Failed> {
        match (address, self.health.port) {
            (address, None) => Ok(address),
            (UpstreamAddress::Ip(mut address), Some(port)) => {
                address.set_port(port);
                Ok(address.into())
            }
            (UpstreamAddress::Unix(_), Some(port)) => Err(Failed::Theirs(format!(
                "the check asks port {port}, and a socket in the file system has none"
            ))),
        }
    }

    fn http<'a>(&'a self, check: &'a HttpCheck) -> Ask<'a> {
        Ask {
            method: check.method.clone(),
            path: &check.path,
            host: check.host.as_deref().unwrap_or(&self.authority),
            agent: AGENT,
            headers: check.headers.clone(),
            body: Bytes::new(),
            limit: MAX_BODY,
            over: &self.transport,
        }
    }

    fn grpc<'a>(&'a self, check: &'a GrpcCheck) -> Ask<'a> {
        let mut headers = check.headers.clone();
        headers.insert(TE, HeaderValue::from_static("trailers"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        Ask {
            method: Method::POST,
            path: grpc::PATH,
            host: check.host.as_deref().unwrap_or(&self.authority),
            agent: AGENT,
            headers,
            body: grpc::request(&check.service),
            limit: MAX_BODY,
            over: &self.transport,
        }
    }
}

/// The Host header for an upstream, as typed, or for another port of its host.
fn authority(label: &str, port: Option<u16>) -> String {
    let of_label = UpstreamAddress::authority_of(label);
    match (port, of_label.rsplit_once(':')) {
        (Some(port), Some((host, _))) => format!("{host}:{port}"),
        _ => of_label.to_owned(),
    }
}

#[cfg(test)]
mod tests;
