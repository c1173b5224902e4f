//! Where two JSON documents differ, past the places that are ignored.

use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// A JSON pointer (RFC 6901) of which a part may be `*`: any key or index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pointer(Vec<String>);

impl FromStr for Pointer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some(parts) = text.strip_prefix('/') else {
            return Err(format!("\"{text}\" is no JSON pointer; write for example \"/items/*/id\""));
        };
        Ok(Pointer(parts.split('/').map(|part| part.replace("~1", "/").replace("~0", "~")).collect()))
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|part| write!(f, "/{}", part.replace('~', "~0").replace('/', "~1")))
    }
}

impl Pointer {
    fn covers(&self, place: &[String]) -> bool {
        self.0.len() == place.len() && self.0.iter().zip(place).all(|(part, at)| part == "*" || part == at)
    }
}

/// The pointer to the first place at which they differ, in the order of the keys.
pub(super) fn first_difference(one: &Value, other: &Value, ignore: &[Pointer]) -> Option<String> {
    let mut place = Vec::new();
    differ(Some(one), Some(other), ignore, &mut place).then(|| Pointer(place).to_string())
}

/// Whether the two differ; then `place` is where. No deeper than serde_json reads.
fn differ(one: Option<&Value>, other: Option<&Value>, ignore: &[Pointer], place: &mut Vec<String>) -> bool {
    if ignore.iter().any(|pointer| pointer.covers(place)) {
        return false;
    }
    let mut under = |key: String, one: Option<&Value>, other: Option<&Value>| {
        place.push(key);
        let found = differ(one, other, ignore, place);
        if !found {
            place.pop();
        }
        found
    };
    match (one, other) {
        (Some(Value::Object(one)), Some(Value::Object(other))) => {
            let keys: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
            keys.into_iter().any(|key| under(key.clone(), one.get(key), other.get(key)))
        }
        (Some(Value::Array(one)), Some(Value::Array(other))) => {
            let most = one.len().max(other.len());
            (0..most).any(|index| under(index.to_string(), one.get(index), other.get(index)))
        }
        (one, other) => one != other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn differ(one: Value, other: Value, ignore: &[&str]) -> Option<String> {
        let ignore: Vec<Pointer> = ignore.iter().map(|text| text.parse().expect("a pointer")).collect();
        first_difference(&one, &other, &ignore)
    }

    #[test]
    fn places_are_named_and_ignored() {
        let found = |place: &str| Some(place.to_owned());
        assert_eq!(differ(json!({"a": 1}), json!({"a": 1}), &[]), None);
        assert_eq!(differ(json!(1), json!(2), &[]), found(""));
        assert_eq!(differ(json!({"a": [1, 2]}), json!({"a": [1]}), &[]), found("/a/1"));
        assert_eq!(differ(json!({"a/b": 1}), json!({}), &[]), found("/a~1b"));
        assert_eq!(differ(json!({"a/b": 1, "c": 2}), json!({"c": 3}), &["/a~1b"]), found("/c"));
        let (one, other) = (json!({"items": [{"id": 1, "n": 1}]}), json!({"items": [{"id": 2, "n": 1}]}));
        assert_eq!(differ(one.clone(), other.clone(), &[]), found("/items/0/id"));
        assert_eq!(differ(one.clone(), other.clone(), &["/items/*/id"]), None);
        assert_eq!(differ(one, other, &["/items/*"]), None);
        assert!("items".parse::<Pointer>().is_err_and(|why| why.contains("no JSON pointer")));
    }
}
