//! The admin API from the client's side.

use super::args::{Connection, Format};
use super::place;
use crate::admin::shapes::ProblemView;
use reqwest::{Certificate, ClientBuilder, Identity, Method, StatusCode, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Longer than the longest wait for news.
const PATIENCE: Duration = Duration::from_secs(75);
const CONNECT: Duration = Duration::from_secs(5);

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("--admin {0:?} is not a URL such as http://127.0.0.1:9900")]
    Url(String),
    #[error(
        "the admin API at {url} cannot be reached: {detail}; {}",
        remedy(.detail)
    )]
    Unreachable { url: String, detail: String },
    #[error("{}", told(.0))]
    Refused(Box<ProblemView>),
    #[error("{url} is not the admin API of pointsman: {detail}")]
    Strange { url: String, detail: String },
    #[error("{file}: {detail}")]
    File { file: String, detail: String },
    #[error("{0}")]
    Other(String),
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// What helps: a certificate that is not trusted is distinguished from nobody there.
fn remedy(detail: &str) -> &'static str {
    match detail {
        _ if detail.contains("invalid peer certificate") => {
            "name the authority of its certificate by --ca or POINTSMAN_CA"
        }
        _ if detail.contains("CertificateRequired") => {
            "it asks for a certificate: --cert and --key, or POINTSMAN_CERT and POINTSMAN_KEY"
        }
        _ => "is pointsman running there? (--admin URL or POINTSMAN_ADMIN)",
    }
}

fn told(problem: &ProblemView) -> String {
    // A line of theirs does not pass for one of ours.
    let mut text = problem.detail.replace('\n', "\n  ");
    if problem.errors.len() > 1 {
        for fault in &problem.errors {
            text.push_str(&format!("\n  {}: {}", fault.path, fault.detail.replace('\n', "\n    ")));
        }
    }
    if let Some(rollout) = &problem.rollout {
        text.push_str(&format!(" (rollout {rollout})"));
    }
    if problem.status == StatusCode::UNAUTHORIZED.as_u16() {
        text.push_str("; give it with --token or POINTSMAN_TOKEN");
    }
    text
}

#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    base: Url,
    token: Option<String>,
    /// The configuration that the address is from.
    found_in: Option<PathBuf>,
    /// Whether answers are shown as text, in lines of ours: theirs have none then.
    as_text: bool,
}

impl Client {
    pub(super) fn new(connection: &Connection, format: Format) -> Result<Self, Failure> {
        let (admin, found_in) = place::of_admin(connection);
        let base = Url::parse(&admin).ok().filter(|url| url.has_host());
        let base = base.ok_or(Failure::Url(admin))?;
        let http = with_tls(reqwest::Client::builder(), connection)?
            .timeout(PATIENCE)
            .connect_timeout(CONNECT)
            .no_proxy()
            .user_agent(concat!("pointsman/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| Failure::Other(format!("no HTTP client: {error}")))?;
        let token = connection.token.clone().filter(|token| !token.is_empty());
        Ok(Client { http, base, token, found_in, as_text: format == Format::Text })
    }

    pub(super) async fn get<T: DeserializeOwned>(&self, path: &[&str]) -> Result<T, Failure> {
        self.send(self.request(Method::GET, self.url(path))).await
    }

    /// Whether it answers well, and what it says; an answer of 503 has the same shape.
    pub(super) async fn health<T: DeserializeOwned>(&self, path: &str) -> Result<(bool, T), Failure> {
        let url = || self.place();
        let unreachable = |error: reqwest::Error| Failure::Unreachable { url: url(), detail: cause(&error) };
        let request = self.request(Method::GET, self.url(&[path])).timeout(CONNECT);
        let answer = request.send().await.map_err(unreachable)?;
        let well = answer.status().is_success();
        let body = answer.bytes().await.map_err(unreachable)?;
        let strange = |error: serde_json::Error| Failure::Strange { url: url(), detail: error.to_string() };
        Ok((well, self.read(&body).map_err(strange)?))
    }

    pub(super) async fn get_query<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, String)],
    ) -> Result<T, Failure> {
        let mut url = self.url(path);
        url.query_pairs_mut().extend_pairs(query);
        self.send(self.request(Method::GET, url)).await
    }

    pub(super) async fn post<T: DeserializeOwned>(&self, path: &[&str]) -> Result<T, Failure> {
        self.send(self.request(Method::POST, self.url(path))).await
    }

    pub(super) async fn delete<T: DeserializeOwned>(&self, path: &[&str]) -> Result<T, Failure> {
        self.send(self.request(Method::DELETE, self.url(path))).await
    }

    pub(super) async fn send_json<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        headers: &[(&str, String)],
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        let mut request = self.request(method, self.url(path)).json(body);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        self.send(request).await
    }

    /// Its address, and where that is from.
    fn place(&self) -> String {
        match &self.found_in {
            Some(file) => format!("{} (as {} has it)", self.base, file.display()),
            None => self.base.to_string(),
        }
    }

    fn url(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url
    }

    fn request(&self, method: Method, url: Url) -> reqwest::RequestBuilder {
        let request = self.http.request(method, url);
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// An answer; as text its texts act on no terminal and begin no lines.
    fn read<T: DeserializeOwned>(&self, body: &[u8]) -> serde_json::Result<T> {
        let mut value: Value = serde_json::from_slice(body)?;
        if self.as_text {
            in_one_line(&mut value);
        }
        serde_json::from_value(value)
    }

    async fn send<T: DeserializeOwned>(&self, request: reqwest::RequestBuilder) -> Result<T, Failure> {
        let url = || self.place();
        let unreachable = |error: reqwest::Error| Failure::Unreachable { url: url(), detail: cause(&error) };
        let answer = request.send().await.map_err(unreachable)?;
        let status = answer.status();
        let body = answer.bytes().await.map_err(unreachable)?;
        if status.is_success() {
            let strange =
                |error: serde_json::Error| Failure::Strange { url: url(), detail: error.to_string() };
            return self.read(&body).map_err(strange);
        }
        Err(match serde_json::from_slice(&body) {
            Ok(problem) => Failure::Refused(Box::new(problem)),
            Err(_) => Failure::Strange { url: url(), detail: format!("it answered {status}") },
        })
    }
}

fn in_one_line(value: &mut Value) {
    match value {
        Value::String(text) if text.contains('\n') => *text = text.replace('\n', "\\n"),
        Value::Array(values) => values.iter_mut().for_each(in_one_line),
        Value::Object(values) => {
            for (mut name, mut value) in std::mem::take(values) {
                if name.contains('\n') {
                    name = name.replace('\n', "\\n");
                }
                in_one_line(&mut value);
                values.insert(name, value);
            }
        }
        _ => (),
    }
}

/// Whom the client trusts, and what it shows of itself.
fn with_tls(mut http: ClientBuilder, connection: &Connection) -> Result<ClientBuilder, Failure> {
    let fault = |path: &Path, error: reqwest::Error| Failure::File {
        file: path.display().to_string(),
        detail: format!("not usable: {}", cause(&error)),
    };
    if let Some(path) = &connection.ca {
        let authorities = Certificate::from_pem_bundle(&read(path)?).map_err(|error| fault(path, error))?;
        if authorities.is_empty() {
            let detail = "no certificate in it; the authority in PEM is needed".into();
            return Err(Failure::File { file: path.display().to_string(), detail });
        }
        http = http.tls_certs_only(authorities);
    }
    if let (Some(cert), Some(key)) = (&connection.cert, &connection.key) {
        let pem = [read(cert)?, read(key)?].concat();
        http = http.identity(Identity::from_pem(&pem).map_err(|error| fault(cert, error))?);
    }
    Ok(http)
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path)
        .map_err(|error| Failure::File { file: path.display().to_string(), detail: error.to_string() })
}

/// The innermost reason, which is the one that helps.
fn cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
