//! Sessions of the dashboard: a cookie in place of a token, so that no script of a page ever holds one.
//!
//! A session knows its token by the token's hash only, and the token is looked up among those in effect at each
//! request: one that a reload takes away ends its sessions, and a role that changes is the session's at once.
//! Sessions live in memory, so they end with the process.

use super::State;
use super::auth::{Denied, Identity, Presented, bearer, slow_down};
use super::body::{Body, MaybeBody, NoBody};
use super::problem::{Problem, ProblemType};
use super::server::Seat;
use super::shapes::{SessionBody, WhoamiView};
use crate::core::settings::{Role, Token};
use axum::extract::{FromRequest, Request, State as Extract};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Where one is opened and ended.
pub(super) const PATH: &str = "/v1/session";
const COOKIE: &str = "pointsman_session";
/// How long a session lasts, whatever it is used for.
const LIFETIME: Duration = Duration::from_secs(12 * 3600);
/// Sessions at a time; the oldest one makes room.
const SESSIONS: usize = 256;
/// What a page of the dashboard adds to its requests: a page of another site cannot without being allowed to.
const OWN_HEADER: &str = "x-pointsman";

/// The hash of what the cookie holds.
pub(super) type Key = [u8; 32];

/// All sessions that are open.
#[derive(Debug, Default)]
pub(super) struct Sessions(Mutex<HashMap<Key, Session>>);

#[derive(Clone, Copy, Debug)]
struct Session {
    /// The hash of its token.
    token: [u8; 32],
    since: Duration,
}

impl Sessions {
    /// Opens one; what its cookie holds.
    fn open(&self, token: [u8; 32], now: Duration) -> String {
        let secret = hex(&rand::random::<[u8; 32]>());
        let mut open = self.sessions();
        open.retain(|_, session| now < session.since + LIFETIME);
        while open.len() >= SESSIONS {
            let oldest = open.iter().min_by_key(|(_, session)| session.since).map(|(key, _)| *key);
            oldest.and_then(|key| open.remove(&key));
        }
        open.insert(key_of(&secret), Session { token, since: now });
        secret
    }

    fn end(&self, key: &Key) {
        self.sessions().remove(key);
    }

    /// The token of an open session, among those in effect.
    pub(super) fn token<'a>(&self, key: &Key, tokens: &'a [Token], now: Duration) -> Option<&'a Token> {
        let session = self.sessions().get(key).copied().filter(|session| now < session.since + LIFETIME)?;
        tokens.iter().find(|token| token.sha256 == session.token)
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<Key, Session>> {
        // Every change is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn key_of(secret: &str) -> Key {
    Sha256::digest(secret.as_bytes()).into()
}

/// The session that a request names in its cookies.
pub(super) fn named(headers: &HeaderMap) -> Option<Key> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, secret)| key_of(secret))
}

/// Why a request with a session's cookie may not change anything, if it may not: the browser has to say that a page
/// from here has sent it. To end a session, it is enough that no other page has.
pub(super) fn forged(method: &Method, path: &str, headers: &HeaderMap) -> Option<Problem> {
    if method.is_safe() {
        return None;
    }
    let site = headers.get("sec-fetch-site").map(|site| site.as_bytes());
    let is_own = match site {
        Some(site) => site == b"same-origin",
        None => headers.contains_key(OWN_HEADER) || (method == Method::DELETE && path == PATH),
    };
    let detail = "a session changes things only for pages from here: `Sec-Fetch-Site: same-origin`, or a header \
                  `X-Pointsman`, is missing";
    (!is_own).then(|| Problem::new(ProblemType::Forbidden, detail))
}

/// Who is it that asks?
pub(super) async fn whoami(Extension(who): Extension<Identity>) -> Json<WhoamiView> {
    Json(view(&who.name, who.role, who.session.is_some()))
}

fn view(name: &str, role: Role, session: bool) -> WhoamiView {
    WhoamiView { name: name.to_owned(), role, session }
}

/// The session that the cookie names, or `null`: a page asks whether it has to sign in. Tokens are not looked at.
pub(super) async fn show(
    Extract(state): Extract<State>,
    presented: Option<Extension<Presented>>,
    headers: HeaderMap,
) -> Json<Option<WhoamiView>> {
    let tokens = state.configs.borrow().admin.tokens.clone();
    if tokens.is_empty() {
        let name = presented.map_or("local".into(), |Extension(Presented(name))| name);
        return Json(Some(view(&name, Role::Admin, false)));
    }
    let key = named(&headers);
    let token = key.and_then(|key| state.common.sessions.token(&key, &tokens, state.clock.now()));
    Json(token.map(|token| view(&token.name, token.role, true)))
}

/// Opens a session for a token, in the `Authorization` header or in the body. Where no token is configured there is
/// nothing to sign in to, and no cookie.
pub(super) async fn open(Extract(state): Extract<State>, request: Request) -> Response {
    let seat = request.extensions().get::<Seat>().cloned();
    match signed_in(&state, request, seat.as_ref().is_some_and(Seat::is_secure)).await {
        Ok(answer) => answer,
        Err(Denied { problem, is_guess }) => {
            if let Some(seat) = seat.filter(|_| is_guess) {
                slow_down(&state, seat.peer.ip()).await;
            }
            problem.into_response()
        }
    }
}

async fn signed_in(state: &State, request: Request, is_secure: bool) -> Result<Response, Denied> {
    let tokens = state.configs.borrow().admin.tokens.clone();
    if tokens.is_empty() {
        return Ok(Json(view("local", Role::Admin, false)).into_response());
    }
    if request.headers().get("sec-fetch-site").is_some_and(|site| site.as_bytes() != b"same-origin") {
        let detail = "only a page from here signs in";
        return Err(Problem::new(ProblemType::Forbidden, detail).into());
    }
    let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let given = match given {
        Some(given) => {
            let given = given.to_owned();
            // It says nothing then, but it is read, and must be one.
            let _: MaybeBody<SessionBody> = MaybeBody::from_request(request, state).await?;
            given
        }
        None => {
            let Body(SessionBody { token }) = Body::from_request(request, state).await?;
            format!("Bearer {token}")
        }
    };
    let token = bearer(&tokens, &given)?;
    let secret = state.common.sessions.open(token.sha256, state.clock.now());
    let cookie = cookie(&secret, LIFETIME, is_secure);
    let headers = [(header::SET_COOKIE, cookie), (header::CACHE_CONTROL, "no-store".to_owned())];
    Ok((headers, Json(view(&token.name, token.role, true))).into_response())
}

/// Ends the session here, so that a copy of its cookie opens nothing either.
pub(super) async fn end(
    Extract(state): Extract<State>,
    Extension(who): Extension<Identity>,
    seat: Option<Extension<Seat>>,
    _: NoBody,
) -> Response {
    if let Some(key) = &who.session {
        state.common.sessions.end(key);
    }
    let is_secure = seat.is_some_and(|Extension(seat)| seat.is_secure());
    let gone = [(header::SET_COOKIE, cookie("", Duration::ZERO, is_secure))];
    (StatusCode::NO_CONTENT, gone).into_response()
}

fn cookie(secret: &str, lasts: Duration, is_secure: bool) -> String {
    let secure = if is_secure { "; Secure" } else { "" };
    let age = lasts.as_secs();
    format!("{COOKIE}={secret}; Path=/; Max-Age={age}; HttpOnly; SameSite=Strict{secure}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(name: &str) -> Token {
        Token { name: name.into(), role: Role::Deploy, sha256: key_of(name) }
    }

    #[test]
    fn a_session_is_its_token_as_long_as_that_is_in_effect() {
        let (sessions, tokens) = (Sessions::default(), [token("ci"), token("ops")]);
        let second = Duration::from_secs(1);
        let key = key_of(&sessions.open(tokens[1].sha256, second));
        let name = |tokens: &[Token], now| sessions.token(&key, tokens, now).map(|token| token.name.clone());
        assert_eq!(name(&tokens, second * 2), Some("ops".into()));
        assert_eq!(name(&tokens[..1], second * 2), None, "the token was taken away");
        assert_eq!(name(&tokens, LIFETIME + second), None, "its time is over");
        sessions.end(&key);
        assert_eq!(name(&tokens, second * 2), None);
    }

    #[test]
    fn the_oldest_session_makes_room() {
        let sessions = Sessions::default();
        let tokens = [token("ci")];
        let open = |second| key_of(&sessions.open(tokens[0].sha256, Duration::from_secs(second)));
        let keys: Vec<Key> = (0..300).map(open).collect();
        let is_open = |key| sessions.token(key, &tokens, Duration::from_secs(300)).is_some();
        assert_eq!(keys.iter().filter(|key| is_open(key)).count(), SESSIONS);
        assert!(!is_open(&keys[0]) && is_open(&keys[299]));
    }

    #[test]
    fn only_pages_from_here_change_things() {
        let refused = |method: Method, path: &str, header: Option<(&'static str, &str)>| {
            let mut headers = HeaderMap::new();
            if let Some((name, value)) = header {
                headers.insert(name, value.parse().expect("a value"));
            }
            forged(&method, path, &headers).is_some()
        };
        let site = |value| Some(("sec-fetch-site", value));
        assert!(!refused(Method::GET, "/v1/services", site("cross-site")));
        for (header, is_refused) in [
            (site("same-origin"), false),
            (site("same-site"), true),
            (site("cross-site"), true),
            (Some((OWN_HEADER, "1")), false),
            (None, true),
        ] {
            assert_eq!(refused(Method::POST, "/v1/reload", header), is_refused, "{header:?}");
        }
        assert!(!refused(Method::DELETE, "/v1/session", None));
        assert!(refused(Method::DELETE, "/v1/session", site("cross-site")));
    }

    #[test]
    fn a_cookie_is_found_among_others() {
        let headers = |value: &str| HeaderMap::from_iter([(header::COOKIE, value.parse().expect("a value"))]);
        assert_eq!(named(&headers("a=b; pointsman_session=x; c=d")), Some(key_of("x")));
        assert_eq!(named(&headers("a=b; xpointsman_session=x")), None);
        let set = cookie("x", LIFETIME, true);
        assert_eq!(set, "pointsman_session=x; Path=/; Max-Age=43200; HttpOnly; SameSite=Strict; Secure");
    }
}
