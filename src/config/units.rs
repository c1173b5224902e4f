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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_type() {
        assert_eq!((size("512"), size("32k"), size("1G")), (Ok(512), Ok(32_768), Ok(1 << 30)));
        assert!(size("1T").is_err() && size("99999999999G").is_err());
        assert_eq!(share("0.5 %"), Ok(0.005));
        assert!(share("0.5").is_err());
        let env = |name: &str| (name == "A").then(|| "x".to_owned());
        assert_eq!(with_variables("${A}-$$-$5", &env), Ok("x-$-$5".to_owned()));
        assert!(with_variables("${B}", &env).is_err());
    }
}
