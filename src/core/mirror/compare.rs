//! Whether the candidate answers as stable does: status, chosen header fields and the body.
//!
//! A body counts only as far as it can be told: whole, within the limit, and in a coding that is known. One
//! that cannot be told is no difference, and an answer of which nothing can be told is not compared. Nor is a
//! 304 beside a 200: the client holds an answer of one version, and only that one can say that it is current.

use super::json::{Pointer, first_difference};
use http::HeaderName;
use serde_json::Value;

/// What of two answers is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compare {
    pub status: bool,
    /// Fields whose values must be the same.
    pub headers: Vec<HeaderName>,
    pub body: Body,
    /// Places in a JSON body that may differ.
    pub ignore: Vec<Pointer>,
    /// Largest body that is compared, in bytes, as it is sent and as it is meant.
    pub limit: usize,
}

/// How bodies are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    Off,
    /// Byte by byte.
    Bytes,
    /// As JSON where both are, so that spaces and the order of keys are no difference; else byte by byte.
    Json,
}

/// What is known of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComparedAnswer {
    pub status: u16,
    /// The values of [`Compare::headers`], in that order, those of one name joined.
    pub fields: Vec<Vec<u8>>,
    /// `None` where it cannot be told.
    pub body: Option<Vec<u8>>,
}

impl Compare {
    /// Where the candidate's answer differs, in a few words; `Some(None)` is nowhere, `None` that nothing
    /// could be compared.
    pub fn difference(&self, stable: &ComparedAnswer, candidate: &ComparedAnswer) -> Option<Option<String>> {
        if matches!((stable.status, candidate.status), (200, 304) | (304, 200)) {
            return None;
        }
        if self.status && stable.status != candidate.status {
            return Some(Some(format!("stable {}, candidate {}", stable.status, candidate.status)));
        }
        let mut fields = self.headers.iter().zip(stable.fields.iter().zip(&candidate.fields));
        if let Some((name, _)) = fields.find(|(_, (stable, candidate))| stable != candidate) {
            return Some(Some(format!("{name} differs")));
        }
        let bodies = stable.body.as_deref().zip(candidate.body.as_deref()).filter(|_| self.body != Body::Off);
        let told = self.status || !self.headers.is_empty() || bodies.is_some();
        let difference = bodies.and_then(|(stable, candidate)| self.of_bodies(stable, candidate));
        told.then_some(difference)
    }

    fn of_bodies(&self, stable: &[u8], candidate: &[u8]) -> Option<String> {
        if stable == candidate {
            return None;
        }
        if self.body == Body::Json {
            let parsed = |body: &[u8]| serde_json::from_slice::<Value>(body).ok();
            match (parsed(stable), parsed(candidate)) {
                (Some(stable), Some(candidate)) => {
                    let place = first_difference(&stable, &candidate, &self.ignore)?;
                    return Some(match place.is_empty() {
                        true => "the body differs".to_owned(),
                        false => format!("{place} differs"),
                    });
                }
                (Some(_), None) => return Some("the body of stable alone is JSON".to_owned()),
                (None, Some(_)) => return Some("the body of the candidate alone is JSON".to_owned()),
                (None, None) => {}
            }
        }
        Some("the body differs".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compare(body: Body) -> Compare {
        Compare {
            status: true,
            headers: vec![http::header::CONTENT_TYPE],
            body,
            ignore: vec!["/at".parse().expect("a pointer")],
            limit: 1000,
        }
    }

    fn answer(status: u16, kind: &str, body: &str) -> ComparedAnswer {
        ComparedAnswer { status, fields: vec![kind.into()], body: Some(body.into()) }
    }

    #[test]
    fn the_first_difference_is_named() {
        let json = compare(Body::Json);
        let stable = answer(200, "application/json", r#"{"a": 1, "at": 7, "b": [1, {"c": 2}]}"#);
        let same = answer(200, "application/json", r#"{"at":9,"b":[1,{"c":2}],"a":1}"#);
        let differs = |compare: &Compare, candidate: &ComparedAnswer| {
            compare.difference(&stable, candidate).expect("compared").unwrap_or_default()
        };
        assert_eq!(differs(&json, &same), "");
        assert_eq!(differs(&compare(Body::Bytes), &same), "the body differs");
        assert_eq!(differs(&compare(Body::Off), &answer(200, "application/json", "x")), "");
        assert_eq!(differs(&json, &answer(404, "text/html", "x")), "stable 200, candidate 404");
        assert_eq!(differs(&json, &answer(200, "text/html", "x")), "content-type differs");
        let other = answer(200, "application/json", r#"{"a": 1, "b": [1, {"c": 3}]}"#);
        assert_eq!(differs(&json, &other), "/b/1/c differs");
        let plain = answer(200, "application/json", "no json");
        assert_eq!(differs(&json, &plain), "the body of stable alone is JSON");
    }

    #[test]
    fn what_cannot_be_told_is_no_difference() {
        let only_body = Compare { status: false, headers: Vec::new(), ..compare(Body::Bytes) };
        let (known, unknown) = (answer(200, "", "a"), ComparedAnswer { body: None, ..answer(200, "", "") });
        assert_eq!(only_body.difference(&known, &unknown), None, "nothing is compared");
        assert_eq!(only_body.difference(&known, &known), Some(None));
        let with_status = Compare { status: true, ..only_body };
        assert_eq!(with_status.difference(&known, &unknown), Some(None));
        assert_eq!(with_status.difference(&known, &answer(304, "", "")), None);
        assert_eq!(with_status.difference(&answer(304, "", ""), &known), None);
    }
}
