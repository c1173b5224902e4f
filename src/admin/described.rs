//! What is sent, held against its description: the schema of the type that it is to become, the very one that stands in
//! `openapi.json`. All faults come at once, in the words of the API, each with the path of its field.
//!
//! What no schema says (weights that do not sum to 100, a pool that does not exist) is for those who carry it out.

use crate::control::command::Fault;
use crate::core::{duration, text};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// Formats of ours, by which a schema says how a text is read.
const DURATION: &str = "pointsman-duration";
const NAME: &str = "pointsman-name";
/// Where the schemas of a document stand, as they refer to each other.
pub(super) const SCHEMAS: &str = "#/components/schemas/";

/// The value as a `T`, or all that is wrong with it.
pub(super) fn read<T: DeserializeOwned + ToSchema>(sent: Value) -> Result<T, Vec<Fault>> {
    let faults = faults::<T>(&sent);
    if !faults.is_empty() {
        return Err(faults);
    }
    // What the description lets through can be read.
    let strange = |_| vec![Fault { path: String::new(), detail: "cannot be read".to_owned() }];
    serde_json::from_value(sent).map_err(strange)
}

/// What is wrong with a value that is to become a `T`, as far as its description says.
fn faults<T: ToSchema>(sent: &Value) -> Vec<Fault> {
    let mut nested = Vec::new();
    T::schemas(&mut nested);
    let plain = |schema| serde_json::to_value(schema).unwrap_or_default();
    let description =
        Description { named: nested.into_iter().map(|(name, schema)| (name, plain(schema))).collect() };
    let mut faults = Vec::new();
    description.check(&plain(T::schema()), sent, "", &mut faults);
    faults
}

/// The schemas that others refer to by name.
struct Description {
    named: BTreeMap<String, Value>,
}

impl Description {
    fn check(&self, schema: &Value, sent: &Value, path: &str, faults: &mut Vec<Fault>) {
        let schema = self.resolved(schema);
        let mut fault = |detail: String| faults.push(Fault { path: path.to_owned(), detail });
        let choices: Vec<&Value> = list(schema, "oneOf").iter().map(|choice| self.resolved(choice)).collect();
        if !choices.is_empty() {
            return match choices.iter().find(|choice| is_of(choice, sent)) {
                Some(choice) => self.check(choice, sent, path, faults),
                None => fault(is_not(sent, &choices)),
            };
        }
        for part in list(schema, "allOf") {
            self.check(part, sent, path, faults);
        }
        if !is_of(schema, sent) {
            return faults.push(Fault { path: path.to_owned(), detail: is_not(sent, &[schema]) });
        }
        match sent {
            Value::Object(fields) => self.fields(schema, fields, path, faults),
            Value::Array(items) => {
                let Some(each) = schema.get("items") else { return };
                for (index, item) in items.iter().enumerate() {
                    self.check(each, item, &format!("{path}[{index}]"), faults);
                }
            }
            Value::String(text) => {
                faults.extend(text_fault(schema, text).map(|detail| Fault { path: path.to_owned(), detail }));
            }
            Value::Number(number) => {
                let detail = number.as_f64().and_then(|number| range_fault(schema, number));
                faults.extend(detail.map(|detail| Fault { path: path.to_owned(), detail }));
            }
            Value::Null | Value::Bool(_) => (),
        }
    }

    fn fields(&self, schema: &Value, sent: &Map<String, Value>, path: &str, faults: &mut Vec<Fault>) {
        let within = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        let nothing = Map::new();
        let known = schema.get("properties").and_then(Value::as_object).unwrap_or(&nothing);
        let others = schema.get("additionalProperties");
        for (name, value) in sent {
            match (known.get(name), others) {
                (Some(field), _) => self.check(field, value, &within(name), faults),
                (None, Some(Value::Bool(false))) => {
                    let detail = unknown(name, known.keys().map(String::as_str));
                    faults.push(Fault { path: within(name), detail });
                }
                (None, Some(field)) => self.check(field, value, &within(name), faults),
                (None, None) => (),
            }
        }
        let needed = list(schema, "required").iter().filter_map(Value::as_str);
        let missing = needed.filter(|name| !sent.contains_key(*name));
        faults.extend(missing.map(|name| Fault { path: within(name), detail: "is missing".to_owned() }));
    }

    /// The schema itself, or the one that it refers to.
    fn resolved<'a>(&'a self, schema: &'a Value) -> &'a Value {
        let name = schema.get("$ref").and_then(Value::as_str).and_then(|path| path.strip_prefix(SCHEMAS));
        name.and_then(|name| self.named.get(name)).unwrap_or(schema)
    }
}

fn list<'a>(schema: &'a Value, key: &str) -> &'a [Value] {
    schema.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The types that a schema allows; none where it allows all.
fn types(schema: &Value) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(name)) => vec![name],
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn is_of(schema: &Value, sent: &Value) -> bool {
    let types = types(schema);
    let is = |name: &str| match (name, sent) {
        ("integer", Value::Number(number)) => number.is_u64() || number.is_i64(),
        ("number", Value::Number(_))
        | ("string", Value::String(_))
        | ("boolean", Value::Bool(_))
        | ("object", Value::Object(_))
        | ("array", Value::Array(_))
        | ("null", Value::Null) => true,
        _ => false,
    };
    types.is_empty() || types.into_iter().any(is)
}

/// That something else was sent than what one of the schemas allows.
fn is_not(sent: &Value, schemas: &[&Value]) -> String {
    let is = match sent {
        Value::Null => "null",
        Value::Bool(true) => "true",
        Value::Bool(false) => "false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    let wanted = schemas.iter().flat_map(|schema| types(schema)).filter(|name| *name != "null");
    let wanted: Vec<&str> = wanted.map(named).collect();
    format!("is {is} where {} is expected", wanted.join(" or "))
}

fn named(kind: &str) -> &str {
    match kind {
        "integer" => "a whole number",
        "number" => "a number",
        "string" => "a text",
        "boolean" => "true or false",
        "array" => "a list",
        _ => "an object, a map of names to values,",
    }
}

/// Why a name is refused, with the one that was meant, or all that there are.
fn unknown<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.collect();
    match text::nearest(name, known.iter().copied()) {
        Some(near) => format!("is not known; did you mean {near}?"),
        None if known.is_empty() => "is not known; nothing may stand here".to_owned(),
        None => format!("is not known; there are: {}", known.join(", ")),
    }
}

fn text_fault(schema: &Value, sent: &str) -> Option<String> {
    let choices: Vec<&str> = list(schema, "enum").iter().filter_map(Value::as_str).collect();
    if !choices.is_empty() && !choices.contains(&sent) {
        return Some(format!("{sent:?} {}", unknown(sent, choices.into_iter())));
    }
    if sent.is_empty() && schema.get("minLength").is_some() {
        return Some("is empty".to_owned());
    }
    match schema.get("format").and_then(Value::as_str) {
        Some(DURATION) => duration::parse(sent).err(),
        Some(NAME) => text::check(sent).err(),
        _ => None,
    }
}

fn range_fault(schema: &Value, sent: f64) -> Option<String> {
    let bound = |key| schema.get(key).and_then(Value::as_f64);
    let (least, most) = (bound("minimum"), bound("maximum"));
    if least.is_none_or(|least| sent >= least) && most.is_none_or(|most| sent <= most) {
        return None;
    }
    Some(match (least, most) {
        (Some(least), Some(most)) => format!("{sent} is not from {least} to {most}"),
        (Some(least), None) => format!("{sent} is less than {least}"),
        (_, most) => format!("{sent} is more than {}", most.unwrap_or_default()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::shapes::{StartBody, UpstreamsBody, WeightsBody};
    use serde_json::json;

    fn told<T: ToSchema>(sent: &Value) -> Vec<String> {
        faults::<T>(sent).into_iter().map(|fault| format!("{}: {}", fault.path, fault.detail)).collect()
    }

    #[test]
    fn all_faults_of_a_body_come_at_once_in_words_of_the_api() {
        let sent = json!({
            "strategie": "canary",
            "strategy": "canari",
            "version": "a\u{1b}b",
            "steps": [{ "weight": "5" }, { "weight": 200 }, { "hold": "soon", "gate": 1 }, 7],
        });
        let all = told::<StartBody>(&sent);
        for says in [
            "strategie: is not known; did you mean strategy?",
            "strategy: \"canari\" is not known; did you mean canary?",
            "steps[0].weight: is a text where a number is expected",
            "steps[1].weight: 200 is not from 0 to 100",
            "steps[2].hold: \"soon\" is no duration; write 250ms, 10s, 5m, 1h or 7d",
            "steps[2].gate: is a number where true or false is expected",
            "to: is missing",
        ] {
            assert!(all.iter().any(|fault| fault == says), "{says}: {all:#?}");
        }
        assert!(all.iter().any(|fault| fault.starts_with("version: holds the control character")), "{all:?}");
        assert!(
            all.iter().any(|fault| fault.starts_with("steps[3]: is a number where an object")),
            "{all:?}"
        );
        assert_eq!(all.len(), 9, "{all:#?}");
        assert_eq!(told::<StartBody>(&json!({ "to": "green", "version": null })), [""; 0]);
    }

    #[test]
    fn maps_and_choices_are_looked_into() {
        assert_eq!(told::<WeightsBody>(&json!({ "blue": 95, "green": 5.5, "force": true })), [""; 0]);
        let all = told::<WeightsBody>(&json!({ "blue": true, "green": "5", "force": 1 }));
        assert_eq!(all.len(), 3, "{all:?}");
        let both = json!({ "upstreams": ["10.0.0.1:80", { "address": "app:80", "weight": 2 }] });
        assert_eq!(told::<UpstreamsBody>(&both), [""; 0]);
        let wrong = json!({ "upstreams": [5, { "adress": "app:80", "weight": -2 }] });
        let all = told::<UpstreamsBody>(&wrong);
        assert_eq!(all.len(), 4, "{all:?}");
        assert_eq!(
            all[0],
            "upstreams[0]: is a number where a text or an object, a map of names to values, is expected"
        );
    }
}
