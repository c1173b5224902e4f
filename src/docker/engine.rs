//! Docker's API, as far as it is asked: over its socket, or over TCP to a proxy before it.

use super::container::Container;
use super::events::Event;
use super::signal;
use crate::core::settings::DockerSocket;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustix::io::Errno;
use serde::Deserialize;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

/// How long Docker may take for anything but its stream of events.
const PATIENCE: Duration = Duration::from_secs(10);
/// A longer answer, or a longer event, is refused.
const LONGEST_ANSWER_BYTES: usize = 64 << 20;
const LONGEST_EVENT_BYTES: usize = 1 << 20;

/// Where Docker is asked. Every question has a connection of its own.
#[derive(Clone, Debug)]
pub(super) struct Engine(pub DockerSocket);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inspected {
    config: InspectedConfig,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct InspectedConfig {
    #[serde(default)]
    stop_signal: String,
}

impl Engine {
    /// All containers with our labels.
    ///
    /// # Errors
    /// A sentence that says what went wrong, and what may help.
    pub(super) async fn list(&self) -> Result<Vec<Container>, String> {
        let filters = filters(r#"{"label":["pointsman.service"]}"#);
        let body = self.whole(&format!("/containers/json?all=true&{filters}")).await?;
        serde_json::from_slice(&body)
            .map_err(|error| format!("its list of containers cannot be read: {error}"))
    }

    /// The signal that a container is stopped by, where its image or its settings say one.
    pub(super) async fn stop_signal(&self, id: &str) -> Option<u32> {
        let body = self.whole(&format!("/containers/{id}/json")).await.ok()?;
        let inspected: Inspected = serde_json::from_slice(&body).ok()?;
        signal::number(&inspected.config.stop_signal)
    }

    /// What happens to containers from now on.
    ///
    /// # Errors
    /// As [`Engine::list`].
    pub(super) async fn events(&self) -> Result<Events, String> {
        let filters = filters(r#"{"type":["container"],"label":["pointsman.service"]}"#);
        let answer = self.asked(&format!("/events?{filters}")).await?;
        Ok(Events { body: answer.into_body(), read: Vec::new() })
    }

    async fn whole(&self, path: &str) -> Result<Bytes, String> {
        let read = async {
            let answer = self.asked(path).await?;
            let body = Limited::new(answer.into_body(), LONGEST_ANSWER_BYTES).collect().await;
            body.map(|body| body.to_bytes()).map_err(|error| format!("its answer broke off: {error}"))
        };
        timeout(PATIENCE, read).await.map_err(|_| slow())?
    }

    async fn asked(&self, path: &str) -> Result<Response<Incoming>, String> {
        let asked = async {
            match &self.0 {
                DockerSocket::Unix(socket) => {
                    let stream = UnixStream::connect(socket).await;
                    ask(stream.map_err(|error| unreachable(&error))?, path).await
                }
                DockerSocket::Tcp(address) => {
                    let stream = TcpStream::connect(address.as_str()).await;
                    ask(stream.map_err(|error| unreachable(&error))?, path).await
                }
            }
        };
        let answer = timeout(PATIENCE, asked).await.map_err(|_| slow())??;
        match answer.status().as_u16() {
            200 => Ok(answer),
            403 => Err("it answers 403; a proxy before its socket must allow containers and events (CONTAINERS=1, EVENTS=1)".to_owned()),
            status => Err(format!("it answers {status} to GET {path}")),
        }
    }
}

async fn ask<S>(stream: S, path: &str) -> Result<Response<Incoming>, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let broken = |error: hyper::Error| format!("the connection broke: {error}");
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    // It ends with the body of the answer.
    tokio::spawn(connection);
    let request = Request::get(path).header("Host", "docker").body(Empty::<Bytes>::new());
    let request = request.map_err(|error| format!("it cannot be asked: {error}"))?;
    sender.send_request(request).await.map_err(broken)
}

fn filters(json: &str) -> String {
    form_urlencoded::Serializer::new(String::new()).append_pair("filters", json).finish()
}

fn slow() -> String {
    format!("it does not answer within {PATIENCE:?}")
}

fn unreachable(error: &io::Error) -> String {
    let remedy = match error.kind() {
        io::ErrorKind::NotFound => "; is Docker running, and is its socket mounted?",
        io::ErrorKind::PermissionDenied => "; the user of this process must be in the group of the socket",
        _ if is_ours(error) => "; raise the limit (LimitNOFILE=, ulimits.nofile) or lower limits.connections",
        _ => "",
    };
    format!("no connection: {error}{remedy}")
}

/// Whether this process, or its machine, has no descriptor left.
fn is_ours(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}

/// The stream of events.
#[derive(Debug)]
pub(super) struct Events {
    body: Incoming,
    /// What has come of the next line.
    read: Vec<u8>,
}

impl Events {
    /// The next one that says something. Nothing is lost where this is cancelled.
    ///
    /// # Errors
    /// A sentence, once the stream has ended.
    pub(super) async fn next(&mut self) -> Result<Event, String> {
        loop {
            while let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.read.drain(..=end).collect();
                if line.trim_ascii().is_empty() {
                    continue;
                }
                if let Some(event) = Event::read(&line)? {
                    return Ok(event);
                }
            }
            if self.read.len() > LONGEST_EVENT_BYTES {
                return Err("an event is too long".to_owned());
            }
            let frame = self.body.frame().await.ok_or("its events have ended")?;
            let frame = frame.map_err(|error| format!("its events broke off: {error}"))?;
            self.read.extend(frame.into_data().unwrap_or_default());
            // An object without a line's end, as some send it.
            if self.read.last() == Some(&b'}')
                && serde_json::from_slice::<serde_json::Value>(&self.read).is_ok()
            {
                self.read.push(b'\n');
            }
        }
    }
}
