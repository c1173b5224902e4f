//! One order, from the names to the certificate.

use super::super::challenges::Challenges;
use super::{AcmeError, account};
use crate::core::settings::Acme;
use instant_acme::{
    AuthorizationStatus, ChallengeType, Error, Identifier, NewOrder, Order, OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, DnType, KeyPair};
use std::time::Duration;

/// How patiently the authority is asked whether it is done.
const POLL: RetryPolicy = RetryPolicy::new().timeout(Duration::from_secs(120));

/// Orders a certificate: its chain and its key, which has been made for it, in PEM.
pub(super) async fn place(settings: &Acme, challenges: &Challenges) -> Result<String, AcmeError> {
    let account = account::open(settings).await.inspect_err(|error| {
        if let AcmeError::Protocol(error) = error {
            account::forget_if_gone(settings, error);
        }
    })?;
    let names: Vec<Identifier> = settings.names.iter().cloned().map(Identifier::Dns).collect();
    let order = account.new_order(&NewOrder::new(&names)).await;
    let mut order = order.inspect_err(|error| account::forget_if_gone(settings, error))?;
    prove(&mut order, challenges).await?;
    let key = order.finalize().await?;
    let chain = order.poll_certificate(&POLL).await?;
    Ok(format!("{}\n{key}", chain.trim_end()))
}

/// Shows that the names are ours; returns when the authority is convinced.
async fn prove(order: &mut Order, challenges: &Challenges) -> Result<(), AcmeError> {
    let _answers = Answers(challenges);
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        if authorization.status == AuthorizationStatus::Valid {
            continue;
        }
        let name = authorization.identifier().to_string();
        let challenge = authorization.challenge(ChallengeType::Http01);
        let mut challenge =
            challenge.ok_or_else(|| AcmeError::Refused(format!("it offers no HTTP-01 for {name}")))?;
        challenges.add(&challenge.token, challenge.key_authorization().as_str());
        challenge.set_ready().await?;
    }
    match order.poll_ready(&POLL).await {
        Ok(OrderStatus::Invalid) => Err(AcmeError::Refused(reasons(order).await?)),
        Ok(_) => Ok(()),
        Err(error @ Error::Api(_)) => {
            let reasons = reasons(order).await.unwrap_or_default();
            if reasons.is_empty() { Err(error.into()) } else { Err(AcmeError::Refused(reasons)) }
        }
        Err(error) => Err(error.into()),
    }
}

/// The answers of one order; gone with it, however it ends.
struct Answers<'a>(&'a Challenges);

impl Drop for Answers<'_> {
    fn drop(&mut self) {
        self.0.clear();
    }
}

/// What the authority says of each name that it does not believe.
async fn reasons(order: &mut Order) -> Result<String, Error> {
    let mut reasons = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        let name = authorization.identifier().to_string();
        let state = authorization.refresh().await?;
        let errors = state.challenges.iter().filter_map(|challenge| challenge.error.as_ref());
        reasons.extend(errors.map(|error| format!("{name}: {error}")));
    }
    Ok(reasons.join("; "))
}

/// A self-signed certificate, for the time until there is one.
pub(super) fn placeholder(names: &[String]) -> Result<String, AcmeError> {
    let mut params = CertificateParams::new(names.to_vec())?;
    params.distinguished_name.push(DnType::CommonName, "not issued yet");
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    Ok(format!("{}\n{}", certificate.pem().trim_end(), key.serialize_pem()))
}
