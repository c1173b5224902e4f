//! Hooks: a POST to somebody outside who may refuse, such as a change freeze or an approval.
//!
//! A refusal must be meant: only an answer that speaks of this request (3xx, 4xx) is one. Where nobody
//! answers, or the one who does is out of order, the hook is unanswered, and the rollout decides whether
//! to ask again. URLs often hold secrets in their path or query, so no sentence shows more of one than
//! its scheme, host and port.

use super::exchange::innermost;
use crate::control::command::JobResult;
use crate::core::settings::Hook;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, ClientBuilder, Response, StatusCode, Url, redirect};
use sha2::Sha256;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// The most of a refusal that is read (bytes) and told (characters).
const READ: usize = 4096;
const TOLD: usize = 200;
/// The longest that a connection may take; a hook's own timeout may be shorter.
const CONNECT: Duration = Duration::from_secs(10);

/// Asks hooks.
#[derive(Clone, Debug, Default)]
pub(super) struct Hooks {
    /// Made for the first hook, since it reads the system's root certificates.
    client: Arc<OnceLock<Result<Client, String>>>,
}

impl Hooks {
    /// Posts the body. The same `key` tells the receiver that it is the same question.
    pub(super) async fn ask(&self, hook: &Hook, key: &str, body: &serde_json::Value) -> JobResult {
        let client = match self.client.get_or_init(client) {
            Ok(client) => client,
            Err(why) => return JobResult::Unanswered(why.clone()),
        };
        let Ok(url) = Url::parse(&hook.url) else {
            return JobResult::Unanswered("the hook's URL is none".to_owned());
        };
        let origin = url.origin().ascii_serialization();
        let body = body.to_string();
        let mut request = client.post(url).timeout(hook.timeout);
        request = request.header(CONTENT_TYPE, "application/json").header("Idempotency-Key", key);
        if let Some(secret) = &hook.secret {
            request = request.header("X-Pointsman-Signature", signature(secret, &body));
        }
        match request.body(body).send().await {
            Ok(answer) => judged(&origin, answer).await,
            Err(error) if error.is_timeout() && error.is_connect() => {
                JobResult::Unanswered(format!("{origin}: no connection within {CONNECT:?}"))
            }
            Err(error) if error.is_timeout() => {
                JobResult::Unanswered(format!("{origin}: no answer within {:?}", hook.timeout))
            }
            Err(error) => {
                let error = error.without_url();
                JobResult::Unanswered(format!("{origin}: {}", innermost(&error)))
            }
        }
    }
}

fn client() -> Result<Client, String> {
    // An error means that it has been chosen before; without any, the client's builder panics.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = builder().build().or_else(|error| {
        // A system without any root certificates still reaches hooks by plain HTTP.
        tracing::warn!("hooks by https will fail: {}", innermost(&error));
        builder().tls_certs_only(std::iter::empty()).build()
    });
    client.map_err(|error| format!("there is no HTTP client: {}", innermost(&error)))
}

fn builder() -> ClientBuilder {
    Client::builder()
        .connect_timeout(CONNECT)
        .redirect(redirect::Policy::none())
        .no_proxy()
        // Hooks are rare: a kept connection would be a stale one.
        .pool_max_idle_per_host(0)
        .user_agent(concat!("pointsman/", env!("CARGO_PKG_VERSION")))
}

/// `sha256=` and the HMAC-SHA-256 of the body in hexadecimal digits.
fn signature(secret: &str, body: &str) -> String {
    // A key of any length is right (RFC 2104).
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return String::new() };
    mac.update(body.as_bytes());
    let digits = mac.finalize().into_bytes().into_iter().map(|byte| format!("{byte:02x}"));
    std::iter::once("sha256=".to_owned()).chain(digits).collect()
}

async fn judged(origin: &str, answer: Response) -> JobResult {
    let status = answer.status();
    let number = status.as_u16();
    let unsure =
        [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_EARLY, StatusCode::TOO_MANY_REQUESTS].contains(&status);
    match number {
        200..=299 => JobResult::Passed,
        300..=499 if !unsure => {
            let said = one_line(&beginning(answer).await);
            let colon = if said.is_empty() { "" } else { ": " };
            JobResult::Refused(vec![format!("{origin}: status {number}{colon}{said}")])
        }
        _ => JobResult::Unanswered(format!("{origin}: status {number}")),
    }
}

/// As much of the body as came; the status alone is an answer already.
async fn beginning(mut answer: Response) -> String {
    let mut read = Vec::new();
    while read.len() < READ
        && let Ok(Some(part)) = answer.chunk().await
    {
        read.extend_from_slice(&part[..part.len().min(READ - read.len())]);
    }
    String::from_utf8_lossy(&read).into_owned()
}

fn one_line(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ").chars().take(TOLD).collect()
}

#[cfg(test)]
mod tests {
    use super::super::exchange::tests::{answered, nobody, origin};
    use super::*;
    use serde_json::json;
    use std::net::SocketAddr;
    use std::sync::Mutex;

    fn hook(address: SocketAddr) -> Hook {
        Hook {
            url: format!("http://{address}/secret-path?token=secret-query"),
            timeout: Duration::from_secs(20),
            secret: None,
        }
    }

    async fn asked(hook: &Hook) -> JobResult {
        Hooks::default().ask(hook, "key-1", &json!({"service": "web"})).await
    }

    async fn answer(status: u16, body: &'static str) -> (SocketAddr, JobResult) {
        let address = origin(move |_| answered(status, body)).await;
        (address, asked(&hook(address)).await)
    }

    #[tokio::test]
    async fn the_question_is_signed_json_with_a_key() {
        let seen = Arc::new(Mutex::new(String::new()));
        let kept = seen.clone();
        let address = origin(move |request| {
            *kept.lock().expect("whole") = request.to_owned();
            answered(204, "")
        })
        .await;
        let signed = Hook { secret: Some("It's a Secret".into()), ..hook(address) };
        assert_eq!(asked(&signed).await, JobResult::Passed);
        let request = seen.lock().expect("whole").clone();
        let (head, body) = request.split_once("\r\n\r\n").expect("a body");
        assert!(head.starts_with("POST /secret-path?token=secret-query HTTP/1.1\r\n"), "{head}");
        assert_eq!(body, "{\"service\":\"web\"}");
        // As `openssl dgst -sha256 -hmac "It's a Secret"` says.
        let signature = "960a3a9444bd623d133693302c0e5a67d460d5c53e42d9ea37f9c007ee3c7bf8";
        for header in [
            "content-type: application/json",
            "idempotency-key: key-1",
            &format!("x-pointsman-signature: sha256={signature}"),
            concat!("user-agent: pointsman/", env!("CARGO_PKG_VERSION")),
        ] {
            assert!(head.split("\r\n").any(|line| line == header), "{header} in {head}");
        }
        assert_eq!(asked(&hook(address)).await, JobResult::Passed);
        assert!(!seen.lock().expect("whole").contains("signature"), "nothing to sign with");
    }

    #[test]
    fn signatures_are_those_of_rfc_4231() {
        assert_eq!(
            signature("Jefe", "what do ya want for nothing?"),
            "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }

    #[tokio::test]
    async fn a_refusal_is_told_in_one_line() {
        let (address, result) = answer(409, "  frozen\r\n\tuntil \u{7}Monday\n").await;
        let refused = |text: String| JobResult::Refused(vec![format!("http://{address}: {text}")]);
        assert_eq!(result, refused("status 409: frozen until Monday".into()));
        let (address, result) = answer(403, "").await;
        assert_eq!(result, JobResult::Refused(vec![format!("http://{address}: status 403")]));
        let long = origin(|_| answered(400, &"ä".repeat(10_000))).await;
        let expected = format!("http://{long}: status 400: {}", "ä".repeat(TOLD));
        assert_eq!(asked(&hook(long)).await, JobResult::Refused(vec![expected]));
    }

    #[tokio::test]
    async fn a_redirect_is_not_followed() {
        let target = origin(|_| answered(200, "")).await;
        let moved = format!("HTTP/1.1 307 Moved\r\nlocation: http://{target}/\r\ncontent-length: 0\r\n\r\n");
        let address = origin(move |_| Some(moved.clone().into_bytes())).await;
        let expected = vec![format!("http://{address}: status 307")];
        assert_eq!(asked(&hook(address)).await, JobResult::Refused(expected));
    }

    #[tokio::test]
    async fn who_does_not_know_has_not_refused() {
        for status in [408, 425, 429, 500, 502, 503, 504, 599] {
            let (address, result) = answer(status, "secret").await;
            assert_eq!(result, JobResult::Unanswered(format!("http://{address}: status {status}")));
        }
    }

    #[tokio::test]
    async fn no_answer_is_told_without_the_path() {
        let address = origin(|_| None).await;
        let hasty = Hook { timeout: Duration::from_millis(40), ..hook(address) };
        let expected = format!("http://{address}: no answer within 40ms");
        assert_eq!(asked(&hasty).await, JobResult::Unanswered(expected));

        let strange = origin(|_| Some(b"SSH-2.0-OpenSSH\r\n".to_vec())).await;
        let with_password = format!("http://user:secret-password@{}/secret-path", nobody());
        let hooks = [
            hook(nobody()),
            hook(strange),
            Hook { url: with_password, ..hook(strange) },
            Hook { url: format!("https://{strange}/secret-path"), ..hook(strange) },
            Hook { url: "secret".into(), ..hook(strange) },
            Hook { url: "ftp://host/secret".into(), ..hook(strange) },
        ];
        for hook in hooks {
            let JobResult::Unanswered(why) = asked(&hook).await else { panic!("unanswered") };
            assert!(!why.contains("secret") && why.len() > 10, "{why}");
        }
    }
}
