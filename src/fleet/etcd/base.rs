//! What all connections of one client share: the members, the user, and what is known of the store.

use super::connection::EtcdConnection;
use super::dial::Dialer;
use super::endpoints::Endpoints;
use super::login::Login;
use super::seen::Seen;
use super::times::EtcdTimes;
use crate::core::settings::EtcdSettings;
use std::sync::Arc;
use tokio::sync::Mutex;
use tokio::time::Instant;

#[derive(Debug)]
pub(super) struct Base {
    pub times: EtcdTimes,
    pub endpoints: Endpoints,
    pub login: Login,
    pub seen: Seen,
    dialer: Dialer,
}

impl Base {
    /// # Errors
    /// A sentence: no TLS can be had with these settings.
    pub(super) fn new(settings: EtcdSettings, times: EtcdTimes) -> Result<Self, String> {
        let endpoints = Endpoints::new(&settings.endpoints, rand::random_range(0..1 << 16));
        let login = Login::new(settings.user.clone());
        Ok(Base { times, endpoints, login, seen: Seen::default(), dialer: Dialer::new(settings)? })
    }

    /// A connection to the member whose turn it is.
    ///
    /// # Errors
    /// Why there is none, with the member's name.
    pub(super) async fn dial(&self) -> Result<EtcdConnection, String> {
        let Some(endpoint) = self.endpoints.next() else { return Err("no members are listed".to_owned()) };
        let opened = match EtcdConnection::open(&self.dialer, endpoint, &self.times).await {
            Ok(connection) => {
                let header = connection.status.header.clone().unwrap_or_default();
                let heard = self.seen.hear(&header, None);
                heard.map(|()| connection).map_err(|other| format!("{}: {other}", endpoint.name))
            }
            Err(why) => Err(why),
        };
        if opened.is_err() {
            self.endpoints.failed(endpoint.place);
        }
        opened
    }
}

/// The connection that single calls go over: one for all of them, opened at need.
#[derive(Debug, Default)]
pub(super) struct Line(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    current: Option<Arc<EtcdConnection>>,
    /// In a row.
    failures: u32,
    /// Until when nobody is dialled, and why nobody was reached.
    pause: Option<(Instant, String)>,
}

impl Line {
    /// The connection there is, or another one. All members are tried once; after that, whoever asks within the pause
    /// that follows is refused at once.
    ///
    /// # Errors
    /// Why no member is reached.
    pub(super) async fn connection(&self, base: &Base) -> Result<Arc<EtcdConnection>, String> {
        let mut state = self.0.lock().await;
        match state.current.take() {
            Some(current) if current.is_alive() => {
                state.current = Some(current.clone());
                return Ok(current);
            }
            Some(over) => base.endpoints.failed(over.endpoint.place),
            None => {}
        }
        if let Some((until, why)) = &state.pause
            && Instant::now() < *until
        {
            return Err(why.clone());
        }
        let mut whys = Vec::new();
        for _ in 0..base.endpoints.len().max(1) {
            match base.dial().await {
                Ok(connection) => {
                    let connection = Arc::new(connection);
                    *state = State { current: Some(connection.clone()), ..State::default() };
                    return Ok(connection);
                }
                Err(why) => whys.push(why),
            }
            state.failures = state.failures.saturating_add(1);
        }
        let why = whys.join("; ");
        let pause = base.endpoints.pause(state.failures, rand::random());
        state.pause = Some((Instant::now() + pause, why.clone()));
        Err(why)
    }

    /// Another member is asked from now on.
    pub(super) async fn leave(&self, base: &Base, connection: &Arc<EtcdConnection>) {
        let mut state = self.0.lock().await;
        if state.current.as_ref().is_some_and(|current| Arc::ptr_eq(current, connection)) {
            state.current = None;
            base.endpoints.failed(connection.endpoint.place);
        }
    }
}
