//! Durations, sizes, percentages and variables, as people type them.

use std::time::Duration;

/// `250ms`, `1.5s`, `5m`, `1h`, `7d`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("\"{text}\" is no duration; write 250ms, 10s, 5m, 1h or 7d");
    let split = text.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at(split);
    let milliseconds = match unit {
        "ms" => 1.0,
        "s" => 1000.0,
        "m" => 60_000.0,
        "h" => 3_600_000.0,
        "d" => 86_400_000.0,
        _ => return Err(wrong()),
    };
    let number: f64 = number.trim().parse().map_err(|_| wrong())?;
    let total = (number * milliseconds).round();
    if (0.0..=1e14).contains(&total) { Ok(Duration::from_millis(total as u64)) } else { Err(wrong()) }
}

/// As [`duration`] reads it, in the largest unit that divides it.
pub(crate) fn show_duration(duration: Duration) -> String {
    let ms = duration.as_millis();
    let units = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)];
    match units.iter().find(|(_, size)| ms > 0 && ms.is_multiple_of(*size)) {
        Some((unit, size)) => format!("{}{unit}", ms / size),
        None if ms == 0 => "0s".to_owned(),
        None => format!("{ms}ms"),
    }
}

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
    use proptest::prelude::*;

    #[test]
    fn what_people_type() {
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("7d"), Ok(Duration::from_secs(604_800)));
        assert!(duration("5").is_err() && duration("-1s").is_err() && duration("1y").is_err());
        assert_eq!((size("512"), size("32k"), size("1G")), (Ok(512), Ok(32_768), Ok(1 << 30)));
        assert!(size("1T").is_err() && size("99999999999G").is_err());
        assert_eq!(share("0.5 %"), Ok(0.005));
        assert!(share("0.5").is_err());
        let env = |name: &str| (name == "A").then(|| "x".to_owned());
        assert_eq!(with_variables("${A}-$$-$5", &env), Ok("x-$-$5".to_owned()));
        assert!(with_variables("${B}", &env).is_err());
    }

    proptest! {
        #[test]
        fn durations_read_as_they_are_shown(ms in 0u64..10_000_000_000) {
            let value = Duration::from_millis(ms);
            prop_assert_eq!(duration(&show_duration(value)), Ok(value));
        }
    }
}
