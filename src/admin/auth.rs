//! Who asks, and what they may do.
//!
//! Tokens are known by their SHA-256 only and compared in constant time. Without tokens the API is open
//! to this machine, and guarded against the browsers on it: only loopback names as `Host`, and no
//! request that another site's page has sent. Where the listener asks for certificates (`tls.client_ca`),
//! whoever comes here has one: without tokens it opens everything, with them they are needed too.

use super::State;
use super::problem::Problem;
use super::server::Seat;
use crate::control::command::Actor;
use crate::core::settings::{Role, Token};
use axum::extract::{Request, State as Extract};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};
use std::net::IpAddr;
use std::sync::Arc;
use subtle::ConstantTimeEq;

/// Who sent a request; in its extensions once it has been let in.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    /// The token's name; without tokens that of the client's certificate, or `local`.
    pub name: String,
    /// Where they asked from.
    pub address: Option<String>,
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
    let needed = needed(request.method(), request.uri().path());
    let tokens = state.configs.borrow().admin.tokens.clone();
    let presented = request.extensions().get::<Presented>();
    let seat = request.extensions().get::<Seat>().cloned();
    let identified = identify(&tokens, presented, request.headers(), needed);
    match identified {
        Ok(name) => {
            if seat.as_ref().is_some_and(|seat| !seat.lets_in()) {
                return Problem::busy().into_response();
            }
            let peer = seat.as_ref().map(|seat| seat.peer.ip());
            let address = peer.map(|peer| claimed(peer, request.headers()));
            request.extensions_mut().insert(Identity { name, address });
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
async fn slow_down(state: &State, address: IpAddr) {
    state.metrics.token_refused();
    let consequence = state.refused.guessed(address, state.clock.now());
    if let Some(guesses) = consequence.told {
        tracing::warn!(%address, guesses, "the admin API refused a token that is not known");
    }
    tokio::time::sleep(consequence.wait).await;
}

fn has_body(headers: &HeaderMap) -> bool {
    let length = headers.get(header::CONTENT_LENGTH).map(|length| length.as_bytes() != b"0");
    length.unwrap_or_else(|| headers.contains_key(header::TRANSFER_ENCODING))
}

/// The address of whoever asks; from this machine, with the one that a proxy on it names: a request that
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
struct Denied {
    problem: Problem,
    /// Whether it came with a token that nobody has.
    is_guess: bool,
}

impl From<Problem> for Denied {
    fn from(problem: Problem) -> Self {
        Denied { problem, is_guess: false }
    }
}

/// Refuses what a browser was tricked into sending.
pub(super) async fn guard(Extract(state): Extract<State>, request: Request, next: Next) -> Response {
    let known = request.extensions().get::<Presented>().is_some();
    let open = !known && state.configs.borrow().admin.tokens.is_empty();
    match forged(request.headers(), open) {
        Some(detail) => Problem::new(StatusCode::FORBIDDEN, "forbidden", detail).into_response(),
        None => next.run(request).await,
    }
}

/// Reading needs `read`, a reload or an upgrade `admin`, everything else `deploy`.
fn needed(method: &Method, path: &str) -> Role {
    match *method {
        Method::GET | Method::HEAD | Method::OPTIONS => Role::Read,
        _ if path == "/v1/reload" || path == "/v1/upgrade" => Role::Admin,
        _ => Role::Deploy,
    }
}

fn identify(
    tokens: &[Token],
    presented: Option<&Presented>,
    headers: &HeaderMap,
    needed: Role,
) -> Result<String, Denied> {
    if tokens.is_empty() {
        return Ok(presented.map_or("local", |presented| &presented.0).to_owned());
    }
    let unauthorized = |detail: &str| Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", detail);
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let given = given.ok_or_else(|| unauthorized("send a token: `Authorization: Bearer TOKEN`"))?;
    let (scheme, secret) = given.split_once(' ').unwrap_or((given, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(unauthorized("only `Authorization: Bearer TOKEN` is understood").into());
    }
    let hash: [u8; 32] = Sha256::digest(secret.trim().as_bytes()).into();
    // All of them, whichever matches: the time taken says nothing.
    let known = tokens.iter().fold(None, |known, token| {
        let same = bool::from(token.sha256.ct_eq(&hash));
        if same { Some(token) } else { known }
    });
    let guess = || Denied { problem: unauthorized("this token is not known"), is_guess: true };
    let token = known.ok_or_else(guess)?;
    if token.role < needed {
        let role = |role: Role| format!("{role:?}").to_lowercase();
        let (has, needs) = (role(token.role), role(needed));
        let detail = format!("the token {} has the role {has}; this needs {needs}", token.name);
        return Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", detail).into());
    }
    Ok(token.name.clone())
}

fn forged(headers: &HeaderMap, open: bool) -> Option<String> {
    let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text(header::HOST).unwrap_or_default();
    if open && !is_loopback_name(host) {
        return Some(format!(
            "Host {host:?} is not this machine's loopback; use 127.0.0.1 or localhost, or configure admin.tokens"
        ));
    }
    let origin = text(header::ORIGIN)?;
    let same = origin.split_once("://").is_some_and(|(_, authority)| authority.eq_ignore_ascii_case(host));
    (!same).then(|| format!("requests from pages of {origin} are not accepted"))
}

fn is_loopback_name(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(name: &str, role: Role) -> Token {
        Token { name: name.into(), role, sha256: Sha256::digest(format!("secret-{name}")).into() }
    }

    fn with(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().expect("a value"))])
    }

    #[test]
    fn a_token_opens_what_its_role_allows() {
        let tokens = [token("eye", Role::Read), token("ci", Role::Deploy), token("root", Role::Admin)];
        let ask = |value: &str, needed| {
            identify(&tokens, None, &with(value), needed)
                .map_err(|denied| denied.problem.into_response().status())
        };
        assert_eq!(ask("Bearer secret-eye", Role::Read), Ok("eye".into()));
        assert_eq!(ask("bearer secret-ci", Role::Deploy), Ok("ci".into()));
        assert_eq!(ask("Bearer secret-root", Role::Admin), Ok("root".into()));
        assert_eq!(ask("Bearer secret-eye", Role::Deploy), Err(StatusCode::FORBIDDEN));
        assert_eq!(ask("Bearer secret-ci", Role::Admin), Err(StatusCode::FORBIDDEN));
        assert_eq!(ask("Bearer other", Role::Read), Err(StatusCode::UNAUTHORIZED));
        assert_eq!(ask("Basic secret-eye", Role::Read), Err(StatusCode::UNAUTHORIZED));
        assert_eq!(ask("Bearer", Role::Read), Err(StatusCode::UNAUTHORIZED));
        let nothing = identify(&tokens, None, &HeaderMap::new(), Role::Read);
        assert_eq!(nothing.map_err(|denied| denied.problem.status).err(), Some(StatusCode::UNAUTHORIZED));
    }

    #[test]
    fn roles_by_path() {
        assert_eq!(needed(&Method::GET, "/v1/services"), Role::Read);
        assert_eq!(needed(&Method::PUT, "/v1/services/web/weights"), Role::Deploy);
        assert_eq!(needed(&Method::POST, "/v1/reload"), Role::Admin);
        assert_eq!(needed(&Method::POST, "/v1/upgrade"), Role::Admin);
    }

    #[test]
    fn pages_of_other_sites_are_kept_out() {
        let headers = |host: &str, origin: Option<&str>| {
            let mut headers = HeaderMap::from_iter([(header::HOST, host.parse().expect("a value"))]);
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, origin.parse().expect("a value"));
            }
            headers
        };
        for host in ["127.0.0.1:9900", "localhost", "localhost:9900", "[::1]:9900", "127.8.0.1"] {
            assert_eq!(forged(&headers(host, None), true), None, "{host}");
        }
        assert!(forged(&headers("evil.example:9900", None), true).is_some(), "a name that was rebound");
        assert!(forged(&HeaderMap::new(), true).is_some());
        assert_eq!(forged(&headers("admin.internal:9900", None), false), None, "tokens protect");
        assert!(forged(&headers("localhost:9900", Some("https://evil.example")), true).is_some());
        assert!(forged(&headers("admin.internal", Some("null")), false).is_some());
        assert_eq!(forged(&headers("localhost:9900", Some("http://localhost:9900")), true), None);
    }
}
