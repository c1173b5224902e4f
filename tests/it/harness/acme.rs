//! A small certificate authority that speaks ACME (RFC 8555) over HTTPS: it insists on fresh nonces and
//! valid signatures, fetches the challenge from where the test says, and signs what is asked for.

use super::http::send;
use super::tls::Authority;
use super::{PATIENCE, eventually};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD as BASE64, Engine};
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// A running authority; its thread ends with the process.
pub struct Acme {
    pub authority: Authority,
    port: u16,
    state: Mutex<State>,
}

#[derive(Default)]
pub struct State {
    /// Where every name is reached; nothing is decided before it is known.
    pub site: Option<SocketAddr>,
    /// How many more nonces are refused though they are good.
    pub bad_nonces: u32,
    /// How long ago and how far ahead what is signed is valid.
    pub validity: (Duration, Duration),
    pub contacts: Vec<Value>,
    pub orders: Vec<Order>,
    nonces: HashSet<String>,
    nonce: u64,
    /// Public keys of accounts, as JWK.
    accounts: Vec<Value>,
}

pub struct Order {
    pub names: Vec<String>,
    pub status: &'static str,
    /// By name: proved, refused with a reason, or neither yet.
    proofs: Vec<Option<Result<(), String>>>,
    pub certificate: Option<String>,
}

/// Status, `Location`, and a body: JSON, or PEM as a text.
type Reply = (u16, Option<String>, Value);

impl Acme {
    pub fn start() -> Arc<Self> {
        let authority = Authority::new();
        authority.write("directory", &["localhost"]);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let day = Duration::from_secs(86_400);
        let state = State { validity: (day, day * 90), bad_nonces: 2, ..State::default() };
        let config = authority.server_config("directory");
        let acme = Arc::new(Acme { authority, port, state: Mutex::new(state) });
        let served = acme.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (acme, config) = (served.clone(), config.clone());
                std::thread::spawn(move || acme.serve(stream, config));
            }
        });
        acme
    }

    /// The keys of `[acme]` that lead here.
    pub fn keys(&self) -> String {
        format!("directory = \"{}\"\nca = \"{}\"\n", self.url("directory"), self.authority.ca())
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic")
    }

    fn url(&self, path: &str) -> String {
        format!("https://localhost:{}/{path}", self.port)
    }

    fn serve(&self, stream: TcpStream, config: Arc<ServerConfig>) -> Option<()> {
        let session = ServerConnection::new(config).ok()?;
        let mut reader = BufReader::new(StreamOwned::new(session, stream));
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok()?;
            let mut words = line.split_whitespace();
            let (method, path) = (words.next()?.to_owned(), words.next()?.trim_start_matches('/').to_owned());
            let mut length = 0;
            loop {
                let mut header = String::new();
                reader.read_line(&mut header).ok()?;
                match header.trim_end().split_once(':') {
                    Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                        length = value.trim().parse().ok()?;
                    }
                    Some(_) => {}
                    None => break,
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).ok()?;
            let (status, location, answer) = self.answer(&method, &path, &body);
            let nonce = self.state().fresh_nonce();
            let location = location.map(|url| format!("Location: {url}\r\n")).unwrap_or_default();
            let text = answer.as_str().map_or_else(|| answer.to_string(), str::to_owned);
            let length = text.len();
            let text = if method == "HEAD" { "" } else { &text };
            let head = format!(
                "HTTP/1.1 {status} X\r\nReplay-Nonce: {nonce}\r\n{location}Content-Length: {length}\r\n\r\n{text}"
            );
            reader.get_mut().write_all(head.as_bytes()).ok()?;
            reader.get_mut().flush().ok()?;
        }
    }

    fn answer(&self, method: &str, path: &str, body: &[u8]) -> Reply {
        if path == "directory" {
            let urls = ["nonce", "account", "order"].map(|path| self.url(path));
            return (200, None, json!({"newNonce": urls[0], "newAccount": urls[1], "newOrder": urls[2]}));
        }
        if method == "HEAD" {
            return (200, None, json!(""));
        }
        let (account, payload) = match self.verified(path, body) {
            Ok(verified) => verified,
            Err(problem) => return problem_reply(problem, "the request is not accepted"),
        };
        let parts: Vec<&str> = path.split('/').collect();
        let number = |index: usize| parts.get(index).and_then(|part| part.parse::<usize>().ok()).unwrap_or(0);
        match parts[0] {
            "account" => {
                let mut state = self.state();
                state.contacts.push(payload["contact"].clone());
                let location = self.url(&format!("acct/{}", state.accounts.len() - 1));
                (201, Some(location), json!({"status": "valid"}))
            }
            "acct" => {
                self.state().contacts.push(payload["contact"].clone());
                (200, None, json!({"status": "valid"}))
            }
            "order" if parts.len() == 1 => self.new_order(&payload),
            "order" => (200, None, self.shown(number(1))),
            "authz" => (200, None, self.authorization(number(1), number(2))),
            "challenge" => {
                self.validate(&account, number(1), number(2));
                (200, None, self.challenge(number(1), number(2)))
            }
            "finalize" => self.finalize(number(1), &payload),
            "cert" => (200, None, json!(self.state().orders[number(1)].certificate)),
            _ => problem_reply("malformed", path),
        }
    }

    /// The account's key and the payload of a signed request.
    fn verified(&self, path: &str, body: &[u8]) -> Result<(Value, Value), &'static str> {
        let jws: Value = serde_json::from_slice(body).map_err(|_| "malformed")?;
        let part = |name: &str| jws[name].as_str().unwrap_or_default();
        let decoded = |text: &str| BASE64.decode(text).map_err(|_| "malformed");
        let header: Value = serde_json::from_slice(&decoded(part("protected"))?).map_err(|_| "malformed")?;
        let mut state = self.state();
        if !state.nonces.remove(header["nonce"].as_str().unwrap_or_default()) {
            return Err("badNonce");
        }
        if state.bad_nonces > 0 {
            state.bad_nonces -= 1;
            return Err("badNonce");
        }
        if header["url"] != self.url(path) || header["alg"] != "ES256" {
            return Err("unauthorized");
        }
        let key = match header["kid"].as_str() {
            Some(kid) => {
                let known = kid.rsplit('/').next().and_then(|number| number.parse::<usize>().ok());
                state.accounts.get(known.ok_or("malformed")?).cloned().ok_or("accountDoesNotExist")?
            }
            None => header["jwk"].clone(),
        };
        let coordinate = |name: &str| decoded(key[name].as_str().unwrap_or_default());
        let point = [vec![4], coordinate("x")?, coordinate("y")?].concat();
        let signed = format!("{}.{}", part("protected"), part("payload"));
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
            .verify(signed.as_bytes(), &decoded(part("signature"))?)
            .map_err(|_| "unauthorized")?;
        if header["kid"].is_null() {
            state.accounts.push(key.clone());
        }
        Ok((key, serde_json::from_slice(&decoded(part("payload"))?).unwrap_or(Value::Null)))
    }

    fn new_order(&self, payload: &Value) -> Reply {
        let names: Vec<String> = payload["identifiers"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|identifier| identifier["value"].as_str().expect("a name").to_owned())
            .collect();
        let mut state = self.state();
        let number = state.orders.len();
        let proofs = vec![None; names.len()];
        state.orders.push(Order { names, status: "pending", proofs, certificate: None });
        drop(state);
        (201, Some(self.url(&format!("order/{number}"))), self.shown(number))
    }

    fn shown(&self, number: usize) -> Value {
        let state = self.state();
        let order = &state.orders[number];
        let authorizations: Vec<String> =
            (0..order.names.len()).map(|index| self.url(&format!("authz/{number}/{index}"))).collect();
        let identifiers: Vec<Value> =
            order.names.iter().map(|name| json!({"type": "dns", "value": name})).collect();
        json!({
            "status": order.status,
            "identifiers": identifiers,
            "authorizations": authorizations,
            "finalize": self.url(&format!("finalize/{number}")),
            "certificate": order.certificate.as_ref().map(|_| self.url(&format!("cert/{number}"))),
        })
    }

    fn authorization(&self, number: usize, index: usize) -> Value {
        let challenge = self.challenge(number, index);
        let state = self.state();
        let order = &state.orders[number];
        json!({
            "identifier": {"type": "dns", "value": order.names[index]},
            "status": challenge["status"],
            "challenges": [challenge],
        })
    }

    fn challenge(&self, number: usize, index: usize) -> Value {
        let state = self.state();
        let (status, error) = match &state.orders[number].proofs[index] {
            None => ("pending", Value::Null),
            Some(Ok(())) => ("valid", Value::Null),
            Some(Err(reason)) => ("invalid", problem("connection", reason)),
        };
        let url = self.url(&format!("challenge/{number}/{index}"));
        json!({"type": "http-01", "url": url, "token": token(number, index), "status": status, "error": error})
    }

    /// Fetches the answer as the authority would.
    fn validate(&self, account: &Value, number: usize, index: usize) {
        eventually("the site is known", || self.state().site.is_some());
        let (site, name) = {
            let state = self.state();
            (state.site.expect("known"), state.orders[number].names[index].clone())
        };
        let member = |name: &str| account[name].as_str().unwrap_or_default().to_owned();
        let key = format!(r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#, member("x"), member("y"));
        let expected = format!("{}.{}", token(number, index), BASE64.encode(Sha256::digest(key)));
        let proof = match TcpStream::connect_timeout(&site, PATIENCE) {
            Err(error) => Err(format!("fetching the challenge of {name}: {error}")),
            Ok(_) => {
                let path = format!("/.well-known/acme-challenge/{}", token(number, index));
                let answer = send(site, &format!("GET {path} HTTP/1.1\r\nHost: {name}\r\n\r\n"));
                if answer.status == 200 && answer.text() == expected {
                    Ok(())
                } else {
                    Err(format!("{name} answered {}: {}", answer.status, answer.text()))
                }
            }
        };
        let mut state = self.state();
        let order = &mut state.orders[number];
        order.proofs[index] = Some(proof);
        if order.proofs.iter().any(|proof| matches!(proof, Some(Err(_)))) {
            order.status = "invalid";
        } else if order.proofs.iter().all(Option::is_some) {
            order.status = "ready";
        }
    }

    fn finalize(&self, number: usize, payload: &Value) -> Reply {
        let mut state = self.state();
        let validity = state.validity;
        let order = &mut state.orders[number];
        if order.status != "ready" {
            return problem_reply("orderNotReady", order.status);
        }
        let csr = BASE64.decode(payload["csr"].as_str().unwrap_or_default()).expect("a request");
        order.certificate = Some(self.authority.sign(&csr, &order.names, validity));
        order.status = "valid";
        drop(state);
        (200, None, self.shown(number))
    }
}

impl State {
    fn fresh_nonce(&mut self) -> String {
        self.nonce += 1;
        let nonce = format!("nonce-{}", self.nonce);
        self.nonces.insert(nonce.clone());
        nonce
    }
}

fn token(number: usize, index: usize) -> String {
    format!("token-{number}-{index}")
}

fn problem(kind: &str, detail: &str) -> Value {
    json!({"type": format!("urn:ietf:params:acme:error:{kind}"), "detail": detail, "status": 400})
}

fn problem_reply(kind: &str, detail: &str) -> Reply {
    (400, None, problem(kind, detail))
}
