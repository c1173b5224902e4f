//! Who we are to the authority: a key, kept so that later orders come from the same account.

use super::http::Http;
use super::{AcmeError, files};
use crate::core::settings::Acme;
use instant_acme::{Account, AccountCredentials, Error, NewAccount};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::PathBuf;

/// What no account can be had with any more; the next order makes a new one.
const GONE: &str = "urn:ietf:params:acme:error:accountDoesNotExist";

#[derive(Serialize, Deserialize)]
struct Stored {
    directory: String,
    contact: Vec<String>,
    /// [`AccountCredentials`], as they are kept.
    credentials: Value,
}

/// The account of before, or a new one; its contacts are as configured.
pub(super) async fn open(settings: &Acme) -> Result<Account, AcmeError> {
    let builder = Account::builder_with_http(Box::new(Http::new(settings)?));
    let contact: Vec<&str> = settings.contact.iter().map(String::as_str).collect();
    let Some(stored) = stored(settings) else {
        let new =
            NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
        let (account, credentials) = builder.create(&new, settings.directory.clone(), None).await?;
        store(settings, serde_json::to_value(&credentials).map_err(Error::from)?)?;
        return Ok(account);
    };
    let credentials: AccountCredentials =
        serde_json::from_value(stored.credentials.clone()).map_err(Error::from)?;
    let account = builder.from_credentials(credentials).await?;
    if stored.contact != settings.contact {
        account.update_contacts(&contact).await?;
        store(settings, stored.credentials)?;
    }
    Ok(account)
}

/// The account as it lies on the disk.
pub(super) fn text(settings: &Acme) -> Option<String> {
    std::fs::read_to_string(path(settings)).ok()
}

/// Keeps the account that the fleet has.
///
/// # Errors
/// [`AcmeError::File`].
pub(super) fn keep(settings: &Acme, shared: &str) -> Result<(), AcmeError> {
    if text(settings).as_deref() == Some(shared) { Ok(()) } else { files::write(&path(settings), shared) }
}

/// Whether the authority does not know the account any more.
pub(super) fn is_gone(error: &Error) -> bool {
    matches!(error, Error::Api(problem) if problem.r#type.as_deref() == Some(GONE))
}

/// Forgets an account that the authority does not know.
pub(super) fn forget_if_gone(settings: &Acme, error: &Error) {
    if is_gone(error) {
        // At worst the same is found out again.
        let _ = std::fs::remove_file(path(settings));
    }
}

/// `None` too for an account at another authority, or one that cannot be read.
fn stored(settings: &Acme) -> Option<Stored> {
    let text = std::fs::read(path(settings)).ok()?;
    let stored: Stored = serde_json::from_slice(&text).ok()?;
    (stored.directory == settings.directory).then_some(stored)
}

fn store(settings: &Acme, credentials: Value) -> Result<(), AcmeError> {
    let (directory, contact) = (settings.directory.clone(), settings.contact.clone());
    let text = serde_json::to_string(&Stored { directory, contact, credentials });
    files::write(&path(settings), &text.map_err(Error::from)?)
}

fn path(settings: &Acme) -> PathBuf {
    settings.dir.join("account.json")
}
