//! When the certificates end that are served.

use super::parts::{description, family, gauge};
use prometheus::core::{Collector, Desc};
use prometheus::proto::{MetricFamily, MetricType};
use std::collections::BTreeMap;
use std::fmt::{self, Debug, Formatter};

/// Reads the names of all certificates in use, and when each ends, in seconds since 1970.
pub struct CertificateEnds(pub Box<dyn Fn() -> Vec<(String, i64)> + Send + Sync>);

impl Debug for CertificateEnds {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("CertificateEnds")
    }
}

/// The first end for each name, since two certificates may be good for one.
pub(super) struct Ends {
    read: CertificateEnds,
    description: Desc,
}

impl Ends {
    pub(super) fn new(read: CertificateEnds) -> Result<Self, prometheus::Error> {
        let help = "When the certificate for a name ends, in seconds since 1970.";
        let name = "pointsman_certificate_expiry_timestamp_seconds";
        Ok(Ends { read, description: description(name, help, &["name"])? })
    }
}

impl Collector for Ends {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.description]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut ends: BTreeMap<String, i64> = BTreeMap::new();
        for (name, end) in (self.read.0)() {
            ends.entry(name).and_modify(|first| *first = end.min(*first)).or_insert(end);
        }
        let metrics = ends.iter().map(|(name, end)| gauge(&[("name", name)], *end as f64)).collect();
        vec![family(&self.description, MetricType::GAUGE, metrics)]
    }
}
