//! Times, sizes, variables and names: as nginx writes them, and as Pointsman does.

use std::time::Duration;

/// `60`, `60s`, `1h30m`, `500ms`; a number alone is seconds.
pub(super) fn time(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, tail) = rest.split_at(digits);
        let letters = tail.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, tail) = tail.split_at(letters);
        let ms: u64 = match unit {
            "ms" => 1,
            "" | "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 7 * 86_400_000,
            "M" => 30 * 86_400_000,
            "y" => 365 * 86_400_000,
            _ => return None,
        };
        let number: u64 = number.parse().ok()?;
        total = total.checked_add(Duration::from_millis(number.checked_mul(ms)?))?;
        rest = tail.trim_start();
    }
    (!text.is_empty()).then_some(total)
}

/// The longest that Pointsman takes.
pub(super) const LONGEST: Duration = Duration::from_secs(86_400 * 30);

/// A time for a key that takes none of 0, and not more than [`LONGEST`].
pub(super) fn stretch(text: &str) -> Option<Duration> {
    time(text).filter(|time| !time.is_zero()).map(|time| time.min(LONGEST))
}

/// `512`, `32k`, `100M`, `1g` in bytes.
pub(super) fn size(text: &str) -> Option<u64> {
    let (number, shift) = match text.char_indices().last()? {
        (at, 'k' | 'K') => (&text[..at], 10),
        (at, 'm' | 'M') => (&text[..at], 20),
        (at, 'g' | 'G') => (&text[..at], 30),
        _ => (text, 0),
    };
    number.parse::<u64>().ok()?.checked_mul(1 << shift)
}

pub(super) fn show_size(bytes: u64) -> String {
    let units = [("G", 30), ("M", 20), ("k", 10)];
    match units.iter().find(|(_, shift)| bytes > 0 && bytes.is_multiple_of(1 << shift)) {
        Some((unit, shift)) => format!("{}{unit}", bytes >> shift),
        None => bytes.to_string(),
    }
}

/// A value with variables: `$name`, `${name}`, `$1`.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    Text(&'a str),
    Variable(&'a str),
}

pub(super) fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let after = &rest[at + 1..];
        let (name, tail) = match after.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            Some(braced) => braced,
            // A group of a regex has one digit.
            None if after.starts_with(|c: char| c.is_ascii_digit()) => after.split_at(1),
            None => {
                let legal = |c: &u8| c.is_ascii_alphanumeric() || *c == b'_';
                after.split_at(after.bytes().take_while(legal).count())
            }
        };
        if at > 0 {
            pieces.push(Piece::Text(&rest[..at]));
        }
        pieces.push(if name.is_empty() { Piece::Text("$") } else { Piece::Variable(name) });
        rest = tail;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest));
    }
    pieces
}

pub(super) fn has_variables(text: &str) -> bool {
    pieces(text).iter().any(|piece| matches!(piece, Piece::Variable(_)))
}

/// A name as Pointsman allows it, and none of `taken`.
pub(super) fn name<'a>(text: &str, taken: impl Iterator<Item = &'a str> + Clone) -> String {
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    let mapped =
        text.to_ascii_lowercase().chars().map(|c| if legal(c) { c } else { '-' }).collect::<String>();
    let base: String = mapped.trim_matches('-').chars().take(56).collect();
    let base = if base.is_empty() { "web".to_owned() } else { base };
    let is_free = |name: &String| taken.clone().all(|other| other != name);
    let numbered = (2..).map(|n| format!("{base}-{n}"));
    std::iter::once(base.clone()).chain(numbered).find(is_free).unwrap_or(base)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn times_and_sizes_of_nginx() {
        let ms = |text| time(text).map(|time| time.as_millis());
        assert_eq!(
            (ms("60"), ms("1h30m"), ms("7d"), ms("500ms")),
            (Some(60_000), Some(5_400_000), Some(604_800_000), Some(500))
        );
        assert_eq!((ms(""), ms("x"), ms("5x"), ms("99999999999999999999s")), (None, None, None, None));
        assert_eq!(
            (size("10m"), size("8k"), size("512"), size("m"), size("")),
            (Some(10 << 20), Some(8192), Some(512), None, None)
        );
        assert_eq!((show_size(10 << 20).as_str(), show_size(1000).as_str()), ("10M", "1000"));
    }

    #[test]
    fn texts_are_taken_apart() {
        assert_eq!(
            pieces("a${b}c$d"),
            [Piece::Text("a"), Piece::Variable("b"), Piece::Text("c"), Piece::Variable("d")]
        );
        assert_eq!(pieces("$1mp3$2"), [Piece::Variable("1"), Piece::Text("mp3"), Piece::Variable("2")]);
        assert!(has_variables("$x") && !has_variables("a$"));
    }

    #[test]
    fn names_are_legal_and_unique() {
        assert_eq!(name("My App.io", std::iter::empty()), "my-app-io");
        assert_eq!(name("web", ["web", "web-2"].into_iter()), "web-3");
        assert_eq!(name("§", std::iter::empty()), "web");
    }

    proptest! {
        #[test]
        fn nothing_panics(text in r"[0-9a-zA-Z$\{\}é]{0,20}") {
            let _ = (time(&text), size(&text), pieces(&text), name(&text, std::iter::empty()));
        }
    }
}
