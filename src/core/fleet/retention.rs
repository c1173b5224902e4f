//! What of a store nobody needs any more: the leader deletes it from time to time, so that reading everything stays cheap.
//!
//! History and the records of rollouts are archived by each member; the store keeps the newest for members that come.
//! Tombstones, permits and rounds are about rollouts that are some service's last, or about nothing.

use super::keys::StoreKeys;
use super::store::StoreContents;
use std::collections::BTreeSet;

/// Changes whose rows of history are kept, and rollouts with the keys that started them.
pub const LOGS: usize = 2_000;
pub const ROLLOUTS: usize = 500;
/// Keys that one call deletes, at most: etcd takes 128 operations.
pub const AT_ONCE: usize = 100;

/// Keys that may go; `last` are the last rollouts of all services.
pub fn surplus(keys: &StoreKeys, contents: &StoreContents, last: &BTreeSet<String>) -> Vec<String> {
    let mut surplus = Vec::new();
    for (prefix, most) in
        [(keys.log_of_all(), LOGS), (keys.idempotency_of_all(), ROLLOUTS), (keys.rollout(""), ROLLOUTS)]
    {
        let mut all: Vec<_> = of(contents, &prefix).map(|(key, revision, _)| (revision, key)).collect();
        all.sort_unstable();
        let old = all.len().saturating_sub(most);
        surplus.extend(all.into_iter().take(old).map(|(_, key)| key.to_owned()));
    }
    for prefix in [keys.abort(""), keys.permit(""), keys.look("")] {
        let over = of(contents, &prefix).filter(|(_, _, rollout)| !last.contains(*rollout));
        surplus.extend(over.map(|(key, _, _)| key.to_owned()));
    }
    surplus.truncate(AT_ONCE);
    surplus
}

/// The keys that begin so: with their revisions, and what comes after that.
fn of<'a>(contents: &'a StoreContents, prefix: &'a str) -> impl Iterator<Item = (&'a str, u64, &'a str)> {
    let entries = contents.entries.range(prefix.to_owned()..);
    entries.map_while(move |(key, entry)| Some((key.as_str(), entry.modified, key.strip_prefix(prefix)?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::fleet::store::StoredValue;

    #[test]
    fn what_is_old_goes_and_what_is_about_a_running_rollout_stays() {
        let keys = StoreKeys::under("p");
        let mut contents = StoreContents::default();
        let mut put = |key: String, revision| {
            let value = StoredValue { value: String::new(), created: revision, modified: revision };
            contents.entries.insert(key, value);
        };
        (0..=LOGS as u64).for_each(|number| put(keys.log("web", &format!("a-{number}")), 9_000 - number));
        for rollout in ["web-1", "web-2"] {
            put(keys.abort(rollout), 5);
            put(keys.permit(rollout), 5);
            put(keys.rollout(rollout), 5);
        }
        put(keys.service("web"), 5);
        let gone = surplus(&keys, &contents, &BTreeSet::from(["web-2".to_owned()]));
        let oldest = keys.log("web", &format!("a-{LOGS}"));
        assert_eq!(gone, [oldest, keys.abort("web-1"), keys.permit("web-1")]);
        assert!(surplus(&keys, &StoreContents::default(), &BTreeSet::new()).is_empty());
    }
}
