//! One order, from the names to the certificate.

use super::super::challenges::Challenges;
use super::term::Term;
use super::{AcmeError, account};
use crate::core::settings::Acme;
use instant_acme::{
    Account, AuthorizationHandle, AuthorizationStatus, ChallengeHandle, ChallengeType, Error, Identifier,
    NewOrder, Order, OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, CertificateSigningRequest, DistinguishedName, DnType, KeyPair};
use std::collections::BTreeMap;
use std::time::Duration;

/// How patiently the authority is asked whether it is done.
const POLL: RetryPolicy = RetryPolicy::new().timeout(Duration::from_secs(120));

/// Orders a certificate: its chain and its key, which has been made for it, in PEM. A leader shares each step, goes on with
/// an order that it finds, and ends where it leads no more.
pub(super) async fn place(
    settings: &Acme,
    challenges: &Challenges,
    term: Option<&mut Term>,
) -> Result<String, AcmeError> {
    let Some(term) = term else { return placed(settings, challenges, None).await };
    let ended = term.end();
    tokio::select! {
        biased;
        () = ended => Err(AcmeError::Succeeded),
        placed = placed(settings, challenges, Some(term)) => placed,
    }
}

async fn placed(
    settings: &Acme,
    challenges: &Challenges,
    mut term: Option<&mut Term>,
) -> Result<String, AcmeError> {
    let begun = begin(settings, term.as_deref_mut()).await;
    if let (Err(AcmeError::Protocol(error)), Some(term)) = (&begun, term.as_deref_mut())
        && account::is_gone(error)
    {
        term.forget_account().await?;
    }
    let (mut order, key) = begun?;
    if order.state().status == OrderStatus::Pending {
        prove(&mut order, challenges, term).await?;
    }
    if order.state().status == OrderStatus::Ready {
        order.finalize_csr(request(settings, &key)?.der()).await?;
    }
    let chain = order.poll_certificate(&POLL).await?;
    Ok(format!("{}\n{}", chain.trim_end(), key.serialize_pem()))
}

/// The order, and the key of its certificate.
async fn begin(settings: &Acme, mut term: Option<&mut Term>) -> Result<(Order, KeyPair), AcmeError> {
    let forget = |error: &Error| account::forget_if_gone(settings, error);
    let account = account::open(settings).await.inspect_err(|error| {
        if let AcmeError::Protocol(error) = error {
            forget(error);
        }
    })?;
    if let Some(term) = term.as_deref_mut() {
        term.share_account(settings).await?;
        if let Some(found) = found(&account, term).await {
            return Ok(found);
        }
    }
    let names: Vec<Identifier> = settings.names.iter().cloned().map(Identifier::Dns).collect();
    let order = account.new_order(&NewOrder::new(&names)).await.inspect_err(forget)?;
    let key = KeyPair::generate()?;
    if let Some(term) = term {
        term.began(order.url(), key.serialize_pem()).await?;
    }
    Ok((order, key))
}

/// The order that a leader before has placed, where it leads to a certificate yet.
async fn found(account: &Account, term: &Term) -> Option<(Order, KeyPair)> {
    let (url, key) = term.open()?;
    let mut order = account.order(url).await.ok()?;
    let is_open = order.state().status != OrderStatus::Invalid;
    tracing::info!(is_open, "an order that was placed before is gone on with where it is open");
    Some((order, KeyPair::from_pem(&key).ok()?)).filter(|_| is_open)
}

fn request(settings: &Acme, key: &KeyPair) -> Result<CertificateSigningRequest, AcmeError> {
    let mut params = CertificateParams::new(settings.names.clone())?;
    params.distinguished_name = DistinguishedName::new();
    Ok(params.serialize_request(key)?)
}

/// Shows that the names are ours; returns when the authority is convinced.
async fn prove(order: &mut Order, challenges: &Challenges, term: Option<&mut Term>) -> Result<(), AcmeError> {
    let _answers = Answers(challenges);
    let mut answers = BTreeMap::new();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        if authorization.status == AuthorizationStatus::Pending {
            let challenge = challenge(&mut authorization)?;
            answers.insert(challenge.token.clone(), challenge.key_authorization().as_str().to_owned());
        }
    }
    challenges.replace(&answers);
    if let Some(term) = term {
        term.answers(answers).await?;
    }
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        if authorization.status == AuthorizationStatus::Pending {
            challenge(&mut authorization)?.set_ready().await?;
        }
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

fn challenge<'a>(authorization: &'a mut AuthorizationHandle<'a>) -> Result<ChallengeHandle<'a>, AcmeError> {
    let name = authorization.identifier().to_string();
    let found = authorization.challenge(ChallengeType::Http01);
    found.ok_or_else(|| AcmeError::Refused(format!("it offers no HTTP-01 for {name}")))
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
