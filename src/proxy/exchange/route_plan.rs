//! Where a request goes, and why.

use super::Replaced;
use crate::core::limit::counts::Held;
use crate::core::route::Rewritten;
use crate::core::table::{Pool, Service, Table};
use http::{HeaderName, HeaderValue};
use std::sync::Arc;

/// The route of a request, and what it leads to. A request keeps the table it was planned on: a change of weights
/// never splits it.
pub(in crate::proxy) struct RoutePlan {
    pub table: Arc<Table>,
    /// By index.
    pub route: Option<usize>,
    /// The path and the query, where routes have changed them.
    pub rewritten: Option<Box<Rewritten>>,
    /// Of the routes that come first, those before this index have been passed.
    pub first_from: usize,
    /// How often they have been changed.
    pub changes: u8,
    /// What was not shown of it before, where another route answers in its place.
    pub replaced: Option<Box<Replaced>>,
    /// Whether the limits of a route have counted the request.
    pub is_counted: bool,
    /// Largest body it may have, in bytes.
    pub max_body: u64,
    /// Its place in the client's limit of requests under way.
    pub held: Option<Held>,
    pub target: Option<PlanTarget>,
    /// What its pool was chosen by.
    pub by: Option<ChosenBy>,
    /// What its answer sets, no matter who makes it; most set nothing.
    pub cookies: Option<Box<Cookies>>,
    /// What the service says of it that its route asks, where it asks one.
    pub granted: Option<Box<Granted>>,
}

impl RoutePlan {
    pub(in crate::proxy) fn new(table: Arc<Table>) -> Self {
        RoutePlan {
            table,
            route: None,
            rewritten: None,
            first_from: 0,
            changes: 0,
            replaced: None,
            is_counted: false,
            max_body: u64::MAX,
            held: None,
            target: None,
            by: None,
            cookies: None,
            granted: None,
        }
    }

    /// Whether the request is answered for an error.
    pub(in crate::proxy) fn answers_an_error(&self) -> bool {
        self.replaced.as_ref().is_some_and(|replaced| replaced.error.is_some())
    }

    /// It leads to a pool.
    pub(in crate::proxy) fn choose(&mut self, chosen: &Chosen) {
        self.target = Some(chosen.target);
        self.by = Some(chosen.by);
        self.cookies = chosen.cookies.clone();
    }
}

/// Where a request goes, as indexes into the table it was planned on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::proxy) struct PlanTarget {
    pub service: usize,
    pub pool: usize,
}

impl PlanTarget {
    pub(in crate::proxy) fn service(self, table: &Table) -> Option<&Service> {
        table.services.get(self.service).map(|service| &**service)
    }

    pub(in crate::proxy) fn pool(self, table: &Table) -> Option<&Pool> {
        self.service(table)?.pools.get(self.pool)
    }
}

/// What a pool was chosen by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::proxy) enum ChosenBy {
    Weights,
    Cookie,
    ClientIp,
    Header,
    Text,
    Tester,
    Rule,
    /// A rule that stands even where the pool cannot serve.
    StrictRule,
}

impl ChosenBy {
    pub(in crate::proxy) fn label(self) -> &'static str {
        match self {
            ChosenBy::Weights => "weights",
            ChosenBy::Cookie => "cookie",
            ChosenBy::ClientIp => "client_ip",
            ChosenBy::Header => "header",
            ChosenBy::Text => "text",
            ChosenBy::Tester => "tester",
            ChosenBy::Rule | ChosenBy::StrictRule => "rule",
        }
    }
}

/// A pool, and what it was chosen by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::proxy) struct Chosen {
    pub target: PlanTarget,
    pub by: ChosenBy,
    pub cookies: Option<Box<Cookies>>,
}

/// What the answer sets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::proxy) struct Cookies {
    pub cohort: Option<HeaderValue>,
    pub tester: Option<HeaderValue>,
}

/// What a service says of a request that it lets pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::proxy) struct Granted {
    /// For the upstream, in place of what the client sent.
    pub fields: Vec<(HeaderName, HeaderValue)>,
    /// For the client.
    pub cookies: Vec<HeaderValue>,
}
