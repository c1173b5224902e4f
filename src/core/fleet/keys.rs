//! The names of all keys of a fleet, under its prefix.

/// Names of keys. A name of a service, a member or a rollout has no slash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreKeys {
    prefix: String,
}

impl StoreKeys {
    /// Under `prefix`, with or without a slash at its end.
    pub fn under(prefix: &str) -> Self {
        StoreKeys { prefix: prefix.trim_end_matches('/').to_owned() }
    }

    /// What all keys begin with.
    pub fn prefix(&self) -> String {
        format!("{}/", self.prefix)
    }

    /// Who the fleet is: its format, secret and epoch.
    pub fn identity(&self) -> String {
        format!("{}/identity", self.prefix)
    }

    /// Leased; its revision of creation is the fence.
    pub fn leader(&self) -> String {
        format!("{}/leader", self.prefix)
    }

    /// All members by name. One key, since a transaction cannot ask whether one of many was deleted.
    pub fn members(&self) -> String {
        format!("{}/members", self.prefix)
    }

    /// Leased by the member itself.
    pub fn alive(&self, member: &str) -> String {
        format!("{}/alive/{member}", self.prefix)
    }

    pub fn service(&self, service: &str) -> String {
        format!("{}/services/{service}", self.prefix)
    }

    pub fn site(&self) -> String {
        format!("{}/site", self.prefix)
    }

    /// The tombstone of a rollout.
    pub fn abort(&self, rollout: &str) -> String {
        format!("{}/aborts/{rollout}", self.prefix)
    }

    /// Without it a rollout goes no further: a store without room takes no tombstone, but a delete.
    pub fn permit(&self, rollout: &str) -> String {
        format!("{}/permit/{rollout}", self.prefix)
    }

    pub fn idempotency(&self, service: &str, key: &str) -> String {
        format!("{}/keys/{service}/{key}", self.prefix)
    }

    pub fn rollout(&self, rollout: &str) -> String {
        format!("{}/rollouts/{rollout}", self.prefix)
    }

    /// The rows of history of one change.
    pub fn log(&self, service: &str, txn: &str) -> String {
        format!("{}/log/{service}/{txn}", self.prefix)
    }

    /// What all rows of history begin with, and all keys that rollouts were started by.
    pub fn log_of_all(&self) -> String {
        format!("{}/log/", self.prefix)
    }

    pub fn idempotency_of_all(&self) -> String {
        format!("{}/keys/", self.prefix)
    }

    /// Leased by the member.
    pub fn evidence(&self, rollout: &str, member: &str) -> String {
        format!("{}/evidence/{rollout}/{member}", self.prefix)
    }

    /// What members share of their certificate, sealed.
    pub fn acme(&self, item: &str) -> String {
        format!("{}/acme/{item}", self.prefix)
    }

    /// Leased by the member: the order whose answers it shows.
    pub fn acme_shown(&self, member: &str) -> String {
        format!("{}/acme/shown/{member}", self.prefix)
    }

    /// The round that the leader asks for.
    pub fn look(&self, rollout: &str) -> String {
        format!("{}/look/{rollout}", self.prefix)
    }
}
