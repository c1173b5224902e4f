//! The certificates in use, and how they follow their files.

use super::index::Index;
use super::load::{Loaded, Stamp, TlsError, load, shown};
use crate::core::settings::Certificate;
use arc_swap::ArcSwap;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};

/// The certificates of one listener. A handshake takes what is current; connections that are open keep
/// what they have.
#[derive(Debug)]
pub struct Certificates {
    current: ArcSwap<Index>,
    /// For those who exchange them; no handshake comes here.
    entries: Mutex<Vec<Entry>>,
}

/// A certificate, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFacts {
    pub file: String,
    /// DNS names, in lower case; a wildcard has its `*.`.
    pub names: Vec<String>,
    /// When it expires, in seconds since 1970.
    pub until: i64,
    /// What is wrong with its files as they are now.
    pub complaint: Option<String>,
}

/// One certificate, and what was last seen of its files.
#[derive(Debug)]
struct Entry {
    files: Certificate,
    loaded: Loaded,
    stamp: Stamp,
    /// What is wrong with the files as they are now.
    complaint: Option<String>,
}

impl Certificates {
    /// # Errors
    /// [`TlsError`]: the first that cannot be used.
    pub fn load(files: &[Certificate]) -> Result<Arc<Self>, TlsError> {
        let entries = files.iter().map(Entry::load).collect::<Result<Vec<_>, _>>()?;
        let current = ArcSwap::from_pointee(index(&entries));
        Ok(Arc::new(Certificates { current, entries: Mutex::new(entries) }))
    }

    /// Reads the files that have changed. One that cannot be used leaves the certificate as it was, is
    /// told once in the log, and is tried again next time: a certificate whose key is still to be written
    /// is taken as soon as both are there.
    pub fn refresh(&self) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        // Every one of them, not only up to the first that has changed.
        let changed = entries.iter_mut().map(Entry::refresh).filter(|changed| *changed).count();
        if changed > 0 {
            self.current.store(Arc::new(index(&entries)));
        }
    }

    /// Serves the certificates of these files from now on.
    ///
    /// # Errors
    /// [`TlsError`] for the first that cannot be used; nothing has changed then.
    pub fn follow(&self, files: &[Certificate]) -> Result<(), TlsError> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.iter().map(|entry| &entry.files).eq(files) {
            drop(entries);
            self.refresh();
            return Ok(());
        }
        let fresh = files.iter().map(Entry::load).collect::<Result<Vec<_>, _>>()?;
        self.current.store(Arc::new(index(&fresh)));
        *entries = fresh;
        Ok(())
    }

    /// What is in use now.
    pub fn described(&self) -> Vec<CertificateFacts> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let facts = |entry: &Entry| CertificateFacts {
            file: shown(&entry.files.cert),
            names: entry.loaded.facts.names.clone(),
            until: entry.loaded.facts.until.timestamp(),
            complaint: entry.complaint.clone(),
        };
        entries.iter().map(facts).collect()
    }

    /// The names that each is good for, and when it ends, in seconds since 1970. One without names goes by its file.
    pub fn ends(&self) -> Vec<(String, i64)> {
        let of = |CertificateFacts { file, mut names, until, .. }: CertificateFacts| {
            if names.is_empty() {
                names.push(file);
            }
            names.into_iter().map(move |name| (name, until))
        };
        self.described().into_iter().flat_map(of).collect()
    }

    /// Looks at the files every so often, until the runtime ends; zero is never.
    pub async fn watch(self: Arc<Self>, every: Duration) {
        if every.is_zero() {
            return;
        }
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let this = self.clone();
            if spawn_blocking(move || this.refresh()).await.is_err() {
                tracing::error!("looking at the certificates' files has failed; it goes on");
            }
        }
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.current.load().choose(hello.server_name(), hello.signature_schemes()).cloned()
    }
}

impl Entry {
    fn load(files: &Certificate) -> Result<Self, TlsError> {
        // Before the files, so that a change meanwhile is seen next time.
        let stamp = Stamp::of(files);
        let loaded = load(files)?;
        Ok(Entry { files: files.clone(), loaded, stamp, complaint: None })
    }

    /// Whether another certificate is in effect now.
    fn refresh(&mut self) -> bool {
        let stamp = Stamp::of(&self.files);
        let is_new = stamp != self.stamp;
        if !is_new && self.complaint.is_none() {
            return false;
        }
        let loaded = load(&self.files);
        if loaded.is_err() && Stamp::of(&self.files) != stamp {
            // Somebody is writing; the next look finds the files as they are to be.
            return false;
        }
        self.stamp = stamp;
        let cert = shown(&self.files.cert);
        match loaded {
            Ok(loaded) => {
                let (names, until) = (loaded.facts.names.join(" "), loaded.facts.until);
                tracing::info!(%cert, names, %until, "a new certificate is in effect");
                self.loaded = loaded;
                self.complaint = None;
                true
            }
            Err(error) => {
                let complaint = error.to_string();
                if is_new || self.complaint.as_ref() != Some(&complaint) {
                    tracing::error!(%cert, "the new certificate cannot be used, the old one stays: {complaint}");
                }
                self.complaint = Some(complaint);
                false
            }
        }
    }
}

fn index(entries: &[Entry]) -> Index {
    Index::of(entries.iter().map(|entry| &entry.loaded))
}
