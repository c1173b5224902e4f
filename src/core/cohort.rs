//! Cohorts: the lasting assignment of one user to a pool.
//!
//! A user is hashed with a key of the service's own to a point, and the pools' weights divide the line that
//! the points lie on. Nothing is remembered, so all instances agree, a restart changes nothing, and an abort
//! takes everyone back with the table that it publishes.
//!
//! Between two pools a point changes sides only when the weight passes it: raising the candidate's weight
//! moves users towards it, lowering it moves them back. Every rollout splits between two. With three pools the
//! same holds whenever weight goes between stable and another, because stable lies in the middle. With more,
//! or between two others, it cannot hold for everybody: whether a user is in a pool would have to depend on
//! that pool's weight alone, and then three pools could not share the line without gaps. There as many users
//! more move as it takes.
//!
//! A pool that is down gives its users away in proportion, and gets the same ones back; nobody else moves.

mod token;

pub use token::{CookieKeys, User};

use super::template::Template;
use super::weight::{BasisPoints, Picker};
use siphasher::sip::SipHasher24;
use std::hash::Hasher;
use std::net::IpAddr;
use std::time::Duration;

/// What a service knows its users by.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Cohort {
    /// It does not: every request is for itself.
    #[default]
    Request,
    /// A cookie that the proxy issues; one that is used goes on past its `ttl`.
    Cookie { name: Box<str>, ttl: Duration },
    /// IPv6 by /64.
    ClientIp,
    /// Requests without it go by the client's address.
    Header(http::HeaderName),
    /// A text with variables; requests that make it empty go by the client's address.
    Text(Template),
}

impl Cohort {
    pub fn label(&self) -> &'static str {
        match self {
            Cohort::Request => "request",
            Cohort::Cookie { .. } => "cookie",
            Cohort::ClientIp => "client_ip",
            Cohort::Header(_) => "header",
            Cohort::Text(_) => "text",
        }
    }
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CohortIdentity<'a> {
    /// As a cookie of the proxy says.
    User(u64),
    Address(IpAddr),
    Named(&'a [u8]),
}

impl CohortIdentity<'_> {
    /// Where they lie on the line.
    pub fn point(self, key: &[u8; 16]) -> u64 {
        let mut hasher = SipHasher24::new_with_key(key);
        match self {
            CohortIdentity::User(id) => {
                hasher.write(b"u");
                hasher.write(&id.to_le_bytes());
            }
            CohortIdentity::Address(address) => match address.to_canonical() {
                IpAddr::V4(v4) => {
                    hasher.write(b"4");
                    hasher.write(&v4.octets());
                }
                IpAddr::V6(v6) => {
                    hasher.write(b"6");
                    hasher.write(&(v6.to_bits() >> 64).to_le_bytes());
                }
            },
            CohortIdentity::Named(name) => {
                hasher.write(b"n");
                hasher.write(name);
            }
        }
        hasher.finish()
    }
}

/// The line, divided among the pools of a service.
#[derive(Clone, Debug, Default)]
pub struct Split {
    /// By the weights as they are set, whatever is up.
    line: Picker,
    /// By pool: whether it gets nothing, so that others stand in where it has users.
    is_out: Box<[bool]>,
}

impl Split {
    /// From the weights as set and as they are in effect, by pool.
    pub fn new(set: &[BasisPoints], effective: &[BasisPoints], stable: usize) -> Self {
        let is_out = effective.iter().map(|weight| *weight == BasisPoints::ZERO).collect();
        Split { line: Picker::in_order(set, &order(set.len(), stable)), is_out }
    }

    /// The index of the pool for a point; `effective` splits by the weights that are in effect.
    pub fn pick(&self, point: u64, effective: &Picker) -> Option<usize> {
        let own = self.line.pick((point >> 32) as u32);
        let own = own.filter(|pool| self.is_out.get(*pool).is_some_and(|out| !out));
        // The other half of the point: who stands in has nothing to do with where a user lies.
        own.or_else(|| effective.pick(point as u32))
    }
}

/// Stable between two others; further ones after them. Of two, roles change nothing.
fn order(pools: usize, stable: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..pools).collect();
    if pools > 2 && stable < pools {
        order.remove(stable);
        order.insert(1, stable);
    }
    order
}

#[cfg(test)]
mod tests;
