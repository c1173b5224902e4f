//! What lies under the keys of a fleet, as JSON.
//!
//! Each document says its format. A member that finds a newer one than it knows reads nothing of it, writes no document
//! any more, and never leads; it serves on, and aborts by tombstones, whose format stays. So no document loses fields
//! by a member that does not know them, and unknown fields within a known format are an error of their writer: they
//! are left out. The leader writes the newest format that all members know ([`FORMAT`] is the first).

use super::Incarnation;
use super::evidence::{MemberCounts, MemberPast, MemberReport, PushStamp};
use super::roll_call::RollCall;
use crate::core::service::ServiceState;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The newest format that this version knows.
pub const FORMAT: u32 = 1;

/// Why a document cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocumentFault {
    #[error("{key} has format {found}, and this version knows {known} at most; update this instance")]
    Newer { key: String, found: u32, known: u32 },
    #[error("{key} cannot be read: {detail}; `pointsman fleet` was not its last writer, or it is damaged")]
    Damaged { key: String, detail: String },
}

/// What every document says first.
#[derive(Deserialize)]
struct Formatted {
    format: u32,
}

/// Reads a document.
///
/// # Errors
/// [`DocumentFault`].
pub fn read<T: DeserializeOwned>(key: &str, text: &str) -> Result<T, DocumentFault> {
    let damaged =
        |error: serde_json::Error| DocumentFault::Damaged { key: key.to_owned(), detail: error.to_string() };
    let Formatted { format } = serde_json::from_str(text).map_err(damaged)?;
    if format > FORMAT {
        return Err(DocumentFault::Newer { key: key.to_owned(), found: format, known: FORMAT });
    }
    serde_json::from_str(text).map_err(damaged)
}

/// A document as it is stored: maps with text keys, numbers and texts, so there is nothing JSON cannot hold.
pub fn text<T: Serialize>(document: &T) -> String {
    serde_json::to_string(document).unwrap_or_default()
}

/// How far a document has come: a later epoch wins over any number of a former one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Stand {
    pub epoch: u64,
    pub seq: u64,
}

/// One service, of the whole fleet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceDocument {
    pub format: u32,
    pub epoch: u64,
    /// The transaction that wrote it.
    pub txn: String,
    pub state: ServiceState,
    /// The rollout whose tombstone it shows, so that what an operator does later is not undone by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undone: Option<String>,
    /// Where it was put back into a store that had lost it: what stood there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub put_back: Option<Stand>,
}

impl ServiceDocument {
    pub fn stand(&self) -> Stand {
        Stand { epoch: self.epoch, seq: self.state.seq }
    }

    /// Where its content was written: before it was put back, if that is all that has happened to it since.
    pub fn content(&self) -> Stand {
        self.put_back.filter(|_| self.is_untouched()).unwrap_or_else(|| self.stand())
    }

    /// Whether nothing has been written since it was put back.
    pub fn is_untouched(&self) -> bool {
        self.put_back.is_some_and(|stand| stand.seq == self.state.seq)
    }
}

/// What belongs to no one service: maintenance, as the controller stores it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SiteDocument {
    pub format: u32,
    pub epoch: u64,
    pub seq: u64,
    pub txn: String,
    pub state: serde_json::Value,
}

/// Which fleet it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetIdentity {
    pub format: u32,
    /// A digest of the shared secret.
    pub secret: String,
}

/// All members.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetRoster {
    pub format: u32,
    pub members: BTreeMap<String, RosterEntry>,
}

/// One member, until it leaves or is forgotten.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RosterEntry {
    /// Of its last process, with the name that this process drew.
    pub incarnation: Incarnation,
    pub process: String,
    /// When it joined first, RFC 3339.
    pub joined_at: String,
}

/// A member that is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AliveDocument {
    pub format: u32,
    pub incarnation: Incarnation,
    /// Drawn at its start: a copied disk has the same incarnation, and no other process this.
    pub process: String,
    /// Of the program, for people.
    pub version: String,
    /// The newest format that it knows.
    pub knows: u32,
    /// Digests of its configuration, as far as all must have the same, and of the shared secret.
    pub config: String,
    pub secret: String,
    /// By service: what its table shows.
    pub applied: BTreeMap<String, Stand>,
    pub is_ready: bool,
    /// The number of its connection, see [`RollCall`].
    pub connection: u64,
    /// The leader's roll call, once it has read the store since and the store lacks nothing that it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answers: Option<RollCall>,
}

/// Who leads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaderDocument {
    pub format: u32,
    pub member: String,
    pub process: String,
}

/// A rollout that somebody has aborted. Its format stays: a member that finds one aborts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tombstone {
    pub service: String,
    /// The member.
    pub by: String,
    pub why: String,
    /// RFC 3339.
    pub at: String,
}

/// The rollout that an idempotency key has started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdempotencyDocument {
    pub format: u32,
    pub rollout: String,
    /// A digest of what was asked for.
    pub asked: Option<String>,
}

/// The rows of history of one change. Their number is the revision that they were stored with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogDocument {
    pub format: u32,
    pub member: String,
    /// As the journal stores them.
    pub rows: Vec<serde_json::Value>,
}

/// The round that the leader asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookDocument {
    pub format: u32,
    pub round: u64,
}

/// What a member has counted and sees.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvidenceDocument {
    pub format: u32,
    pub incarnation: Incarnation,
    /// The number of the service's state with which the counted arms began.
    pub era: u64,
    pub stamp: PushStamp,
    pub counts: MemberCounts,
    pub past: MemberPast,
    pub report: MemberReport,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document() -> ServiceDocument {
        let state = ServiceState::new("blue", ["blue", "green"]);
        let (undone, put_back) = (None, Some(Stand { epoch: 2, seq: 1 }));
        ServiceDocument { format: FORMAT, epoch: 3, txn: "edge-1/1/7".into(), state, undone, put_back }
    }

    #[test]
    fn a_document_comes_back_as_it_was_stored() {
        let text = text(&document());
        assert_eq!(read::<ServiceDocument>("p/services/web", &text), Ok(document()));
        assert!(document().is_untouched());
        assert!(Stand { epoch: 3, seq: 1 } > Stand { epoch: 2, seq: 900 });
    }

    #[test]
    fn a_newer_format_is_said_before_anything_of_it_is_read() {
        let newer = r#"{"format": 2, "state": "in another shape"}"#;
        let fault = read::<ServiceDocument>("p/services/web", newer).expect_err("newer");
        assert_eq!(fault, DocumentFault::Newer { key: "p/services/web".into(), found: 2, known: 1 });
        let fault = read::<ServiceDocument>("p/services/web", "{}").expect_err("damaged");
        assert!(matches!(fault, DocumentFault::Damaged { .. }), "{fault}");
        let more = text(&document()).replacen('{', r#"{"unknown": 1, "#, 1);
        assert_eq!(read::<ServiceDocument>("k", &more), Ok(document()));
    }
}
