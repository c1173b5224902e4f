//! Conditions on requests: what a rule, or a route, asks of them.

use super::fields;
use http::request::Parts;
use http::{HeaderName, Method};
use ipnet::IpNet;
use regex::bytes::Regex;
use std::net::IpAddr;

/// All that is given must hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Condition {
    pub header: Option<(HeaderName, Value)>,
    pub cookie: Option<(Box<str>, Value)>,
    pub query: Option<(Box<str>, Value)>,
    pub methods: Vec<Method>,
    pub networks: Vec<IpNet>,
}

/// What is asked of a value; where there are several, one is enough.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// That it is there.
    Any,
    Equals(Box<[u8]>),
    Matches(Pattern),
}

/// A regular expression, compiled when the configuration was read.
#[derive(Clone, Debug)]
pub struct Pattern(pub Regex);

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Condition {
    pub fn holds(&self, request: &Parts, client: IpAddr) -> bool {
        let header = self.header.as_ref().is_none_or(|(name, value)| {
            request.headers.get_all(name).iter().any(|found| value.is(found.as_bytes()))
        });
        let cookie = || {
            let mut named = self.cookie.iter().flat_map(|(name, value)| {
                fields::cookies(&request.headers, name).map(move |found| value.is(found))
            });
            self.cookie.is_none() || named.any(|is| is)
        };
        let query = || {
            let query = request.uri.query().unwrap_or_default();
            let mut named = self.query.iter().flat_map(|(name, value)| {
                fields::parameters(query, name).map(move |found| value.is(found.as_bytes()))
            });
            self.query.is_none() || named.any(|is| is)
        };
        let method = || self.methods.is_empty() || self.methods.contains(&request.method);
        let network = || self.networks.is_empty() || self.networks.iter().any(|net| net.contains(&client));
        // The cheap ones first.
        method() && network() && header && cookie() && query()
    }
}

impl Value {
    fn is(&self, found: &[u8]) -> bool {
        match self {
            Value::Any => true,
            Value::Equals(value) => **value == *found,
            Value::Matches(pattern) => pattern.0.is_match(found),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Condition =
        Condition { header: None, cookie: None, query: None, methods: Vec::new(), networks: Vec::new() };

    fn equals(text: &str) -> Value {
        Value::Equals(text.as_bytes().into())
    }

    fn matches(pattern: &str) -> Value {
        Value::Matches(Pattern(Regex::new(pattern).expect("a pattern")))
    }

    fn holds(condition: &Condition) -> bool {
        let request = http::Request::post("/buy?beta=1&lang=de%2DCH&beta=2")
            .header("x-team", "red")
            .header("x-team", "Payments")
            .header("cookie", "plan=gold; session=1")
            .body(());
        let (parts, ()) = request.expect("a request").into_parts();
        condition.holds(&parts, [10, 1, 2, 3].into())
    }

    #[test]
    fn each_condition_holds_or_does_not() {
        let header = |value| Condition { header: Some((HeaderName::from_static("x-team"), value)), ..NONE };
        assert!(
            holds(&header(equals("Payments"))) && holds(&header(equals("red"))) && holds(&header(Value::Any))
        );
        assert!(!holds(&header(equals("payments"))) && !holds(&header(equals("Pay"))));
        assert!(holds(&header(matches("^(?i)payments$"))) && !holds(&header(matches("^ments"))));
        let cookie = |name: &str, value| Condition { cookie: Some((name.into(), value)), ..NONE };
        assert!(holds(&cookie("plan", equals("gold"))) && holds(&cookie("session", Value::Any)));
        assert!(!holds(&cookie("plan", equals("silver"))) && !holds(&cookie("lan", Value::Any)));
        let query = |name: &str, value| Condition { query: Some((name.into(), value)), ..NONE };
        assert!(holds(&query("lang", equals("de-CH"))) && holds(&query("beta", equals("2"))));
        assert!(!holds(&query("bet", Value::Any)) && !holds(&query("beta", equals("3"))));
        let methods = |method| Condition { methods: vec![Method::PUT, method], ..NONE };
        assert!(holds(&methods(Method::POST)) && !holds(&methods(Method::GET)));
        let networks = |net: &str| Condition { networks: vec![net.parse().expect("a network")], ..NONE };
        assert!(holds(&networks("10.0.0.0/8")) && !holds(&networks("192.0.2.0/24")));
    }

    #[test]
    fn all_that_is_given_must_hold() {
        let both = |beta: &str| Condition {
            query: Some(("beta".into(), equals(beta))),
            methods: vec![Method::POST],
            ..NONE
        };
        assert!(holds(&both("1")) && !holds(&both("3")));
        assert!(!holds(&Condition { methods: vec![Method::GET], ..both("1") }));
    }
}
