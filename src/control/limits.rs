//! The limits of rates and of requests at a time, for the table. Their counts outlive tables and reloads: a
//! new configuration gives nobody a new burst.

use crate::core::limit::counts::Counts;
use crate::core::limit::route::RouteLimits;
use crate::core::limit::{Limit, key};
use crate::core::route::{RouteSpec, Target};
use crate::core::settings::Config;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Clients that can have requests under way at a time and be told apart, over all routes.
const CLIENTS: usize = 65536;

#[derive(Debug, Default)]
pub(super) struct Limits {
    rates: BTreeMap<String, Arc<Limit>>,
    /// Made when a route first limits what a client has under way.
    counts: Option<Arc<Counts>>,
}

impl Limits {
    /// The limits of every route, in their order.
    pub(super) fn of_routes(&mut self, config: &Config) -> Arc<[RouteLimits]> {
        self.fit(config);
        config.routes.specs().iter().map(|spec| self.of(spec)).collect()
    }

    /// Brings the limits in line with the configuration; those that count the same go on with their counts.
    fn fit(&mut self, config: &Config) {
        let mut before = std::mem::take(&mut self.rates);
        for (name, settings) in &config.rate_limits {
            let limit = match before.remove(name) {
                Some(limit) if limit.settings == *settings => limit,
                Some(limit) if (&limit.settings.by, limit.settings.keys) == (&settings.by, settings.keys) => {
                    Arc::new(Limit { settings: settings.clone(), buckets: limit.buckets.clone() })
                }
                _ => Arc::new(Limit::new(settings.clone())),
            };
            self.rates.insert(name.clone(), limit);
        }
    }

    fn of(&mut self, spec: &RouteSpec) -> RouteLimits {
        let at_a_time = (spec.connections_per_client > 0).then(|| {
            let counts = self.counts.get_or_insert_with(|| Arc::new(Counts::new(CLIENTS)));
            (spec.connections_per_client, counts.clone())
        });
        // What it matches says which route it is, wherever it stands in the file.
        let own = key(format!("{:?} {:?} {:?}", spec.hosts, spec.path, spec.listeners), 0);
        let service_key = match &spec.target {
            Target::Service(name) => key(name.as_bytes(), 0),
            _ => own,
        };
        let rates = spec.rates.iter().filter_map(|name| self.rates.get(name).cloned()).collect();
        RouteLimits { rates, at_a_time, key: own, service_key }
    }
}
