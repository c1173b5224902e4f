//! What a browser was tricked into sending is refused before anything else: a request that another site's page has
//! sent, and, while no token is configured, any `Host` that is not a name of this machine's loopback.

use super::State;
use super::auth::Presented;
use super::problem::{Problem, ProblemType};
use axum::extract::{Request, State as Extract};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// Refuses what a browser was tricked into sending.
pub(super) async fn check(Extract(state): Extract<State>, request: Request, next: Next) -> Response {
    let known = request.extensions().get::<Presented>().is_some();
    let open = !known && state.configs.borrow().admin.tokens.is_empty();
    match forged(request.headers(), open) {
        Some(detail) => Problem::new(ProblemType::Forbidden, detail).into_response(),
        None => next.run(request).await,
    }
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
