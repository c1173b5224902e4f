//! Which certificate for which name: a map, made when the files are read.

use super::load::Loaded;
use rustls::SignatureScheme;
use rustls::sign::CertifiedKey;
use std::collections::HashMap;
use std::sync::Arc;

/// The certificates of a listener by their names, exact ones before wildcards, in file order within each.
#[derive(Debug, Default)]
pub(super) struct Index {
    keys: Vec<Arc<CertifiedKey>>,
    exact: HashMap<Box<str>, Vec<usize>>,
    /// By what follows the `*.`, which stands for exactly one label.
    wildcard: HashMap<Box<str>, Vec<usize>>,
}

impl Index {
    pub(super) fn of<'a>(certificates: impl IntoIterator<Item = &'a Loaded>) -> Self {
        let mut index = Index::default();
        for (place, loaded) in certificates.into_iter().enumerate() {
            index.keys.push(loaded.key.clone());
            for name in &loaded.facts.names {
                let places = match name.strip_prefix("*.") {
                    Some(suffix) => index.wildcard.entry(suffix.into()).or_default(),
                    None => index.exact.entry(name.as_str().into()).or_default(),
                };
                places.push(place);
            }
        }
        index
    }

    /// The first certificate for a name, in lower case, that the client can verify; the first of all when
    /// there is none.
    pub(super) fn choose(
        &self,
        name: Option<&str>,
        schemes: &[SignatureScheme],
    ) -> Option<&Arc<CertifiedKey>> {
        let places = name.map_or(&[][..], |name| self.places(name.trim_end_matches('.')));
        let named = match places {
            // The usual case, which needs no look at the key.
            [one] => self.keys.get(*one),
            several => {
                let mut keys = several.iter().filter_map(|place| self.keys.get(*place));
                keys.clone().find(|key| key.key.choose_scheme(schemes).is_some()).or_else(|| keys.next())
            }
        };
        named.or(self.keys.first())
    }

    fn places(&self, name: &str) -> &[usize] {
        let wildcard = || self.wildcard.get(name.split_once('.')?.1);
        self.exact.get(name).or_else(wildcard).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::super::load::Facts;
    use super::*;
    use rustls::pki_types::PrivateKeyDer;
    use x509_parser::time::ASN1Time;

    const SCHEMES: &[SignatureScheme] = &[SignatureScheme::ECDSA_NISTP256_SHA256];

    fn loaded(names: &[&str], algorithm: &'static rcgen::SignatureAlgorithm) -> Loaded {
        let pair = rcgen::KeyPair::generate_for(algorithm).expect("a key");
        let cert = rcgen::CertificateParams::new(vec!["x.example".into()]).expect("parameters");
        let cert = cert.self_signed(&pair).expect("a certificate");
        let key = PrivateKeyDer::try_from(pair.serialize_der()).expect("a key");
        let provider = rustls::crypto::ring::default_provider();
        let key = CertifiedKey::from_der(vec![cert.der().clone()], key, &provider).expect("a pair");
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        let (from, until) = (ASN1Time::now(), ASN1Time::now());
        Loaded { key: Arc::new(key), facts: Facts { names, from, until, is_self_signed: true } }
    }

    #[test]
    fn exact_names_come_before_wildcards_and_the_first_is_the_default() {
        let certificates = [
            loaded(&["one.example"], &rcgen::PKCS_ECDSA_P256_SHA256),
            loaded(&["*.two.example", "two.example"], &rcgen::PKCS_ECDSA_P256_SHA256),
            loaded(&["api.two.example"], &rcgen::PKCS_ECDSA_P256_SHA256),
        ];
        let index = Index::of(&certificates);
        let choice = |name: &str| {
            let chosen = index.choose(Some(name), SCHEMES).expect("one");
            certificates.iter().position(|loaded| Arc::ptr_eq(&loaded.key, chosen)).expect("one of them")
        };
        for (name, place) in [
            ("one.example", 0),
            ("two.example", 1),
            ("www.two.example", 1),
            ("api.two.example", 2),
            ("api.two.example.", 2),
            ("a.b.two.example", 0),
            ("three.example", 0),
            ("example", 0),
            ("", 0),
        ] {
            assert_eq!(choice(name), place, "{name}");
        }
        assert!(Arc::ptr_eq(index.choose(None, SCHEMES).expect("the default"), &certificates[0].key));
        assert!(Index::default().choose(Some("one.example"), SCHEMES).is_none());
    }

    #[test]
    fn of_two_certificates_for_a_name_the_client_gets_the_one_it_can_verify() {
        let names = ["one.example"];
        let certificates =
            [loaded(&names, &rcgen::PKCS_ED25519), loaded(&names, &rcgen::PKCS_ECDSA_P256_SHA256)];
        let index = Index::of(&certificates);
        for (schemes, place) in [(SignatureScheme::ED25519, 0), (SignatureScheme::ECDSA_NISTP256_SHA256, 1)] {
            let chosen = index.choose(Some("one.example"), &[schemes]).expect("one");
            assert!(Arc::ptr_eq(chosen, &certificates[place].key), "{schemes:?}");
        }
    }
}
