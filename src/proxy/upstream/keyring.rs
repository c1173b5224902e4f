//! What pingora wants to know for TLS towards upstreams, made once of the settings of each pool.
//!
//! Settings hold certificates as bytes, pingora takes them parsed. They are asked for with every request,
//! so every worker keeps its own: looking one up takes no lock and shares nothing.

use crate::core::settings::{Identity, Trust, UpstreamTls};
use arc_swap::ArcSwap;
use bytes::Bytes;
use pingora_core::prelude::HttpPeer;
use pingora_core::protocols::tls::CaType;
use pingora_core::utils::tls::{CertKey, WrappedX509, parse_x509};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Weak};

/// The keys of one worker.
#[derive(Default)]
pub(in crate::proxy) struct Keyring(ArcSwap<Vec<Entry>>);

#[derive(Clone)]
struct Entry {
    of: Weak<UpstreamTls>,
    keys: Arc<Keys>,
}

/// Settings as pingora takes them.
pub(in crate::proxy) struct Keys {
    authorities: Option<Arc<CaType>>,
    client: Option<Arc<CertKey>>,
    verify: bool,
    /// Of the settings: two that differ share no connection.
    fingerprint: u64,
}

impl Keyring {
    /// What has been made of these settings; those that no table has any more are forgotten with the next
    /// that are new.
    pub(in crate::proxy) fn keys(&self, tls: &Arc<UpstreamTls>) -> Arc<Keys> {
        let known = self.0.load();
        // An address is not given out again as long as an entry refers to it.
        let found = known.iter().find(|entry| Weak::as_ptr(&entry.of) == Arc::as_ptr(tls));
        if let Some(found) = found {
            return found.keys.clone();
        }
        let keys = Arc::new(Keys::of(tls));
        let mut entries: Vec<_> = known.iter().filter(|e| e.of.strong_count() > 0).cloned().collect();
        entries.push(Entry { of: Arc::downgrade(tls), keys: keys.clone() });
        self.0.store(Arc::new(entries));
        keys
    }
}

impl Keys {
    fn of(tls: &UpstreamTls) -> Self {
        let authorities = match &tls.trust {
            // Those that pingora has read at its start.
            Trust::System => None,
            Trust::Authorities(authorities) => Some(authorities.iter().map(parsed).collect()),
            Trust::Anybody => stand_in(),
        };
        let mut hasher = DefaultHasher::new();
        tls.hash(&mut hasher);
        Keys {
            authorities,
            client: tls.client.as_ref().map(|identity| Arc::new(pair(identity))),
            verify: tls.trust != Trust::Anybody,
            fingerprint: hasher.finish(),
        }
    }

    /// Has the peer spoken to in this way.
    pub(in crate::proxy) fn apply(&self, peer: &mut HttpPeer) {
        peer.group_key ^= self.fingerprint;
        peer.client_cert_key.clone_from(&self.client);
        peer.options.ca.clone_from(&self.authorities);
        peer.options.verify_cert = self.verify;
        peer.options.verify_hostname = self.verify;
    }
}

/// The configuration is refused for one that cannot be parsed: pingora panics then.
fn parsed(der: &Bytes) -> WrappedX509 {
    WrappedX509::new(der.to_vec(), parse_x509)
}

fn pair(identity: &Identity) -> CertKey {
    CertKey::new(identity.chain.iter().map(|one| one.to_vec()).collect(), identity.key.to_vec())
}

/// An authority that has issued nothing: pingora refuses to make a connection without any, even one that
/// it does not verify, and the system may know none.
fn stand_in() -> Option<Arc<CaType>> {
    let made = rcgen::generate_simple_self_signed(vec!["stand-in.invalid".to_owned()]);
    let made = made.inspect_err(|error| tracing::error!("TLS towards upstreams: {error}")).ok()?;
    Some(Arc::new([parsed(&Bytes::copy_from_slice(made.cert.der()))]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_prepared_once_and_forgotten_when_gone() {
        let keyring = Keyring::default();
        let one = Arc::new(UpstreamTls { trust: Trust::Anybody, ..UpstreamTls::default() });
        let keys = keyring.keys(&one);
        assert!(Arc::ptr_eq(&keys, &keyring.keys(&one)), "the same settings");
        let equal = Arc::new(UpstreamTls::clone(&one));
        assert_eq!(keyring.keys(&equal).fingerprint, keys.fingerprint, "connections are shared");
        let other = Arc::new(UpstreamTls { name: Some("other".into()), ..UpstreamTls::clone(&one) });
        assert_ne!(keyring.keys(&other).fingerprint, keys.fingerprint, "connections are kept apart");
        drop((one, equal));
        let _ = keyring.keys(&Arc::new(UpstreamTls::default()));
        assert_eq!(keyring.0.load().len(), 2, "the last two");
    }

    #[test]
    fn who_verifies_nothing_needs_no_authority() {
        let anybody = Keys::of(&UpstreamTls { trust: Trust::Anybody, ..UpstreamTls::default() });
        assert!(!anybody.verify && anybody.authorities.is_some_and(|list| list.len() == 1));
        let system = Keys::of(&UpstreamTls::default());
        assert!(system.verify && system.authorities.is_none());
    }
}
