//! A connection to one member, which is known to be there: it has answered, and is asked again and again.
//!
//! It is asked by calls of gRPC's health service and not by PING frames: etcd in the clear ends a connection that sends
//! more than one PING in five seconds between answers (`GOAWAY`, `too_many_pings`), whatever the frames in between.

use super::call::{CallFault, CallHead, why};
use super::dial::{Dialer, Transport};
use super::endpoints::Endpoint;
use super::messages::{HealthCheckRequest, StatusRequest, StatusResponse};
use super::times::EtcdTimes;
use bytes::Bytes;
use h2::client::{Builder, Connection, SendRequest};
use http::HeaderValue;
use http::uri::{PathAndQuery, Scheme, Uri};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

const HEALTH: &str = "/grpc.health.v1.Health/Check";
const STATUS: &str = "/etcdserverpb.Maintenance/Status";
/// What a stream, and all of a connection, may have sent that is not read yet. Less than a connection's for a stream, so
/// that answers pass a watch whose reader is slow.
const STREAM_BYTES: u32 = 1 << 20;
const CONNECTION_BYTES: u32 = 4 << 20;
const HEADER_BYTES: u32 = 16 << 10;
const NO_LEADER: &str = "it has no leader: a majority of the members must be up and reach each other";
/// Codes of gRPC by which etcd refuses a user: INVALID_ARGUMENT where none is known, PERMISSION_DENIED, UNAUTHENTICATED.
const DENIALS: [u16; 3] = [3, 7, 16];

/// A connection. Its tasks end with it.
#[derive(Debug)]
pub(super) struct EtcdConnection {
    pub endpoint: Endpoint,
    pub sender: SendRequest<Bytes>,
    /// What the member said of itself at the start; nothing where it says that to few.
    pub status: StatusResponse,
    /// The user who asks, where there is one with a password: refusals name it.
    pub user: Option<Arc<str>>,
    /// Why it is over; `None` while it is not.
    ended: watch::Receiver<Option<Arc<str>>>,
    _tasks: JoinSet<()>,
}

impl EtcdConnection {
    /// Connects, and waits for a first answer: a process that is stopped accepts connections, too.
    ///
    /// # Errors
    /// What went wrong, and what helps.
    pub(super) async fn open(
        dialer: &Dialer,
        endpoint: &Endpoint,
        times: &EtcdTimes,
    ) -> Result<Self, String> {
        let opened = timeout(times.connect, EtcdConnection::shaken(dialer, endpoint, times)).await;
        let late = |_| format!("no answer within {} ms", times.connect.as_millis());
        let connection = opened.map_err(late).flatten();
        connection.map_err(|why| format!("{}: {why}", endpoint.name))
    }

    async fn shaken(dialer: &Dialer, endpoint: &Endpoint, times: &EtcdTimes) -> Result<Self, String> {
        let transport = dialer.open(endpoint).await?;
        let shaken = Builder::new()
            .enable_push(false)
            .initial_window_size(STREAM_BYTES)
            .initial_connection_window_size(CONNECTION_BYTES)
            .max_header_list_size(HEADER_BYTES)
            .handshake(transport)
            .await;
        let (sender, connection) = shaken.map_err(|error| why(&error))?;
        let (ends, mut ended) = watch::channel(None);
        let ends = Arc::new(ends);
        let mut tasks = JoinSet::new();
        tasks.spawn(drive(connection, ends.clone()));
        let first =
            call(endpoint, STATUS, times.connect).unary::<StatusResponse>(&sender, &StatusRequest {}).await;
        let status = match first {
            Ok(status) if status.leader == 0 => return Err(NO_LEADER.to_owned()),
            Ok(status) => status,
            Err(fault) if is_denied(&fault) => StatusResponse::default(),
            Err(fault) => {
                // A refusal of the other side may be under way still, and says more.
                let said = timeout(times.silence / 10, ended.wait_for(Option::is_some)).await;
                let said = said.ok().and_then(|ended| ended.ok()?.clone());
                return Err(explained(dialer, endpoint, said, &fault));
            }
        };
        tasks.spawn(look(sender.clone(), call(endpoint, HEALTH, times.silence), *times, ends));
        let user = dialer.settings().user.as_ref().map(|user| user.name.clone());
        Ok(EtcdConnection { endpoint: endpoint.clone(), sender, status, user, ended, _tasks: tasks })
    }

    pub(super) fn is_alive(&self) -> bool {
        self.ended.borrow().is_none()
    }

    /// Waits for the end; why.
    pub(super) async fn ended(&self) -> Arc<str> {
        let mut ended = self.ended.clone();
        let why = ended.wait_for(Option::is_some).await.ok().and_then(|why| why.clone());
        why.unwrap_or_else(|| "the connection was closed".into())
    }

    /// How to call a method at this member, for as long as `timeout`.
    pub(super) fn head(
        &self,
        path: &'static str,
        token: Option<HeaderValue>,
        timeout: Option<Duration>,
    ) -> CallHead {
        CallHead { uri: uri(&self.endpoint, path), token, needs_leader: true, timeout }
    }
}

/// Moves bytes until there is nobody at the other end.
async fn drive(
    connection: Connection<Box<dyn Transport>, Bytes>,
    ends: Arc<watch::Sender<Option<Arc<str>>>>,
) {
    let ended = match connection.await {
        Ok(()) => "the member closed the connection".to_owned(),
        Err(error) => why(&error),
    };
    end(&ends, &ended);
}

/// Asks whether the member is there; any answer says that it is.
async fn look(
    sender: SendRequest<Bytes>,
    health: CallHead,
    times: EtcdTimes,
    ends: Arc<watch::Sender<Option<Arc<str>>>>,
) {
    loop {
        sleep(times.pulse).await;
        let asked = health.unary::<HealthCheckRequest>(&sender, &HealthCheckRequest {});
        match timeout(times.silence, asked).await {
            Ok(Ok(_) | Err(CallFault::Status(_) | CallFault::TooLarge(_))) => {}
            Ok(Err(fault)) => return end(&ends, &fault.to_string()),
            Err(_) => {
                let silent = times.pulse + times.silence;
                return end(&ends, &format!("no sign of life for {} ms", silent.as_millis()));
            }
        }
    }
}

/// The first reason stays.
fn end(ends: &watch::Sender<Option<Arc<str>>>, why: &str) {
    ends.send_if_modified(|ended| {
        let is_first = ended.is_none();
        ended.get_or_insert_with(|| why.into());
        is_first
    });
}

fn call(endpoint: &Endpoint, path: &'static str, timeout: Duration) -> CallHead {
    CallHead { uri: uri(endpoint, path), token: None, needs_leader: false, timeout: Some(timeout) }
}

fn uri(endpoint: &Endpoint, path: &'static str) -> Uri {
    let scheme = if endpoint.target.is_tls { Scheme::HTTPS } else { Scheme::HTTP };
    let uri = Uri::builder().scheme(scheme).authority(&*endpoint.target.authority);
    // Settings hold valid authorities only.
    uri.path_and_query(PathAndQuery::from_static(path)).build().unwrap_or_default()
}

/// Whether a member is there, and does not tell its status to this user: 3.4.42, 3.5.28, 3.6.9 and newer ones tell it to
/// those with the role `root` alone. One without a leader refuses all calls after this one.
fn is_denied(fault: &CallFault) -> bool {
    let CallFault::Status(status) = fault else { return false };
    DENIALS.contains(&status.code) && status.message.starts_with("etcdserver: ")
}

/// Why a first answer did not come.
fn explained(dialer: &Dialer, endpoint: &Endpoint, ended: Option<Arc<str>>, fault: &CallFault) -> String {
    let said = ended.map_or_else(|| fault.to_string(), |ended| ended.to_string());
    match endpoint.target.is_tls {
        _ if matches!(fault, CallFault::Status(_)) => said,
        // It ends the connection with an alert, which may be lost with the rest of it.
        true => format!("{said}; {}", dialer.about_our_certificate()),
        false => {
            format!("{said}; if this member has TLS, write https://; else the port may be another server's")
        }
    }
}
