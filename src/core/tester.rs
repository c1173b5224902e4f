//! Testers: people who choose a version themselves, whatever the weights are.
//!
//! Inside the named networks the name of a pool is enough. From anywhere else the value must be signed, and
//! says until when it holds: `green.1767225600.TAG`, HMAC-SHA-256 under a key of the service's own.

use super::secret::{Key, Secret, hmac};
use http::HeaderName;
use ipnet::IpNet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use subtle::ConstantTimeEq;

/// Hexadecimal digits of a tag: 128 bits.
const TAG: usize = 32;
/// How long a choice lasts where nobody says how long.
pub const LASTS: Duration = Duration::from_secs(8 * 3600);

/// Who may choose, and by what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Testers {
    /// Where an unsigned value counts.
    pub networks: Vec<IpNet>,
    pub header: HeaderName,
    pub cookie: Box<str>,
    pub query: Box<str>,
}

/// A pool that is asked for: by its name, or by the role that it plays at the time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    Pool(Arc<str>),
    Stable,
    Candidate,
}

/// What a value says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// Back to where everybody goes.
    Out,
    Choice {
        wanted: Wanted,
        lasts: Duration,
    },
}

impl Wanted {
    /// From how it is written; a pool that has the name of a role is meant by it. `None` where there is none.
    pub fn named<'a>(text: &str, mut pools: impl Iterator<Item = &'a Arc<str>>) -> Option<Self> {
        let pool = pools.find(|pool| ***pool == *text).map(|pool| Wanted::Pool(pool.clone()));
        pool.or(match text {
            "stable" => Some(Wanted::Stable),
            "candidate" => Some(Wanted::Candidate),
            _ => None,
        })
    }
}

impl Testers {
    /// What a value says that a client sent, `now` in seconds since 1970. `None` where it says nothing, or
    /// nothing that this client may.
    pub fn understand<'a>(
        &self,
        value: &str,
        client: IpAddr,
        key: &TesterKey,
        now: u64,
        pools: impl Iterator<Item = &'a Arc<str>>,
    ) -> Option<Word> {
        if value == "out" {
            return Some(Word::Out);
        }
        let is_inside = || self.networks.iter().any(|net| net.contains(&client));
        let (name, lasts) = match key.read(value) {
            Some((name, until)) => {
                (name, Duration::from_secs(until.checked_sub(now).filter(|left| *left > 0)?))
            }
            None => (Some(value).filter(|_| is_inside())?, LASTS),
        };
        Some(Word::Choice { wanted: Wanted::named(name, pools)?, lasts })
    }
}

/// Signs values for one service.
#[derive(Clone)]
pub struct TesterKey(Key);

impl TesterKey {
    pub fn of(secret: &Secret, service: &str) -> Self {
        TesterKey(secret.key("tester", service))
    }

    /// A value that chooses `version` until then, in seconds since 1970.
    pub fn sign(&self, version: &str, until: u64) -> String {
        let signed = format!("{version}.{until}");
        let tag = self.tag(&signed);
        format!("{signed}.{}", String::from_utf8_lossy(&tag))
    }

    /// The version that a value names and until when, where it was signed with this key.
    pub fn read<'a>(&self, value: &'a str) -> Option<(&'a str, u64)> {
        let (signed, tag) = value.rsplit_once('.')?;
        let (version, until) = signed.rsplit_once('.')?;
        let until = until.parse().ok()?;
        bool::from(tag.as_bytes().ct_eq(&self.tag(signed))).then_some((version, until))
    }

    fn tag(&self, signed: &str) -> [u8; TAG] {
        let digest = hmac(&self.0, &[signed.as_bytes()]);
        std::array::from_fn(|at| b"0123456789abcdef"[usize::from(digest[at / 2] >> (4 * (1 - at % 2)) & 15)])
    }
}

impl std::fmt::Debug for TesterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TesterKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_767_225_600;

    fn key(service: &str) -> TesterKey {
        TesterKey::of(&Secret::new([5; 32]), service)
    }

    fn understood(value: &str, client: &str) -> Option<Word> {
        let testers = Testers {
            networks: vec!["10.0.0.0/8".parse().expect("a network")],
            header: HeaderName::from_static("x-pointsman-pool"),
            cookie: "pointsman-pool".into(),
            query: "pointsman-pool".into(),
        };
        let pools: [Arc<str>; 2] = ["blue".into(), "green".into()];
        testers.understand(value, client.parse().expect("an address"), &key("web"), NOW, pools.iter())
    }

    fn choice(wanted: Wanted, seconds: u64) -> Option<Word> {
        Some(Word::Choice { wanted, lasts: Duration::from_secs(seconds) })
    }

    #[test]
    fn inside_the_networks_a_name_is_enough() {
        assert_eq!(understood("green", "10.1.2.3"), choice(Wanted::Pool("green".into()), 8 * 3600));
        assert_eq!(understood("candidate", "10.1.2.3"), choice(Wanted::Candidate, 8 * 3600));
        assert_eq!(understood("stable", "10.1.2.3"), choice(Wanted::Stable, 8 * 3600));
        assert_eq!(understood("green", "192.0.2.1"), None);
        assert_eq!(understood("red", "10.1.2.3"), None);
        assert_eq!(understood("out", "192.0.2.1"), Some(Word::Out), "anybody may go back");
    }

    #[test]
    fn a_signed_value_counts_from_anywhere_while_it_holds() {
        let value = key("web").sign("green", NOW + 60);
        assert!(value.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)), "{value}");
        assert_eq!(understood(&value, "192.0.2.1"), choice(Wanted::Pool("green".into()), 60));
        assert_eq!(understood(&key("web").sign("candidate", NOW + 1), "::1"), choice(Wanted::Candidate, 1));
        for (value, why) in [
            (key("web").sign("green", NOW), "over"),
            (key("api").sign("green", NOW + 60), "another service's"),
            (key("web").sign("red", NOW + 60), "no such pool"),
            (value.replace("green", "blue"), "another pool"),
            (value.replace(&(NOW + 60).to_string(), &(NOW + 61).to_string()), "longer"),
            (value.to_uppercase(), "another spelling"),
            (value[..value.len() - 1].to_owned(), "cut off"),
            (format!("{value}0"), "too long"),
            (String::new(), "nothing"),
        ] {
            assert_eq!(understood(&value, "192.0.2.1"), None, "{why}: {value}");
        }
    }

    #[test]
    fn a_pool_may_have_the_name_of_a_role() {
        let pools: [Arc<str>; 1] = ["stable".into()];
        assert_eq!(Wanted::named("stable", pools.iter()), Some(Wanted::Pool("stable".into())));
    }
}
