//! Finding a signal's value in an answer.
//!
//! A value must be a finite number: what else stands there is a reason, never a level. The text format is
//! read leniently, line by line, since one odd line of a long answer says nothing about the sample asked
//! for.

use super::Locator;
use serde_json::Value;
use std::fmt;

/// The most of a value that is quoted, in characters.
const QUOTED: usize = 40;

impl Locator {
    /// The value in an answer. Of JSON: a number, a text that is one, or true (1) and false (0). Of samples:
    /// the sum of all that match; they must have the labels given and may have others.
    ///
    /// # Errors
    /// A sentence on why there is none.
    pub fn find(&self, body: &str) -> Result<f64, String> {
        match self {
            Locator::Pointer(pointer) => in_json(pointer, body),
            Locator::Sample { name, labels } => self.in_samples(name, labels, body),
        }
    }

    fn in_samples(&self, name: &str, labels: &[(String, String)], body: &str) -> Result<f64, String> {
        let mut sum = None;
        for sample in body.lines().filter_map(|line| Sample::read(name, line)) {
            let has = |(label, value): &(String, String)| {
                sample.labels.iter().any(|(l, v)| l == label && v == value)
            };
            if labels.iter().all(has) {
                let value = finite(sample.value).ok_or_else(|| strange(self, sample.value))?;
                sum = Some(sum.unwrap_or(0.0) + value);
            }
        }
        let sum: f64 = sum.ok_or_else(|| format!("there is no sample {self}"))?;
        if sum.is_finite() { Ok(sum) } else { Err(format!("the samples {self} add up to no finite number")) }
    }
}

/// As in a configuration: `/database_connections`, `db_connections{state="open"}`.
impl fmt::Display for Locator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, labels) = match self {
            Locator::Pointer(pointer) => return f.write_str(pointer),
            Locator::Sample { name, labels } => (name, labels),
        };
        f.write_str(name)?;
        for (n, (label, value)) in labels.iter().enumerate() {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            write!(f, "{}{label}=\"{value}\"", if n == 0 { '{' } else { ',' })?;
        }
        if labels.is_empty() { Ok(()) } else { f.write_str("}") }
    }
}

fn in_json(pointer: &str, body: &str) -> Result<f64, String> {
    let json: Value =
        serde_json::from_str(body).map_err(|error| format!("the answer is no JSON: {error}"))?;
    let value = match json.pointer(pointer).ok_or_else(|| format!("there is nothing at {pointer:?}"))? {
        Value::Bool(yes) => return Ok(f64::from(u8::from(*yes))),
        Value::Number(number) => number.as_f64().filter(|value| value.is_finite()).ok_or(number.to_string()),
        Value::String(text) => finite(text.trim()).ok_or_else(|| format!("{text:?}")),
        Value::Null => Err("null".to_owned()),
        Value::Array(_) => Err("an array".to_owned()),
        Value::Object(_) => Err("an object".to_owned()),
    };
    value.map_err(|found| strange(pointer, &found))
}

fn strange(place: impl fmt::Display, found: &str) -> String {
    let quoted: String = found.chars().take(QUOTED).collect();
    let more = if quoted.len() < found.len() { "…" } else { "" };
    format!("the value of {place} is no finite number but {quoted}{more}")
}

fn finite(text: &str) -> Option<f64> {
    text.parse().ok().filter(|value: &f64| value.is_finite())
}

/// One line of the text format: `name{label="value",…} value [timestamp]`.
#[derive(Debug, PartialEq)]
struct Sample<'a> {
    labels: Vec<(&'a str, String)>,
    value: &'a str,
}

impl<'a> Sample<'a> {
    /// `None` where the line is a comment, another sample or not of the format.
    fn read(name: &str, line: &'a str) -> Option<Self> {
        let rest = line.trim().strip_prefix(name)?;
        let next = rest.chars().next()?;
        let (labels, rest) = match rest.trim_start().strip_prefix('{') {
            Some(rest) => labels(rest)?,
            None if next.is_whitespace() => (Vec::new(), rest),
            // The beginning of a longer name.
            None => return None,
        };
        // What follows, a timestamp or an exemplar, is not looked at.
        Some(Sample { labels, value: rest.split_whitespace().next()? })
    }
}

/// The labels up to the closing brace, and what follows it.
fn labels(mut rest: &str) -> Option<(Vec<(&str, String)>, &str)> {
    let mut labels = Vec::new();
    loop {
        rest = rest.trim_start_matches([',', ' ', '\t']);
        if let Some(after) = rest.strip_prefix('}') {
            return Some((labels, after));
        }
        let (label, after) = rest.split_once('=')?;
        let (value, after) = quoted(after.trim_start().strip_prefix('"')?)?;
        labels.push((label.trim_end(), value));
        rest = after;
    }
}

/// A label's value up to the closing quote, without its escapes, and what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.chars();
    loop {
        match chars.next()? {
            '"' => return Some((value, chars.as_str())),
            '\\' => match chars.next()? {
                'n' => value.push('\n'),
                escaped @ ('\\' | '"') => value.push(escaped),
                other => value.extend(['\\', other]),
            },
            plain => value.push(plain),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pointer(at: &str, body: &str) -> Result<f64, String> {
        Locator::Pointer(at.to_owned()).find(body)
    }

    fn sample(labels: &[(&str, &str)]) -> Locator {
        let labels = labels.iter().map(|(l, v)| ((*l).to_owned(), (*v).to_owned())).collect();
        Locator::Sample { name: "db".into(), labels }
    }

    #[test]
    fn a_pointer_finds_numbers() {
        let body = r#"{"a": 12, "b": [1.5, "-3e1 ", true, false], "c/d": {"~": 7}, "": 8, "big": 18446744073709551615}"#;
        for (at, value) in [
            ("/a", 12.0),
            ("/b/0", 1.5),
            ("/b/1", -30.0),
            ("/b/2", 1.0),
            ("/b/3", 0.0),
            ("/c~1d/~0", 7.0),
            ("/", 8.0),
            ("/big", 1.844_674_407_370_955_2e19),
        ] {
            assert_eq!(pointer(at, body), Ok(value), "{at}");
        }
        assert_eq!(pointer("", " 42\n"), Ok(42.0), "the whole answer");
    }

    #[test]
    fn a_pointer_says_why_it_finds_none() {
        let body = r#"{"text": "many", "nan": "NaN", "inf": "inf", "null": null, "list": [], "map": {}, "empty": ""}"#;
        for (at, why) in [
            ("/gone", "there is nothing at \"/gone\""),
            ("/list/0", "there is nothing at \"/list/0\""),
            ("text", "there is nothing at \"text\""),
            ("/text", "the value of /text is no finite number but \"many\""),
            ("/nan", "the value of /nan is no finite number but \"NaN\""),
            ("/inf", "the value of /inf is no finite number but \"inf\""),
            ("/empty", "the value of /empty is no finite number but \"\""),
            ("/null", "the value of /null is no finite number but null"),
            ("/list", "the value of /list is no finite number but an array"),
            ("/map", "the value of /map is no finite number but an object"),
        ] {
            assert_eq!(pointer(at, body), Err(why.to_owned()), "{at}");
        }
        for body in ["", "<html>", "{\"a\": 1", "{\"a\": 1e999}", &"[".repeat(100_000)] {
            let why = pointer("/a", body).expect_err("no JSON");
            assert!(why.starts_with("the answer is no JSON: "), "{why}");
        }
        let long = pointer("", &format!("{:?}", "ä".repeat(1000))).expect_err("no number");
        assert!(long.ends_with('…') && long.chars().count() < 100, "{long}");
    }

    #[test]
    fn samples_are_found_by_name_and_labels() {
        let body = "# HELP db Connections\n# TYPE db gauge\ndb 99 1700000000000\ndbs 1\ndb_max 2\n\
            db{state=\"open\",pool=\"a\"} 3\r\ndb{ pool = \"b\" , state=\"open\", } 4.5e0 123 # {trace=\"x\"} 1\n\
            db {state=\"idle\"} +1\n  db{state=\"odd\"}\n db{path=\"C:\\\\x\\\"}\\n\\y\"} 6\n";
        for (labels, value) in [
            (&[("state", "open")][..], 7.5),
            (&[("state", "open"), ("pool", "b")], 4.5),
            (&[("pool", "a")], 3.0),
            (&[("state", "idle")], 1.0),
            (&[("path", "C:\\x\"}\n\\y")], 6.0),
            (&[], 113.5),
        ] {
            assert_eq!(sample(labels).find(body), Ok(value), "{labels:?}");
        }
        let none = |labels| sample(labels).find(body).expect_err("no sample");
        assert_eq!(none(&[("state", "gone")]), "there is no sample db{state=\"gone\"}");
        assert_eq!(
            none(&[("state", "open"), ("pool", "a\"\\\n")]),
            "there is no sample db{state=\"open\",pool=\"a\\\"\\\\\\n\"}"
        );
        assert_eq!(sample(&[]).find("").expect_err("nothing"), "there is no sample db");
    }

    #[test]
    fn a_sample_that_is_no_number_is_a_reason() {
        for text in ["NaN", "+Inf", "-Inf", "nan", "infinity", "12x", "1e999"] {
            let body = format!("db{{a=\"1\"}} 5\ndb{{a=\"2\"}} {text}\n");
            let why = sample(&[]).find(&body).expect_err("no number");
            assert_eq!(why, format!("the value of db is no finite number but {text}"));
            assert_eq!(sample(&[("a", "1")]).find(&body), Ok(5.0), "only those that match count");
        }
        let sum = sample(&[]).find("db{a=\"1\"} 1.7e308\ndb{a=\"2\"} 1.7e308").expect_err("too much");
        assert_eq!(sum, "the samples db add up to no finite number");
    }

    proptest! {
        #[test]
        fn no_text_panics(at in ".{0,12}", body in "(?s).{0,200}") {
            let _ = pointer(&at, &body);
            let locator = Locator::Sample { name: at, labels: vec![("a".into(), "b".into())] };
            let _ = locator.find(&body);
        }

        #[test]
        fn no_odd_sample_panics(body in "(db|[{}=,\"\\\\\n 0-9abn#+-]){0,60}") {
            if let Ok(value) = sample(&[]).find(&body) {
                prop_assert!(value.is_finite());
            }
            let _ = sample(&[("a", "b")]).find(&body);
        }

        #[test]
        fn what_is_shown_is_found(label in "[a-z]{1,8}", text in "(?s).{0,20}", value in -1e9_f64..1e9) {
            prop_assume!(!text.contains('\r'));
            let locator = sample(&[(&label, &text)]);
            prop_assert_eq!(locator.find(&format!("db 1\n{locator} {value}\n")), Ok(value));
        }
    }
}
