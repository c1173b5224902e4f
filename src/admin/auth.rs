//! Who asks, and what they may do.
//!
//! Tokens are known by their SHA-256 only and compared in constant time. Without tokens the API is open
//! to this machine, and guarded against the browsers on it ([`super::guard`]). Where the listener asks for certificates (`tls.client_ca`),
//! every client that comes here has one: without tokens it opens everything, with them they are needed too.

use super::State;
use super::problem::{Problem, ProblemType};
use super::server::Seat;
use super::session::{self, Key, Sessions};
use crate::control::command::Actor;
use crate::core::settings::{Role, Token};
use axum::extract::{Request, State as Extract};
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use subtle::ConstantTimeEq;

/// Who sent a request; in its extensions once it has been let in.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    /// The token's name; without tokens that of the client's certificate, or `local`.
    pub name: String,
    /// Where they asked from.
    pub address: Option<String>,
    pub role: Role,
    /// The session of the dashboard that it came in.
    pub session: Option<Key>,
}

impl Identity {
    /// As the log knows them.
    pub(super) fn signed(&self) -> String {
        match &self.address {
            Some(address) => format!("{} from {address}", self.name),
            None => self.name.clone(),
        }
    }

    /// As the history knows them.
    pub(super) fn actor(&self) -> Actor {
        Actor { name: self.name.clone(), address: self.address.clone() }
    }
}

/// Whom the certificate of a client was made for; in the extensions of each of its requests.
#[derive(Clone, Debug)]
pub(super) struct Presented(pub Arc<str>);

/// Lets a request in if its token may do what it asks for.
pub(super) async fn check(Extract(state): Extract<State>, mut request: Request, next: Next) -> Response {
    // One that sends many requests at once takes turns with those who send one.
    tokio::task::yield_now().await;
    if request.method() != Method::DELETE && request.uri().path() == session::PATH {
        // It looks by itself at the token, which may be in the body, or says that there is no session.
        return next.run(request).await;
    }
    let needed = needed(request.method(), request.uri().path());
    let tokens = state.configs.borrow().admin.tokens.clone();
    let presented = request.extensions().get::<Presented>();
    let seat = request.extensions().get::<Seat>().cloned();
    let known = Known { tokens: &tokens, sessions: &state.common.sessions, now: state.clock.now() };
    let identified = known.identify(presented, &request, needed);
    match identified {
        Ok(Found { name, role, session }) => {
            if seat.as_ref().is_some_and(|seat| !seat.lets_in()) {
                return Problem::busy().into_response();
            }
            let peer = seat.as_ref().map(|seat| seat.peer.ip());
            let address = peer.map(|peer| claimed(peer, request.headers()));
            request.extensions_mut().insert(Identity { name, address, role, session });
            if let Some(seat) = seat {
                match request.uri() {
                    uri if uri.path() == "/v1/events" => seat.streams(),
                    uri if uri.query().is_some_and(|query| query.contains("wait=")) => seat.waits(),
                    _ if has_body(request.headers()) => seat.reads_body(),
                    _ => (),
                }
            }
            next.run(request).await
        }
        Err(Denied { problem, is_guess }) => {
            if let Some(seat) = seat.filter(|_| is_guess) {
                slow_down(&state, seat.peer.ip()).await;
            }
            problem.into_response()
        }
    }
}

/// Counts a guess at a token, says so once a minute, and makes the next one wait.
pub(super) async fn slow_down(state: &State, address: IpAddr) {
    state.metrics.token_refused();
    let consequence = state.common.refused.guessed(address, state.clock.now());
    if let Some(guesses) = consequence.told {
        tracing::warn!(%address, guesses, "the admin API refused a token that is not known");
    }
    tokio::time::sleep(consequence.wait).await;
}

fn has_body(headers: &HeaderMap) -> bool {
    let length = headers.get(header::CONTENT_LENGTH).map(|length| length.as_bytes() != b"0");
    length.unwrap_or_else(|| headers.contains_key(header::TRANSFER_ENCODING))
}

/// The address of the client; from this machine, with the one that a proxy on it names: a request that
/// came over a route with `admin = "maintenance"` is one of those.
fn claimed(peer: IpAddr, headers: &HeaderMap) -> String {
    let named = headers.get("x-forwarded-for").and_then(|value| value.to_str().ok());
    let named = named.and_then(|list| list.rsplit(',').next()?.trim().parse::<IpAddr>().ok());
    match named.filter(|_| peer.to_canonical().is_loopback()) {
        Some(named) => format!("{} for {named}", peer.to_canonical()),
        None => peer.to_canonical().to_string(),
    }
}

/// Why a request is not let in.
pub(super) struct Denied {
    pub problem: Problem,
    /// Whether it came with a token that nobody has.
    pub is_guess: bool,
}

impl From<Problem> for Denied {
    fn from(problem: Problem) -> Self {
        Denied { problem, is_guess: false }
    }
}

/// Reading and ending a session need `read`, a reload or an upgrade `admin`, everything else `deploy`.
pub(super) fn needed(method: &Method, path: &str) -> Role {
    match *method {
        Method::GET | Method::HEAD | Method::OPTIONS => Role::Read,
        _ if path == session::PATH => Role::Read,
        _ if path == "/v1/reload" || path == "/v1/upgrade" => Role::Admin,
        _ => Role::Deploy,
    }
}

/// Whom a request is from.
#[derive(Debug)]
struct Found {
    name: String,
    role: Role,
    session: Option<Key>,
}

/// What opens the API now.
struct Known<'a> {
    tokens: &'a [Token],
    sessions: &'a Sessions,
    now: Duration,
}

impl Known<'_> {
    fn identify(
        &self,
        presented: Option<&Presented>,
        request: &Request,
        needed: Role,
    ) -> Result<Found, Denied> {
        if self.tokens.is_empty() {
            let name = presented.map_or("local", |presented| &presented.0).to_owned();
            return Ok(Found { name, role: Role::Admin, session: None });
        }
        let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let session = session::named(request.headers()).filter(|_| given.is_none());
        let token = match (given, &session) {
            (Some(given), _) => bearer(self.tokens, given)?,
            (None, Some(key)) => self.of_session(key, request)?,
            (None, None) => {
                return Err(unauthorized("send a token: `Authorization: Bearer TOKEN`").into());
            }
        };
        let Token { name, role, .. } = token.clone();
        if role < needed {
            let label = |role: Role| format!("{role:?}").to_lowercase();
            let (has, needs) = (label(role), label(needed));
            let detail = format!("the token {name} has the role {has}; this needs {needs}");
            return Err(Problem::new(ProblemType::Forbidden, detail).into());
        }
        Ok(Found { name, role, session })
    }

    fn of_session(&self, key: &Key, request: &Request) -> Result<&Token, Problem> {
        if let Some(problem) = session::forged(request.method(), request.uri().path(), request.headers()) {
            return Err(problem);
        }
        let token = self.sessions.token(key, self.tokens, self.now);
        token.ok_or_else(|| unauthorized("this session has ended; sign in again"))
    }
}

fn unauthorized(detail: &str) -> Problem {
    Problem::new(ProblemType::Unauthorized, detail)
}

/// The token of an `Authorization` header.
pub(super) fn bearer<'a>(tokens: &'a [Token], given: &str) -> Result<&'a Token, Denied> {
    let (scheme, secret) = given.split_once(' ').unwrap_or((given, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(unauthorized("only `Authorization: Bearer TOKEN` is understood").into());
    }
    let hash: [u8; 32] = Sha256::digest(secret.trim().as_bytes()).into();
    // All of them, also behind one that matches: the time taken says nothing.
    let known = tokens.iter().fold(None, |known, token| {
        let same = bool::from(token.sha256.ct_eq(&hash));
        if same { Some(token) } else { known }
    });
    known.ok_or_else(|| Denied { problem: unauthorized("this token is not known"), is_guess: true })
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::StatusCode;

    fn token(name: &str, role: Role) -> Token {
        Token { name: name.into(), role, sha256: Sha256::digest(format!("secret-{name}")).into() }
    }

    fn with(value: &str) -> Request {
        let request = Request::builder().header(header::AUTHORIZATION, value);
        request.body(axum::body::Body::empty()).expect("a request")
    }

    #[test]
    fn a_token_opens_what_its_role_allows() {
        let tokens = [token("eye", Role::Read), token("ci", Role::Deploy), token("root", Role::Admin)];
        let sessions = Sessions::default();
        let known = Known { tokens: &tokens, sessions: &sessions, now: Duration::ZERO };
        let identify = |request: &Request, needed| {
            let found = known.identify(None, request, needed);
            found.map(|found| found.name).map_err(|denied| denied.problem.into_response().status())
        };
        let ask = |value: &str, needed| identify(&with(value), needed);
        assert_eq!(ask("Bearer secret-eye", Role::Read), Ok("eye".into()));
        assert_eq!(ask("bearer secret-ci", Role::Deploy), Ok("ci".into()));
        assert_eq!(ask("Bearer secret-root", Role::Admin), Ok("root".into()));
        assert_eq!(ask("Bearer secret-eye", Role::Deploy), Err(StatusCode::FORBIDDEN));
        assert_eq!(ask("Bearer secret-ci", Role::Admin), Err(StatusCode::FORBIDDEN));
        assert_eq!(ask("Bearer other", Role::Read), Err(StatusCode::UNAUTHORIZED));
        assert_eq!(ask("Basic secret-eye", Role::Read), Err(StatusCode::UNAUTHORIZED));
        assert_eq!(ask("Bearer", Role::Read), Err(StatusCode::UNAUTHORIZED));
        let nothing = Request::new(axum::body::Body::empty());
        assert_eq!(identify(&nothing, Role::Read), Err(StatusCode::UNAUTHORIZED));
    }

    #[test]
    fn roles_by_path() {
        assert_eq!(needed(&Method::GET, "/v1/services"), Role::Read);
        assert_eq!(needed(&Method::PUT, "/v1/services/web/weights"), Role::Deploy);
        assert_eq!(needed(&Method::POST, "/v1/reload"), Role::Admin);
        assert_eq!(needed(&Method::POST, "/v1/upgrade"), Role::Admin);
    }
}
