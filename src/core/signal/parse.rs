//! Reading a [`Locator`] as people type it.

use super::Locator;

impl Locator {
    /// `/database_connections` is a JSON pointer (RFC 6901), `process_resident_memory_bytes` and
    /// `pg_connections{db="main"}` are samples of the Prometheus text format.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub fn parse(text: &str) -> Result<Locator, String> {
        if text.starts_with('/') {
            return pointer(text);
        }
        let (name, labels) = match text.split_once('{') {
            Some((name, rest)) => (name.trim_end(), labels(rest)?),
            None => (text, Vec::new()),
        };
        if !is_name(name, ":") {
            return Err(format!(
                "\"{text}\" is neither a JSON pointer (/database_connections) nor a Prometheus sample (pg_connections{{db=\"main\"}})"
            ));
        }
        Ok(Locator::Sample { name: name.to_owned(), labels })
    }
}

fn pointer(text: &str) -> Result<Locator, String> {
    let escapes = text.match_indices('~').map(|(at, _)| text.as_bytes().get(at + 1));
    if escapes.into_iter().any(|next| !matches!(next, Some(b'0' | b'1'))) {
        return Err("in a JSON pointer, ~ is written ~0 and / inside a name ~1".to_owned());
    }
    Ok(Locator::Pointer(text.to_owned()))
}

/// `db="main",role="writer"}`, in the order they are written.
fn labels(mut rest: &str) -> Result<Vec<(String, String)>, String> {
    let wrong = || "labels are written {name=\"value\",other=\"value\"}".to_owned();
    let mut labels: Vec<(String, String)> = Vec::new();
    loop {
        rest = rest.trim_start();
        if let Some(after) = rest.strip_prefix('}') {
            return if after.trim().is_empty() { Ok(labels) } else { Err(wrong()) };
        }
        let (name, after) = rest.split_once('=').ok_or_else(wrong)?;
        let (value, after) = quoted(after.trim_start()).ok_or_else(wrong)?;
        let name = name.trim();
        if !is_name(name, "") {
            return Err(format!("\"{name}\" is no label name"));
        }
        if labels.iter().any(|(known, _)| known == name) {
            return Err(format!("the label {name} stands twice"));
        }
        labels.push((name.to_owned(), value));
        rest = after.trim_start();
        match rest.strip_prefix(',') {
            Some(after) => rest = after,
            None if rest.starts_with('}') => {}
            None => return Err(wrong()),
        }
    }
}

/// A quoted value with its escapes (`\\`, `\"`, `\n`) resolved, and what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let inner = text.strip_prefix('"')?;
    let (mut value, mut escaped) = (String::new(), false);
    for (at, c) in inner.char_indices() {
        match (escaped, c) {
            (false, '"') => return Some((value, &inner[at + 1..])),
            (false, '\\') => {}
            (false, c) | (true, c @ ('\\' | '"')) => value.push(c),
            (true, 'n') => value.push('\n'),
            (true, _) => return None,
        }
        escaped = !escaped && c == '\\';
    }
    None
}

fn is_name(text: &str, also: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || also.contains(c);
    text.starts_with(|c: char| !c.is_ascii_digit()) && text.chars().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_type() {
        let sample = |name: &str, labels: &[(&str, &str)]| {
            let label = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
            Ok(Locator::Sample { name: name.into(), labels: labels.iter().map(label).collect() })
        };
        assert_eq!(Locator::parse("/a~1b/0"), Ok(Locator::Pointer("/a~1b/0".into())));
        assert_eq!(Locator::parse("up"), sample("up", &[]));
        assert_eq!(Locator::parse("node:cpu{}"), sample("node:cpu", &[]));
        assert_eq!(
            Locator::parse(r#"pg_connections { db = "ma\"in\\", role="a,}b", }"#),
            sample("pg_connections", &[("db", "ma\"in\\"), ("role", "a,}b")])
        );
        for wrong in
            ["", "9up", "up{", "up{a}", "up{a=b}", r#"up{a="b"} 5"#, r#"up{a="b" c="d"}"#, "/a~2", "/a~"]
        {
            assert!(Locator::parse(wrong).is_err(), "{wrong}");
        }
        assert!(Locator::parse(r#"up{a="1",a="2"}"#).is_err());
    }
}
