//! Docker's stream of events: an object a line, about any container.

use serde::Deserialize;
use std::collections::BTreeMap;

/// What has happened to a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Event {
    pub id: String,
    pub news: News,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// It got a signal, as Docker writes it.
    Signal(String),
    /// It does not run any more.
    Ended,
    /// It does not exist any more.
    Removed,
    /// It runs, from its beginning.
    Started,
    /// Something else about it: a listing tells what.
    Changed,
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Line {
    #[serde(rename = "Type")]
    kind: String,
    #[serde(rename = "Action")]
    action: String,
    status: String,
    id: String,
    #[serde(rename = "Actor")]
    actor: Actor,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Actor {
    #[serde(rename = "ID")]
    id: String,
    attributes: BTreeMap<String, String>,
}

impl Event {
    /// `None` for what says nothing of where a container is reached.
    ///
    /// # Errors
    /// When it is no object.
    pub(super) fn read(line: &[u8]) -> Result<Option<Event>, String> {
        let line: Line =
            serde_json::from_slice(line).map_err(|error| format!("an event cannot be read: {error}"))?;
        if !matches!(line.kind.as_str(), "" | "container") {
            return Ok(None);
        }
        let action = if line.action.is_empty() { &line.status } else { &line.action };
        let news = match action.as_str() {
            "kill" => {
                let signal = line.actor.attributes.get("signal");
                News::Signal(signal.map_or("15", String::as_str).to_owned())
            }
            "die" => News::Ended,
            "destroy" => News::Removed,
            "start" => News::Started,
            "pause" | "unpause" | "rename" | "restart" | "update" | "create" => News::Changed,
            _ => return Ok(None),
        };
        let id = if line.actor.id.is_empty() { line.id } else { line.actor.id };
        Ok(Some(Event { id, news }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_as_docker_writes_them() {
        let of = |action: &str| {
            let line = format!(
                r#"{{"status":"{action}","id":"ab","Type":"container","Action":"{action}","Actor":{{"ID":"ab",
                "Attributes":{{"name":"web-1","signal":"3"}}}},"scope":"local","time":1,"timeNano":1}}"#
            );
            Event::read(line.as_bytes()).expect("an event").map(|event| event.news)
        };
        for (action, news) in [
            ("kill", Some(News::Signal("3".into()))),
            ("die", Some(News::Ended)),
            ("destroy", Some(News::Removed)),
            ("start", Some(News::Started)),
            ("rename", Some(News::Changed)),
            ("exec_start: sh", None),
            ("health_status: healthy", None),
        ] {
            assert_eq!(of(action), news, "{action}");
        }
        let old = Event::read(br#"{"status":"kill","id":"ab"}"#).expect("an event").expect("news");
        assert_eq!(old, Event { id: "ab".into(), news: News::Signal("15".into()) });
        assert_eq!(Event::read(br#"{"Type":"network","Action":"connect"}"#), Ok(None));
        assert!(Event::read(b"{").is_err());
    }
}
