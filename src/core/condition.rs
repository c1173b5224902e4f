//! Conditions on requests: what a rule, or a route, asks of them.

use super::fields;
use super::pattern::Pattern;
use super::template::Template;
use super::variable::Facts;
use http::request::Parts;
use http::{HeaderName, Method};
use ipnet::IpNet;
use std::path::{Path, PathBuf};

/// All that is given must hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Condition {
    pub header: Option<Requirement<HeaderName>>,
    pub cookie: Option<Requirement<Box<str>>>,
    pub query: Option<Requirement<Box<str>>>,
    pub methods: Vec<Method>,
    pub networks: Vec<IpNet>,
    /// Of texts with variables.
    pub values: Vec<Requirement<Template>>,
    pub files: Vec<FileCondition>,
}

/// What is asked of something by its name.
#[derive(Clone, Debug, PartialEq)]
pub struct Requirement<N> {
    pub of: N,
    pub value: ValueTest,
    /// Whether the contrary is asked.
    pub is_not: bool,
}

/// What is asked of a value; where there are several, one is enough.
#[derive(Clone, Debug, PartialEq)]
pub enum ValueTest {
    /// That it is there; of a text, that it is neither empty nor `0`.
    Any,
    Equals(Box<[u8]>),
    Matches(Pattern),
}

/// Whether there is a file.
#[derive(Clone, Debug, PartialEq)]
pub struct FileCondition {
    pub path: PathBuf,
    pub is_not: bool,
}

/// What conditions are asked of.
pub trait Questioned {
    fn facts(&self) -> Facts<'_>;
    /// Whether there is a file of this name.
    fn is_file(&self, path: &Path) -> bool;
}

impl Condition {
    /// `head` and `client` are those of the request; what else it says is asked for where it is needed.
    pub fn holds(&self, head: &Parts, client: std::net::IpAddr, request: &dyn Questioned) -> bool {
        let method = || self.methods.is_empty() || self.methods.contains(&head.method);
        let network = || self.networks.is_empty() || self.networks.iter().any(|net| net.contains(&client));
        // The cheap ones first.
        method()
            && network()
            && self.header.as_ref().is_none_or(|header| {
                header.holds(head.headers.get_all(&header.of).iter().map(|found| found.as_bytes()))
            })
            && self
                .cookie
                .as_ref()
                .is_none_or(|cookie| cookie.holds(fields::cookies(&head.headers, &cookie.of)))
            && self.query.as_ref().is_none_or(|query| query.holds_of_parameter(head))
            && self.values_hold(request)
            && self.files.iter().all(|file| request.is_file(&file.path) != file.is_not)
    }

    fn values_hold(&self, request: &dyn Questioned) -> bool {
        if self.values.is_empty() {
            return true;
        }
        let facts = request.facts();
        let mut text = Vec::with_capacity(64);
        self.values.iter().all(|asked| {
            text.clear();
            asked.of.fill(&facts, &mut text);
            asked.holds_of_text(&text)
        })
    }
}

impl<N> Requirement<N> {
    fn holds<'a>(&self, mut found: impl Iterator<Item = &'a [u8]>) -> bool {
        found.any(|found| self.value.is(found)) != self.is_not
    }

    fn holds_of_text(&self, text: &[u8]) -> bool {
        let is = match &self.value {
            ValueTest::Any => !matches!(text, b"" | b"0"),
            value => value.is(text),
        };
        is != self.is_not
    }
}

impl Requirement<Box<str>> {
    fn holds_of_parameter(&self, head: &Parts) -> bool {
        let mut found = fields::parameters(head.uri.query().unwrap_or_default(), &self.of);
        found.any(|found| self.value.is(found.as_bytes())) != self.is_not
    }
}

impl ValueTest {
    fn is(&self, found: &[u8]) -> bool {
        match self {
            ValueTest::Any => true,
            ValueTest::Equals(value) => **value == *found,
            ValueTest::Matches(pattern) => pattern.is_match(found),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::template::Vocabulary;
    use super::*;

    struct Nothing;

    impl Questioned for Nothing {
        fn facts(&self) -> Facts<'_> {
            Facts { host: "a.example", ..Facts::NONE }
        }

        fn is_file(&self, path: &Path) -> bool {
            path.ends_with("there")
        }
    }

    fn equals(text: &str) -> ValueTest {
        ValueTest::Equals(text.as_bytes().into())
    }

    fn matches(pattern: &str) -> ValueTest {
        ValueTest::Matches(Pattern::new(pattern, false).expect("a pattern"))
    }

    fn asked<N>(of: N, value: ValueTest) -> Requirement<N> {
        Requirement { of, value, is_not: false }
    }

    fn holds(condition: &Condition) -> bool {
        let request = http::Request::post("/buy?beta=1&lang=de%2DCH&beta=2")
            .header("x-team", "red")
            .header("x-team", "Payments")
            .header("cookie", "plan=gold; session=1")
            .body(());
        let (parts, ()) = request.expect("a request").into_parts();
        condition.holds(&parts, [10, 1, 2, 3].into(), &Nothing)
    }

    #[test]
    fn each_condition_holds_or_does_not() {
        let header = |value| Condition {
            header: Some(asked(HeaderName::from_static("x-team"), value)),
            ..Condition::default()
        };
        assert!(
            holds(&header(equals("Payments")))
                && holds(&header(equals("red")))
                && holds(&header(ValueTest::Any))
        );
        assert!(!holds(&header(equals("payments"))) && !holds(&header(equals("Pay"))));
        assert!(holds(&header(matches("^(?i)payments$"))) && !holds(&header(matches("^ments"))));
        let cookie =
            |name: &str, value| Condition { cookie: Some(asked(name.into(), value)), ..Condition::default() };
        assert!(holds(&cookie("plan", equals("gold"))) && holds(&cookie("session", ValueTest::Any)));
        assert!(!holds(&cookie("plan", equals("silver"))) && !holds(&cookie("lan", ValueTest::Any)));
        let query =
            |name: &str, value| Condition { query: Some(asked(name.into(), value)), ..Condition::default() };
        assert!(holds(&query("lang", equals("de-CH"))) && holds(&query("beta", equals("2"))));
        assert!(!holds(&query("bet", ValueTest::Any)) && !holds(&query("beta", equals("3"))));
        let methods = |method| Condition { methods: vec![Method::PUT, method], ..Condition::default() };
        assert!(holds(&methods(Method::POST)) && !holds(&methods(Method::GET)));
        let networks =
            |net: &str| Condition { networks: vec![net.parse().expect("a network")], ..Condition::default() };
        assert!(holds(&networks("10.0.0.0/8")) && !holds(&networks("192.0.2.0/24")));
    }

    #[test]
    fn texts_and_files_are_asked_for_and_so_is_the_contrary() {
        let value = |text: &str, value, is_not| {
            let of = Template::parse(text, &Vocabulary::of_requests()).expect("accepted");
            holds(&Condition { values: vec![Requirement { of, value, is_not }], ..Condition::default() })
        };
        assert!(value("$host", equals("a.example"), false) && !value("$host", equals("a.example"), true));
        assert!(value("$host!", matches("^a.*!$"), false) && value("$host", matches("b"), true));
        assert!(value("$host", ValueTest::Any, false) && value("$args", ValueTest::Any, true));
        assert!(!value("0", ValueTest::Any, false), "as in nginx");
        let file = |path: &str, is_not| {
            holds(&Condition {
                files: vec![FileCondition { path: path.into(), is_not }],
                ..Condition::default()
            })
        };
        assert!(
            file("/there", false) && !file("/there", true) && file("/gone", true) && !file("/gone", false)
        );
        let absent = Requirement { of: "x".into(), value: ValueTest::Any, is_not: true };
        assert!(holds(&Condition {
            cookie: Some(absent.clone()),
            query: Some(absent),
            ..Condition::default()
        }));
    }

    #[test]
    fn all_that_is_given_must_hold() {
        let both = |beta: &str| Condition {
            query: Some(asked("beta".into(), equals(beta))),
            methods: vec![Method::POST],
            ..Condition::default()
        };
        assert!(holds(&both("1")) && !holds(&both("3")));
        assert!(!holds(&Condition { methods: vec![Method::GET], ..both("1") }));
    }
}
