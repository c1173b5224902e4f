//! A text with variables of the request, as nginx has them: `https://$host$request_uri`.
//!
//! It is taken apart once, when the configuration is read; filling it in is copying bytes. `$name` and `${name}` are
//! the same, and the second one ends where it says.

use super::pattern::Pattern;
use super::variable::{Facts, PatternGroup, Variable};
use std::collections::BTreeMap;

/// What a text may refer to where it stands.
#[derive(Clone, Copy, Debug)]
pub struct Vocabulary<'a> {
    /// The values and look-ups of the configuration.
    pub names: Option<&'a BTreeMap<String, Variable>>,
    /// Whether there is an answer.
    pub has_answer: bool,
    /// The pattern whose groups it may use.
    pub pattern: Option<&'a Pattern>,
}

impl Vocabulary<'_> {
    /// What a request says, and no names.
    pub fn of_requests() -> Vocabulary<'static> {
        Vocabulary { names: None, has_answer: false, pattern: None }
    }

    /// The variable of a name.
    ///
    /// # Errors
    /// A sentence that says that it is unknown, or not known here.
    pub fn variable(&self, name: &str) -> Result<Variable, String> {
        if let Some(group) = self.group(name)? {
            return Ok(Variable::Group(group));
        }
        let named = self.names.and_then(|names| names.get(name)).cloned();
        let variable = named.or_else(|| Variable::built_in(name)).ok_or_else(|| self.unknown(name))?;
        if !self.has_answer && variable.is_made_of(&Variable::is_of_answer) {
            return Err(format!("${name} is known with an answer; here there is none yet"));
        }
        Ok(variable)
    }

    fn group(&self, name: &str) -> Result<Option<PatternGroup>, String> {
        let Ok(number) = name.parse::<usize>() else {
            let has = self.pattern.is_some_and(|pattern| pattern.has_group(name));
            return Ok(has.then(|| PatternGroup::Name(name.into())));
        };
        match self.pattern {
            Some(pattern) if (1..=pattern.groups()).contains(&number) => {
                Ok(Some(PatternGroup::Number(number)))
            }
            Some(pattern) => Err(format!(
                "${number} is a group that the pattern does not have: it has {}",
                pattern.groups()
            )),
            None => {
                Err(format!("${number} is a group, and there is no pattern here; write $$ for a dollar sign"))
            }
        }
    }

    fn unknown(&self, name: &str) -> String {
        let built_in = Variable::SIMPLE.iter();
        let built_in = built_in.filter(|(_, variable)| self.has_answer || !variable.is_of_answer());
        let mut names: Vec<String> = built_in.map(|(name, _)| format!("${name}")).collect();
        names.extend(["$http_NAME", "$cookie_NAME", "$arg_NAME"].map(str::to_owned));
        names.extend(self.has_answer.then(|| "$sent_http_NAME".to_owned()));
        names.extend(self.names.iter().flat_map(|names| names.keys()).map(|name| format!("${name}")));
        format!("${name} is none of {}; write $$ for a dollar sign", names.join(", "))
    }
}

/// A text, taken apart.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    parts: Box<[TemplatePart]>,
}

/// A piece of a text.
#[derive(Clone, Debug, PartialEq)]
pub enum TemplatePart {
    Text(Box<str>),
    Variable(Variable),
}

impl Template {
    /// `$$` is a dollar sign, and so is one that no name follows.
    ///
    /// # Errors
    /// A sentence that names a variable which is unknown, or not known here.
    pub fn parse(text: &str, vocabulary: &Vocabulary<'_>) -> Result<Template, String> {
        parts(text, vocabulary).map(|parts| Template { parts: parts.into() })
    }

    pub fn empty() -> Template {
        Template { parts: Box::default() }
    }

    /// The whole text, where it has no variables.
    pub fn fixed(&self) -> Option<&str> {
        match &*self.parts {
            [] => Some(""),
            [TemplatePart::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// The variable, where it is nothing else.
    pub fn alone(&self) -> Option<&Variable> {
        match &*self.parts {
            [TemplatePart::Variable(variable)] => Some(variable),
            _ => None,
        }
    }

    /// Whether a value or a look-up of the configuration follows the first so many bytes of plain text.
    pub fn is_named_from(&self, bytes: usize) -> bool {
        match (&*self.parts, bytes) {
            ([TemplatePart::Variable(Variable::Named(_)), ..], 0) => true,
            ([TemplatePart::Text(text), TemplatePart::Variable(Variable::Named(_)), ..], bytes) => {
                text.len() == bytes
            }
            (
                [
                    TemplatePart::Variable(Variable::Scheme),
                    TemplatePart::Text(text),
                    TemplatePart::Variable(Variable::Named(_)),
                    ..,
                ],
                _,
            ) => &**text == "://",
            _ => false,
        }
    }

    pub fn uses(&self, variable: &Variable) -> bool {
        self.is_made_of(&|other| other == variable)
    }

    /// Whether one of the variables it is made of is like this.
    pub fn is_made_of(&self, is: &dyn Fn(&Variable) -> bool) -> bool {
        self.parts
            .iter()
            .any(|part| matches!(part, TemplatePart::Variable(variable) if variable.is_made_of(is)))
    }

    /// The variables that it is made of in the end, which are added to those that are known.
    pub fn add_variables(&self, known: &mut Vec<Variable>) {
        let mut add = |variable: &Variable| {
            if !known.contains(variable) {
                known.push(variable.clone());
            }
        };
        for part in &self.parts {
            match part {
                TemplatePart::Variable(Variable::Named(named)) => named.variables().iter().for_each(&mut add),
                TemplatePart::Variable(variable) => add(variable),
                TemplatePart::Text(_) => {}
            }
        }
    }

    /// How many pieces the text is put together of at most, those of values and look-ups included.
    pub fn pieces(&self) -> usize {
        let pieces = |part: &TemplatePart| match part {
            TemplatePart::Variable(Variable::Named(named)) => named.pieces(),
            _ => 1,
        };
        self.parts.iter().map(pieces).fold(0, usize::saturating_add)
    }

    /// Appends the text with the values of a request, as `put` writes them.
    pub fn fill_by(&self, facts: &Facts<'_>, put: &dyn Fn(&[u8], &mut Vec<u8>), out: &mut Vec<u8>) {
        let mut value = Vec::with_capacity(64);
        for part in &self.parts {
            match part {
                TemplatePart::Text(text) => out.extend_from_slice(text.as_bytes()),
                TemplatePart::Variable(variable) => {
                    value.clear();
                    variable.fill(facts, &mut value);
                    put(&value, out);
                }
            }
        }
    }

    /// Appends the text with the values of a request.
    pub fn fill(&self, facts: &Facts<'_>, out: &mut Vec<u8>) {
        for part in &self.parts {
            match part {
                TemplatePart::Text(text) => out.extend_from_slice(text.as_bytes()),
                TemplatePart::Variable(variable) => variable.fill(facts, out),
            }
        }
    }
}

/// The pieces of a text.
///
/// # Errors
/// As [`Template::parse`].
pub fn parts(text: &str, vocabulary: &Vocabulary<'_>) -> Result<Vec<TemplatePart>, String> {
    let mut parts = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        plain.push_str(before);
        let (name, tail) = name(after)?;
        if name.is_empty() {
            plain.push('$');
            rest = after.strip_prefix('$').unwrap_or(after);
            continue;
        }
        rest = tail;
        if !plain.is_empty() {
            parts.push(TemplatePart::Text(std::mem::take(&mut plain).into()));
        }
        parts.push(TemplatePart::Variable(vocabulary.variable(name)?));
    }
    plain.push_str(rest);
    if !plain.is_empty() {
        parts.push(TemplatePart::Text(plain.into()));
    }
    Ok(parts)
}

/// The names that a text may refer to, whether they are known or not.
pub fn mentions(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once('$') {
        let Ok((name, tail)) = name(after) else { break };
        let is_dollar = name.is_empty();
        rest = if is_dollar { after.strip_prefix('$').unwrap_or(after) } else { tail };
        names.extend((!is_dollar).then(|| name.to_owned()));
    }
    names
}

/// The name behind a dollar sign, and what follows it. A group's number has one digit, as in nginx.
fn name(after: &str) -> Result<(&str, &str), String> {
    if let Some(inner) = after.strip_prefix('{') {
        return inner.split_once('}').ok_or_else(|| "has a `${` without its `}`".to_owned());
    }
    if after.starts_with(|c: char| c.is_ascii_digit()) {
        return Ok(after.split_at(1));
    }
    let begins = after.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
    let legal = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'_';
    let length = if begins { after.bytes().take_while(legal).count() } else { 0 };
    Ok(after.split_at(length))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    const FACTS: Facts<'static> = Facts {
        host: "Shop.Example",
        client: IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)),
        port: 8080,
        uri: b"/a%20b?c=d&E=f%20",
        path: "/a%20b",
        args: "c=d&E=f%20",
        request_id: b"1f",
        ..Facts::NONE
    };

    fn filled(text: &str) -> String {
        let request = http::Request::put("/")
            .header("user-agent", "curl/8")
            .header("cookie", "plan=gold; a=b")
            .header("authorization", "Basic dXNlcjpwYXNz")
            .body(());
        let (head, ()) = request.expect("a request").into_parts();
        let mut out = Vec::new();
        let template = Template::parse(text, &Vocabulary::of_requests()).expect("accepted");
        template.fill(&Facts { head: Some(&head), ..FACTS }, &mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn variables_are_filled_in() {
        for (text, expected) in [
            ("", ""),
            ("plain", "plain"),
            ("https://$host$request_uri", "https://shop.example/a%20b?c=d&E=f%20"),
            ("$scheme://$host:8443$path?$args#", "http://shop.example:8443/a%20b?c=d&E=f%20#"),
            ("/x$is_args$args", "/x?c=d&E=f%20"),
            ("$remote_addr/$request_id", "192.0.2.1/1f"),
            ("5 $ or $$host, $$, $5$ $", "5 $ or $host, $, "),
            ("${host}name ${server_port}0", "shop.examplename 80800"),
            ("$http_user_agent|$http_x_none|$cookie_plan|$cookie_b|", "curl/8||gold||"),
            ("$arg_c|$arg_e|$arg_none", "d|f%20|"),
            ("$request_method $server_protocol $remote_user $https.", "PUT HTTP/1.1 user ."),
        ] {
            if text.contains("$5") {
                assert!(Template::parse(text, &Vocabulary::of_requests()).is_err());
                continue;
            }
            assert_eq!(filled(text), expected, "{text}");
        }
    }

    #[test]
    fn unknown_and_unfit_variables_are_told() {
        let error = |text| Template::parse(text, &Vocabulary::of_requests()).expect_err("refused");
        assert!(error("$hots").starts_with("$hots is none of $host, $remote_addr, "), "{}", error("$hots"));
        assert!(error("$hots").ends_with("; write $$ for a dollar sign"));
        assert_eq!(error("$upstream_addr"), "$upstream_addr is known with an answer; here there is none yet");
        assert_eq!(error("a $1"), "$1 is a group, and there is no pattern here; write $$ for a dollar sign");
        assert_eq!(error("${host"), "has a `${` without its `}`");
        assert!(error("$http_").starts_with("$http_ is none of"));
        let pattern = Pattern::new("^(a)(?<b>b)", false).expect("a pattern");
        let of = Vocabulary { pattern: Some(&pattern), ..Vocabulary::of_requests() };
        assert!(Template::parse("$1 $2 $b", &of).is_ok());
        assert_eq!(
            Template::parse("$3", &of).expect_err("refused"),
            "$3 is a group that the pattern does not have: it has 2"
        );
    }

    #[test]
    fn a_text_without_variables_is_known_as_such() {
        let parsed = |text| Template::parse(text, &Vocabulary::of_requests()).expect("accepted");
        assert_eq!(parsed("a$$b").fixed(), Some("a$b"));
        assert_eq!(parsed("a$host").fixed(), None);
        assert!(parsed("$host").alone().is_some() && parsed("$host$path").alone().is_none());
        assert!(parsed("a$host").uses(&Variable::Host) && !parsed("a$host").uses(&Variable::Path));
    }
}
