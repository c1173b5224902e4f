//! Rows of history as the members of a fleet hand them to each other.

use super::HistoryRow;
use crate::core::event::Event;
use crate::observe::clock::wall;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A row as JSON. A notice stays with the member that wrote the row.
#[derive(Serialize, Deserialize)]
struct SharedRow {
    #[serde(default)]
    at: String,
    #[serde(alias = "by")]
    actor: String,
    event: String,
    text: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    #[serde(default)]
    figures: Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rollout: Option<String>,
}

impl HistoryRow {
    /// The row for other members.
    pub fn shared(&self) -> Value {
        let row = SharedRow {
            at: format!("{:.3}", self.at),
            actor: self.actor.clone(),
            event: self.event.label().to_owned(),
            text: self.text.clone(),
            address: self.address.clone(),
            figures: self.figures.clone(),
            rollout: self.rollout.clone(),
        };
        // Texts and numbers: there is nothing JSON cannot hold.
        serde_json::to_value(row).unwrap_or_default()
    }

    /// A row of another member; `None` of one that this version does not know.
    pub fn of_shared(value: &Value) -> Option<Self> {
        let row = SharedRow::deserialize(value).ok()?;
        let event = Event::ALL.into_iter().find(|event| event.label() == row.event)?;
        Some(HistoryRow {
            at: row.at.parse().unwrap_or_else(|_| wall()),
            actor: row.actor,
            event,
            text: row.text,
            address: row.address,
            figures: row.figures,
            rollout: row.rollout,
            notice: None,
        })
    }
}
