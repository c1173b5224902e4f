//! Durations, as people type and read them.

use std::time::Duration;

/// `250ms`, `1.5s`, `5m`, `1h`, `7d`.
///
/// # Errors
/// A sentence that says how to write it.
pub fn parse(text: &str) -> Result<Duration, String> {
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

/// As [`parse`] reads it, in the largest unit that divides it.
pub fn show(duration: Duration) -> String {
    let ms = duration.as_millis();
    let units = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)];
    match units.iter().find(|(_, size)| ms > 0 && ms.is_multiple_of(*size)) {
        Some((unit, size)) => format!("{}{unit}", ms / size),
        None if ms == 0 => "0s".to_owned(),
        None => format!("{ms}ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_people_type() {
        assert_eq!(parse("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(parse("7d"), Ok(Duration::from_secs(604_800)));
        assert!(parse("5").is_err() && parse("-1s").is_err() && parse("1y").is_err());
    }

    proptest! {
        #[test]
        fn durations_read_as_they_are_shown(ms in 0u64..10_000_000_000) {
            let value = Duration::from_millis(ms);
            prop_assert_eq!(parse(&show(value)), Ok(value));
        }
    }
}
