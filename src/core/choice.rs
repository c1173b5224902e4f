//! How a service's pool is chosen for a request: testers, then rules, then the cohort, by the weights.

use super::cohort::{Cohort, CookieKeys, Split};
use super::rule::Rule;
use super::secret::Secret;
use super::settings;
use super::table::pool::Pool;
use super::tester::{TesterKey, Testers, Wanted};
use super::weight::BasisPoints;
use http::{HeaderName, HeaderValue};
use std::sync::Arc;

/// The part of a service that says so, as the data plane reads it.
#[derive(Debug, Default)]
pub struct Choice {
    /// `None` where every request is for itself.
    pub users: Option<Users>,
    /// With the key of their values.
    pub testers: Option<(Testers, TesterKey)>,
    pub rules: Arc<[Rule]>,
    stable: Option<usize>,
    candidate: Option<usize>,
    /// Shown to clients with each answer: the field, and its value by pool.
    exposed: Option<(HeaderName, Box<[HeaderValue]>)>,
}

/// How the users of a service are known, and where they are sent.
#[derive(Debug)]
pub struct Users {
    pub cohort: Cohort,
    pub split: Split,
    /// Places them on the service's line.
    pub draw_key: [u8; 16],
    pub cookie_keys: CookieKeys,
}

/// The roles of pools at the time, and their weights as set and as they are in effect.
#[derive(Debug)]
pub struct Standing<'a> {
    pub stable: &'a str,
    pub candidate: Option<&'a str>,
    pub set: &'a [BasisPoints],
    pub effective: &'a [BasisPoints],
}

impl Choice {
    pub fn new(
        service: &settings::Service,
        pools: &[Pool],
        standing: &Standing<'_>,
        secret: &Secret,
    ) -> Self {
        let index = |name: &str| pools.iter().position(|pool| *pool.name == *name);
        let (stable, candidate) = (index(standing.stable), standing.candidate.and_then(index));
        let shown = |pool: &Pool| HeaderValue::from_str(&pool.name);
        let exposed = service.expose_pool.clone().and_then(|field| {
            let values: Result<_, _> = pools.iter().map(shown).collect();
            Some((field, values.ok()?))
        });
        let key = || TesterKey::of(secret, &service.name);
        let users = || Users {
            cohort: service.cohort.clone(),
            split: Split::new(standing.set, standing.effective, stable.unwrap_or(pools.len())),
            draw_key: secret.short_key("draw", &service.name),
            cookie_keys: CookieKeys::of(secret),
        };
        Choice {
            users: (service.cohort != Cohort::Request).then(users),
            testers: service.testers.clone().map(|testers| (testers, key())),
            rules: service.rules.clone(),
            stable,
            candidate,
            exposed,
        }
    }

    /// Whether nothing that a request says counts.
    pub fn is_by_chance(&self) -> bool {
        self.users.is_none() && self.testers.is_none() && self.rules.is_empty()
    }

    /// The index of the pool that is wanted; `None` where there is none.
    pub fn place(&self, wanted: &Wanted, pools: &[Pool]) -> Option<usize> {
        match wanted {
            Wanted::Pool(name) => pools.iter().position(|pool| pool.name == *name),
            Wanted::Stable => self.stable,
            Wanted::Candidate => self.candidate,
        }
    }

    /// The field that tells a client which pool answered.
    pub fn shown(&self, pool: usize) -> Option<(&HeaderName, &HeaderValue)> {
        let (field, values) = self.exposed.as_ref()?;
        Some((field, values.get(pool)?))
    }
}
