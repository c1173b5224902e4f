//! Sizes, percentages and variables, as people type them.

/// Bytes: `512`, `32k`, `100M`, `1G` (powers of 1024).
pub(super) fn size(text: &str) -> Result<u64, String> {
    let wrong = || format!("\"{text}\" is no size; write 512, 32k, 100M or 1G");
    let (number, shift) = match text.strip_suffix(['k', 'K', 'm', 'M', 'g', 'G']) {
        Some(number) if text.ends_with(['k', 'K']) => (number, 10),
        Some(number) if text.ends_with(['m', 'M']) => (number, 20),
        Some(number) => (number, 30),
        None => (text, 0),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(1 << shift).ok_or_else(wrong)
}

/// `1%` or `0.5 %` as a share.
pub(super) fn share(text: &str) -> Result<f64, String> {
    let wrong = || format!("\"{text}\" is no percentage; write \"1%\"");
    let number = text.trim().strip_suffix('%').ok_or_else(wrong)?;
    let percent: f64 = number.trim().parse().map_err(|_| wrong())?;
    Ok(percent / 100.0)
}

/// Fills in `${NAME}`; `$$` is a dollar sign.
pub(super) fn with_variables(text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some((name, after)) = rest.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            let value = env(name).ok_or_else(|| format!("the environment has no variable {name}"))?;
            out.push_str(&value);
            rest = after;
        } else {
            out.push('$');
        }
    }
    out.push_str(rest);
    Ok(out)
}

/// Fills in `${NAME}` in capitals; a dollar sign in a value stays one. All else is left as it is.
pub(super) fn with_environment(text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    let is_of_environment = |name: &str| {
        let legal = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        name.starts_with(|c: char| c.is_ascii_uppercase()) && name.chars().all(legal)
    };
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let braced = after.strip_prefix('{').and_then(|inner| inner.split_once('}'));
        rest = match braced.filter(|(name, _)| is_of_environment(name)) {
            Some((name, tail)) => {
                let value = env(name).ok_or_else(|| format!("the environment has no variable {name}"))?;
                out.push_str(&value.replace('$', "$$"));
                tail
            }
            None => {
                out.push('$');
                // Two are one that means itself.
                let is_double = after.starts_with('$');
                out.push_str(if is_double { "$" } else { "" });
                if is_double { after.get(1..).unwrap_or_default() } else { after }
            }
        };
    }
    out.push_str(rest);
    Ok(out)
}

/// The names of the `${VARIABLES}` in a text.
pub(super) fn variables(text: &str) -> impl Iterator<Item = &str> {
    let pieces = text.split("${").skip(1);
    pieces.filter_map(|piece| Some(piece.split_once('}')?.0))
}

/// A message with the names of variables in place of their values. One that shows a value in another form
/// (in other letters, cut, escaped) says nothing but that it is not right.
pub(super) fn without_values<'v>(
    message: &str,
    values: impl Iterator<Item = (&'v String, &'v String)>,
) -> String {
    let mut out = message.to_owned();
    for (name, value) in values.filter(|(_, value)| !value.is_empty()) {
        out = out.replace(value.as_str(), &format!("${{{name}}}"));
        let (shown, sought) = (out.to_lowercase(), value.to_lowercase());
        let pieces: Vec<char> = sought.chars().collect();
        let is_told = pieces
            .windows(PIECE.min(pieces.len()))
            .any(|piece| pieces.len() >= PIECE && shown.contains(&piece.iter().collect::<String>()));
        if is_told {
            return format!("is not right with what ${{{name}}} stands for");
        }
    }
    out
}

/// Characters of a value that tell something of it.
const PIECE: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_variables_stand_in_no_message() {
        let values =
            [("TOKEN".to_owned(), "Abc\"dEf-123456".to_owned()), ("PORT".to_owned(), "3000".to_owned())];
        let hidden = |message: &str| without_values(message, values.iter().map(|(n, v)| (n, v)));
        assert_eq!(hidden("\"https://Abc\"dEf-123456/\" is no URL"), "\"https://${TOKEN}/\" is no URL");
        assert_eq!(hidden("\"app:3000\" is no address"), "\"app:${PORT}\" is no address");
        for told in ["abc\"def-123456 is lower", "Abc\\\"dEf-123456", "the end is f-123456"] {
            assert_eq!(hidden(told), "is not right with what ${TOKEN} stands for");
        }
        assert_eq!(variables("a${ONE}b${TWO}$$c").collect::<Vec<_>>(), ["ONE", "TWO"]);
    }

    #[test]
    fn what_people_type() {
        assert_eq!((size("512"), size("32k"), size("1G")), (Ok(512), Ok(32_768), Ok(1 << 30)));
        assert!(size("1T").is_err() && size("99999999999G").is_err());
        assert_eq!(share("0.5 %"), Ok(0.005));
        assert!(share("0.5").is_err());
        let env = |name: &str| (name == "A").then(|| "x".to_owned());
        assert_eq!(with_variables("${A}-$$-$5", &env), Ok("x-$-$5".to_owned()));
        assert!(with_variables("${B}", &env).is_err());
        let env = |name: &str| (name == "A").then(|| "x$y".to_owned());
        assert_eq!(
            with_environment("${A}$host${host}$$${A}$$$5$", &env),
            Ok("x$$y$host${host}$$x$$y$$$5$".to_owned())
        );
        assert!(with_environment("${B}", &env).is_err() && with_environment("$${B}", &env).is_ok());
    }
}
