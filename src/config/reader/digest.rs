//! What all members of a fleet must have the same, as a digest of what was typed.
//!
//! It is made of the file and not of what it means: so it covers each key from its first day, and two versions agree on it
//! that keep a setting in different forms. Order, comments, spacing and the ways to write a table or a number make no
//! difference; a default that is written out does. Variables of the environment count by their values, and files whose
//! text is read along with the configuration by that. Certificates and keys count by the names of their files alone, since
//! they are renewed on each machine by themselves.
//!
//! No value can be found out by it: the secret of the fleet, which nobody can guess, is part of it.

use super::Document;
use crate::config::units;
use sha2::{Digest, Sha256};
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

/// What each member has of its own, all below it included: where it listens, what is its machine's, who it is, and how it
/// reaches the store.
const OWN: [&str; 11] = [
    "admin",
    "fleet.etcd.ca",
    "fleet.etcd.cert",
    "fleet.etcd.endpoints",
    "fleet.etcd.key",
    "fleet.etcd.password",
    "fleet.etcd.user",
    "fleet.name",
    "listeners",
    "server.state_dir",
    "server.threads",
];

/// Bytes of the digest that are shown.
const SHOWN_BYTES: usize = 8;

impl Document<'_> {
    /// The digest of a file that was read, in hexadecimal digits.
    pub(in crate::config) fn shared_digest(&self, table: &DeTable<'_>) -> String {
        let mut digest = Sha256::new();
        digest.update(self.table("", table).unwrap_or_default());
        for (path, text) in self.behind.borrow().iter().filter(|(path, _)| !is_own(path)) {
            digest.update(format!("\n{path:?} "));
            digest.update(text);
        }
        digest.finalize().iter().take(SHOWN_BYTES).map(|byte| format!("{byte:02x}")).collect()
    }

    /// A table in its one form; `None` where only what is a member's own has made it.
    fn table(&self, path: &str, table: &DeTable<'_>) -> Option<String> {
        let written = |(name, value): (&Spanned<DeString<'_>>, &Spanned<DeValue<'_>>)| {
            let name: &str = name.get_ref().as_ref();
            let inner = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
            let value = if is_own(&inner) { None } else { self.value(&inner, value.get_ref()) };
            Some(format!("{name:?}={}", value?))
        };
        let mut keys: Vec<String> = table.iter().filter_map(written).collect();
        keys.sort_unstable();
        let holds_own =
            OWN.iter().any(|own| own.strip_prefix(path).is_some_and(|rest| rest.starts_with('.')));
        (!keys.is_empty() || !holds_own).then(|| format!("{{{}}}", keys.join(",")))
    }

    fn value(&self, path: &str, value: &DeValue<'_>) -> Option<String> {
        let number = |text: &str, radix| i64::from_str_radix(text, radix).map(|number| number.to_string());
        Some(match value {
            DeValue::String(text) => format!("{:?}", self.filled_in(text)),
            DeValue::Integer(found) => {
                number(found.as_str(), found.radix()).unwrap_or_else(|_| found.as_str().to_owned())
            }
            DeValue::Float(found) => {
                let number = found.as_str().parse::<f64>().map(|number| number.to_string());
                number.unwrap_or_else(|_| found.as_str().to_owned())
            }
            DeValue::Boolean(is_so) => is_so.to_string(),
            DeValue::Datetime(time) => time.to_string(),
            DeValue::Array(values) => {
                let each = values.iter().map(|value| self.value(path, value.get_ref()).unwrap_or_default());
                format!("[{}]", each.collect::<Vec<_>>().join(","))
            }
            DeValue::Table(table) => self.table(path, table)?,
        })
    }

    /// A text with the values of its variables: in place of those in capitals, and behind it for others, which may be a
    /// request's.
    fn filled_in(&self, text: &str) -> String {
        let mut filled = units::with_environment(text, self.env).unwrap_or_else(|_| text.to_owned());
        let others: Vec<String> = units::variables(&filled).filter_map(|name| (self.env)(name)).collect();
        others.iter().for_each(|value| filled.push_str(value));
        filled
    }
}

/// Whether a path is a member's own, or lies below one.
fn is_own(path: &str) -> bool {
    OWN.iter()
        .any(|own| path.strip_prefix(own).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '['])))
}
