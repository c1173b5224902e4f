//! What two servers answer to one request, and how that differs.
//!
//! What says nothing about the site is left out: how a body is framed, who the server is, the validators of files, the
//! built-in pages of errors. What nginx answers otherwise when it is asked twice cannot be compared.

use reqwest::Url;
use std::collections::BTreeMap;

/// Of each server its own.
const OWN: [&str; 14] = [
    "accept-ranges",
    "age",
    "allow",
    "connection",
    "content-length",
    "date",
    "etag",
    "expires",
    "keep-alive",
    "last-modified",
    "retry-after",
    "server",
    "transfer-encoding",
    "x-request-id",
];

/// An answer, as far as it is compared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    pub status: u16,
    pub fields: BTreeMap<String, Vec<String>>,
    pub body: Vec<u8>,
}

impl Answer {
    /// `host`: what a relative place is resolved by.
    pub(super) fn add(&mut self, name: &str, value: &str, host: &str) {
        if OWN.contains(&name) {
            return;
        }
        let value = match name {
            "location" => resolved(value, host),
            "content-type" => value.trim_end_matches("; charset=utf-8").to_owned(),
            _ => value.to_owned(),
        };
        let values = self.fields.entry(name.to_owned()).or_default();
        values.push(value);
        values.sort();
    }

    /// Whether something is given here that the other refuses.
    pub(super) fn is_given_against(&self, other: &Answer) -> bool {
        (200..300).contains(&self.status) && other.status >= 400
    }

    fn is_own_page(&self) -> bool {
        self.status >= 300
    }
}

/// As the client resolves it, without ports: those of the two servers differ.
fn resolved(place: &str, host: &str) -> String {
    let base = Url::parse(&format!("http://{host}/")).and_then(|base| base.join(place));
    let Ok(mut url) = base else { return place.to_owned() };
    let _ = url.set_port(None);
    url.to_string()
}

/// How the second differs from the first, which was asked twice; none where they are alike.
pub(super) fn differences(first: &Answer, again: &Answer, second: &Answer) -> Vec<String> {
    let mut found = Vec::new();
    if first.status != second.status {
        if first.status == again.status {
            found.push(format!("status: nginx {}, pointsman {}", first.status, second.status));
        }
        return found;
    }
    let none = Vec::new();
    let names = first.fields.keys().chain(second.fields.keys());
    let mut names: Vec<&String> = names.collect();
    names.sort();
    names.dedup();
    for name in names {
        let value = |answer: &Answer| answer.fields.get(name).unwrap_or(&none).join(" | ");
        let of_page =
            first.is_own_page() && matches!(name.as_str(), "content-type" | "cache-control" | "vary");
        if !of_page && value(first) == value(again) && value(first) != value(second) {
            found.push(format!("{name}: nginx {:?}, pointsman {:?}", value(first), value(second)));
        }
    }
    if !first.is_own_page() && first.body == again.body && first.body != second.body {
        found.push(format!("body: nginx {} bytes, pointsman {} bytes", first.body.len(), second.body.len()));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, fields: &[(&str, &str)], body: &str) -> Answer {
        let mut answer = Answer { status, body: body.into(), ..Answer::default() };
        fields.iter().for_each(|(name, value)| answer.add(name, value, "a.example"));
        answer
    }

    #[test]
    fn what_says_nothing_about_the_site_is_left_out() {
        let nginx = answer(200, &[("date", "x"), ("x-a", "1"), ("content-type", "text/html")], "b");
        let ours =
            answer(200, &[("server", "y"), ("x-a", "1"), ("content-type", "text/html; charset=utf-8")], "b");
        assert!(differences(&nginx, &nginx, &ours).is_empty());
        let moved = |place: &str| answer(301, &[("location", place)], place);
        assert!(
            differences(&moved("http://a.example:81/x"), &moved("http://a.example:81/x"), &moved("/x"))
                .is_empty()
        );
        assert_eq!(differences(&moved("/x"), &moved("/x"), &moved("/y")).len(), 1);
        let page = |status: u16| answer(status, &[("content-type", "text/html")], "page");
        assert!(differences(&page(404), &page(404), &answer(404, &[], "other")).is_empty());
        assert_eq!(differences(&page(404), &page(404), &page(200)), ["status: nginx 404, pointsman 200"]);
        assert!(page(200).is_given_against(&page(404)) && !page(403).is_given_against(&page(404)));
    }

    #[test]
    fn what_changes_by_itself_is_not_compared() {
        let with = |id: &str| answer(200, &[("set-cookie", id), ("x-b", "1")], id);
        assert!(differences(&with("1"), &with("2"), &with("3")).is_empty());
        assert_eq!(differences(&with("1"), &with("1"), &with("3")).len(), 2);
        assert!(differences(&answer(200, &[], ""), &answer(503, &[], ""), &answer(503, &[], "")).is_empty());
    }
}
