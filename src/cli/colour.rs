//! Colours of a terminal: of marks, and of what has ended well or badly. A text says the same without them.

use std::borrow::Cow;

const GREEN: &str = "\x1b[32m";
const YELLOW: &str = "\x1b[33m";
const RED: &str = "\x1b[31m";
const PLAIN: &str = "\x1b[0m";

/// Words that begin a line, or follow the time on it.
const WORDS: [(&str, &str); 11] = [
    ("✓", GREEN),
    ("✗", RED),
    ("promoted", GREEN),
    ("held", YELLOW),
    ("approval", YELLOW),
    ("aborted", RED),
    ("taken-back", RED),
    ("degraded", RED),
    ("failed", RED),
    ("error:", RED),
    ("warning:", YELLOW),
];

/// Whether colours are wanted at all: `NO_COLOR` (any text in it) and a terminal that is called `dumb` mean none.
pub(super) fn is_wanted() -> bool {
    let is_off = std::env::var_os("NO_COLOR").is_some_and(|set| !set.is_empty());
    !is_off && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// A text with its colours, line by line.
pub(super) fn painted(text: &str) -> Cow<'_, str> {
    if !text.lines().any(|line| word_of(line).is_some()) {
        return Cow::Borrowed(text);
    }
    let paint = |line| match word_of(line) {
        Some((at, word, colour)) => {
            let (before, rest) = (&line[..at], &line[at + word.len()..]);
            Cow::Owned(format!("{before}{colour}{word}{PLAIN}{rest}"))
        }
        None => Cow::Borrowed(line),
    };
    text.split('\n').map(paint).collect::<Vec<_>>().join("\n").into()
}

/// The word of a line that has a colour, and where it begins.
fn word_of(line: &str) -> Option<(usize, &'static str, &'static str)> {
    let begin = line.len() - line.trim_start().len();
    let first = line[begin..].split(' ').next()?;
    let is_time = first.ends_with('Z') && first.starts_with(|c: char| c.is_ascii_digit());
    let after = &line[begin + first.len()..];
    let (at, word) = match is_time {
        true => (line.len() - after.trim_start().len(), after.trim_start().split(' ').next()?),
        false => (begin, first),
    };
    WORDS.iter().find(|(known, _)| *known == word).map(|(known, colour)| (at, *known, *colour))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_and_what_ended_have_colours_and_nothing_else() {
        assert_eq!(painted("  ✗ checks   held\n  ok"), "  \x1b[31m✗\x1b[0m checks   held\n  ok");
        assert_eq!(painted("09:00:00Z  aborted   bad"), "09:00:00Z  \x1b[31maborted\x1b[0m   bad");
        for plain in ["web  promoted", "", "  ", "12Z", "promotedly"] {
            assert_eq!(painted(plain), plain);
        }
    }
}
