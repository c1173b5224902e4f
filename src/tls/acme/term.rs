//! The orders of a leader, who places them for its whole fleet.
//!
//! Each step is stored before the authority hears of the next one: the order with the key of the certificate, then the
//! answers to its challenges, then the certificate. So another leader goes on with the order where this one has left it,
//! and every member can answer the authority.

use super::sharing::{AcmeItem, AcmeSeam, AcmeShared};
use super::{AcmeError, account};
use crate::core::settings::Acme;
use crate::observe::clock::wall;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// An order is gone on with for so long, in seconds; the certificate of an older one may be due again.
const FRESH_S: i64 = 3600;

/// An order, as members share it.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct OrderRecord {
    directory: String,
    names: Vec<String>,
    /// Where the authority has it; `None` once it has failed.
    url: Option<String>,
    /// The private key of the certificate (PEM).
    key: String,
    /// By token; they are told to everybody who asks.
    pub answers: BTreeMap<String, String>,
    /// When it began, and before when nobody orders again: in seconds since 1970.
    began_at: i64,
    again_at: i64,
    /// In a row.
    failures: u32,
}

impl OrderRecord {
    /// Of what is shared. One that cannot be read is none.
    pub(super) fn of(shared: &AcmeShared) -> Option<OrderRecord> {
        serde_json::from_str(shared.texts.get(&AcmeItem::Order)?).ok()
    }

    fn is_for(&self, settings: &Acme) -> bool {
        self.directory == settings.directory && self.names == settings.names
    }
}

/// A leader's right to order, and the order that it has found or placed.
pub(super) struct Term {
    seam: AcmeSeam,
    number: u64,
    record: OrderRecord,
}

impl Term {
    /// `None` where another member leads, or nobody.
    pub(super) fn of(seam: &AcmeSeam, shared: &AcmeShared, settings: &Acme) -> Option<Term> {
        let fresh = || OrderRecord {
            directory: settings.directory.clone(),
            names: settings.names.clone(),
            ..OrderRecord::default()
        };
        let found = OrderRecord::of(shared).filter(|record| record.is_for(settings));
        let record = found.unwrap_or_else(fresh);
        Some(Term { seam: seam.clone(), number: shared.term?, record })
    }

    /// Returns once this member does not lead any more, or leads again.
    pub(super) fn end(&self) -> impl Future<Output = ()> + use<> {
        self.seam.clone().end_of(self.number)
    }

    /// How long nobody is to order, after failures of whichever leader.
    pub(super) fn rest(&self) -> Duration {
        let left = self.record.again_at.saturating_sub(wall().as_second());
        Duration::from_secs(left.try_into().unwrap_or(0))
    }

    pub(super) fn failures(&self) -> u32 {
        self.record.failures
    }

    /// The order to go on with: where the authority has it, and the key of its certificate.
    pub(super) fn open(&self) -> Option<(String, String)> {
        let age = wall().as_second().saturating_sub(self.record.began_at);
        let url = self.record.url.clone().filter(|_| (0..FRESH_S).contains(&age))?;
        Some((url, self.record.key.clone()))
    }

    /// # Errors
    /// [`AcmeError::Unshared`], as for all that follow.
    pub(super) async fn began(&mut self, url: &str, key: String) -> Result<(), AcmeError> {
        let (answers, began_at) = (BTreeMap::new(), wall().as_second());
        let url = Some(url.to_owned());
        self.record = OrderRecord { url, key, answers, began_at, ..self.record.clone() };
        self.write_order().await.map(drop)
    }

    /// All members that are there show the answers before this returns, if they can in time.
    pub(super) async fn answers(&mut self, answers: BTreeMap<String, String>) -> Result<(), AcmeError> {
        self.record.answers = answers;
        let revision = self.write_order().await?;
        self.seam.all_show(revision).await;
        Ok(())
    }

    /// The order has come to nothing, and the next one is not placed before a pause.
    pub(super) async fn failed(&mut self, failures: u32, pause: Duration) -> Result<(), AcmeError> {
        let pause_s = i64::try_from(pause.as_secs()).unwrap_or(i64::MAX);
        let again_at = wall().as_second().saturating_add(pause_s);
        let (url, answers, key) = Default::default();
        self.record = OrderRecord { url, answers, key, again_at, failures, ..self.record.clone() };
        self.write_order().await.map(drop)
    }

    async fn write_order(&self) -> Result<u64, AcmeError> {
        let text = serde_json::to_string(&self.record).map_err(instant_acme::Error::from)?;
        self.seam.write(self.number, vec![(AcmeItem::Order, Some(text))]).await
    }

    /// The account on the own disk is the fleet's.
    pub(super) async fn share_account(&mut self, settings: &Acme) -> Result<(), AcmeError> {
        let shared = self.seam.current();
        match account::text(settings) {
            Some(text) if shared.texts.get(&AcmeItem::Account).map(|shared| &**shared) != Some(&text) => {
                self.seam.write(self.number, vec![(AcmeItem::Account, Some(text))]).await.map(drop)
            }
            _ => Ok(()),
        }
    }

    pub(super) async fn forget_account(&self) -> Result<(), AcmeError> {
        self.seam.write(self.number, vec![(AcmeItem::Account, None)]).await.map(drop)
    }

    /// The certificate on the own disk is the fleet's; no order is under way any more.
    pub(super) async fn share_certificate(&self, text: String) -> Result<(), AcmeError> {
        let texts = vec![(AcmeItem::Certificate, Some(text)), (AcmeItem::Order, None)];
        self.seam.write(self.number, texts).await.map(drop)
    }
}
