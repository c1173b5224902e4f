//! The protocol's requests over the HTTP client that the rest of the process uses.

use super::super::load::chain;
use super::AcmeError;
use crate::core::settings::Acme;
use bytes::Bytes;
use http_body_util::BodyExt;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use reqwest::{Certificate, Client};
use std::pin::Pin;
use std::time::Duration;

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(30);

pub(super) struct Http(Client);

impl Http {
    /// # Errors
    /// [`AcmeError`] when the authority in `ca` cannot be used.
    pub(super) fn new(settings: &Acme) -> Result<Self, AcmeError> {
        let mut client = Client::builder().timeout(TIMEOUT).https_only(true);
        if let Some(path) = &settings.ca {
            let authorities = chain(path).map_err(AcmeError::Unusable)?;
            let authorities = authorities.iter().map(|authority| Certificate::from_der(authority));
            client =
                client.tls_certs_only(authorities.collect::<Result<Vec<_>, _>>().map_err(AcmeError::Client)?);
        }
        Ok(Http(client.build().map_err(AcmeError::Client)?))
    }
}

type Answer = Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>>;

impl HttpClient for Http {
    fn request(&self, request: http::Request<BodyWrapper<Bytes>>) -> Answer {
        let client = self.0.clone();
        Box::pin(async move {
            let other = |error: reqwest::Error| Error::Other(Box::new(error));
            let (parts, body) = request.into_parts();
            let Ok(body) = body.collect().await;
            let request = client.request(parts.method, parts.uri.to_string()).headers(parts.headers);
            let request = request.body(body.to_bytes());
            let answer = request.send().await.map_err(other)?;
            Ok(BytesResponse::from(http::Response::<reqwest::Body>::from(answer)))
        })
    }
}
