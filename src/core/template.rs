//! A text with variables of the request, as nginx has them: `https://$host$request_uri`.
//!
//! It is taken apart once, when the configuration is read; filling it in is copying bytes. Which
//! variables a text may use is up to the key it stands under.

use std::io::Write;
use std::net::IpAddr;

/// What a text may refer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variable {
    /// The host the request names, in lower case and without its port.
    Host,
    RemoteAddr,
    /// `http` or `https`: how the request came in.
    Scheme,
    /// Path and query as the client sent them.
    RequestUri,
    Path,
    /// The query, with its question mark's place left to the text.
    Args,
    /// A question mark where there is a query, else nothing.
    IsArgs,
    RequestId,
    /// The pool that the request was given to; nothing where it goes to none.
    Pool,
}

impl Variable {
    pub const ALL: [(&str, Variable); 9] = [
        ("host", Variable::Host),
        ("remote_addr", Variable::RemoteAddr),
        ("scheme", Variable::Scheme),
        ("request_uri", Variable::RequestUri),
        ("path", Variable::Path),
        ("args", Variable::Args),
        ("is_args", Variable::IsArgs),
        ("request_id", Variable::RequestId),
        ("pool", Variable::Pool),
    ];

    /// The variable of a name.
    ///
    /// # Errors
    /// A sentence that says that it is unknown, or not `allowed` here.
    pub fn named(name: &str, allowed: &[Variable]) -> Result<Variable, String> {
        let known = Variable::ALL.iter().find(|(known, _)| *known == name).map(|(_, variable)| *variable);
        known.filter(|variable| allowed.contains(variable)).ok_or_else(|| unknown(name, allowed))
    }

    /// Appends its value for a request.
    pub fn fill(self, facts: &Facts<'_>, out: &mut Vec<u8>) {
        match self {
            Variable::Host => out.extend(facts.host.bytes().map(|byte| byte.to_ascii_lowercase())),
            // Writing to a Vec cannot fail.
            Variable::RemoteAddr => drop(write!(out, "{}", facts.client)),
            Variable::Scheme => out.extend_from_slice(facts.scheme.as_bytes()),
            Variable::RequestUri => out.extend_from_slice(facts.uri),
            Variable::Path => out.extend_from_slice(facts.path.as_bytes()),
            Variable::Args => out.extend_from_slice(facts.args.as_bytes()),
            Variable::IsArgs => out.extend((!facts.args.is_empty()).then_some(b'?')),
            Variable::RequestId => out.extend_from_slice(facts.request_id),
            Variable::Pool => out.extend_from_slice(facts.pool.as_bytes()),
        }
    }
}

/// The values of the variables for one request.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    pub host: &'a str,
    pub client: IpAddr,
    pub scheme: &'static str,
    pub uri: &'a [u8],
    pub path: &'a str,
    pub args: &'a str,
    pub request_id: &'a [u8],
    pub pool: &'a str,
}

/// A text, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    parts: Box<[Part]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(Box<str>),
    Variable(Variable),
}

impl Template {
    /// `$$` is a dollar sign, and so is one that no letter follows.
    ///
    /// # Errors
    /// A sentence that names a variable which is unknown, or not `allowed` here.
    pub fn parse(text: &str, allowed: &[Variable]) -> Result<Template, String> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            plain.push_str(before);
            let letters = after.bytes().take_while(|byte| byte.is_ascii_lowercase() || *byte == b'_').count();
            let (name, tail) = after.split_at(letters);
            rest = tail;
            if name.is_empty() {
                plain.push('$');
                rest = tail.strip_prefix('$').unwrap_or(tail);
                continue;
            }
            let variable = Variable::named(name, allowed)?;
            if !plain.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut plain).into()));
            }
            parts.push(Part::Variable(variable));
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(Part::Text(plain.into()));
        }
        Ok(Template { parts: parts.into() })
    }

    /// The whole text, where it has no variables.
    pub fn fixed(&self) -> Option<&str> {
        match &*self.parts {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    pub fn uses(&self, variable: Variable) -> bool {
        self.parts.contains(&Part::Variable(variable))
    }

    /// Appends the text with the values of a request.
    pub fn fill(&self, facts: &Facts<'_>, out: &mut Vec<u8>) {
        for part in &self.parts {
            match part {
                Part::Text(text) => out.extend_from_slice(text.as_bytes()),
                Part::Variable(variable) => variable.fill(facts, out),
            }
        }
    }
}

fn unknown(name: &str, allowed: &[Variable]) -> String {
    let names = Variable::ALL.iter().filter(|(_, variable)| allowed.contains(variable));
    let names: Vec<_> = names.map(|(name, _)| format!("${name}")).collect();
    format!("${name} is none of {}; write $$ for a dollar sign", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: [Variable; 8] = [
        Variable::Host,
        Variable::RemoteAddr,
        Variable::Scheme,
        Variable::RequestUri,
        Variable::Path,
        Variable::Args,
        Variable::IsArgs,
        Variable::RequestId,
    ];

    const FACTS: Facts<'static> = Facts {
        host: "Shop.Example",
        client: IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)),
        scheme: "http",
        uri: b"/a%20b?c=d",
        path: "/a%20b",
        args: "c=d",
        request_id: b"1f",
        pool: "",
    };

    fn filled(text: &str) -> String {
        let mut out = Vec::new();
        Template::parse(text, &EVERY).expect("accepted").fill(&FACTS, &mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn variables_are_filled_in() {
        for (text, expected) in [
            ("", ""),
            ("plain", "plain"),
            ("https://$host$request_uri", "https://shop.example/a%20b?c=d"),
            ("$scheme://$host:8443$path?$args#", "http://shop.example:8443/a%20b?c=d#"),
            ("/x$is_args$args", "/x?c=d"),
            ("$remote_addr/$request_id", "192.0.2.1/1f"),
            ("5 $ or $$host, $$", "5 $ or $host, $"),
        ] {
            assert_eq!(filled(text), expected, "{text}");
        }
    }

    #[test]
    fn unknown_and_unfit_variables_are_told() {
        let error = Template::parse("$hots", &[Variable::Host]).expect_err("refused");
        assert_eq!(error, "$hots is none of $host; write $$ for a dollar sign");
        assert!(Template::parse("$request_id", &[Variable::Host]).is_err());
    }

    #[test]
    fn a_text_without_variables_is_known_as_such() {
        assert_eq!(Template::parse("a$$b", &EVERY).expect("accepted").fixed(), Some("a$b"));
        assert_eq!(Template::parse("a$host", &EVERY).expect("accepted").fixed(), None);
    }
}
