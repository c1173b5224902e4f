//! Texts of others: bounded, and without characters that act on a terminal or turn a line around.

use std::borrow::Cow;

/// Characters of a name, a version or a reason.
pub const LONGEST: usize = 256;

/// What a text of others becomes before it is kept and shown: the characters that act are written out,
/// line breaks are blanks, and what is longer ends with an ellipsis.
pub fn plain(text: &str) -> Cow<'_, str> {
    if !text.chars().any(acts) && text.len() <= LONGEST {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len().min(LONGEST * 4));
    for (count, c) in text.chars().enumerate() {
        if count == LONGEST - 1 && text.chars().nth(LONGEST).is_some() {
            plain.push('…');
            break;
        }
        match c {
            '\n' | '\r' | '\t' => plain.push(' '),
            c => shown(c, &mut plain),
        }
    }
    Cow::Owned(plain)
}

/// The same for a terminal, of any length; line breaks stay.
pub fn on_terminal(text: &str) -> Cow<'_, str> {
    if !text.chars().any(|c| acts(c) && c != '\n') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    text.chars().for_each(|c| if c == '\n' { out.push(c) } else { shown(c, &mut out) });
    Cow::Owned(out)
}

/// JSON that says the same and can be shown on a terminal: such characters stand in its texts only.
pub fn json_on_terminal(json: &str) -> Cow<'_, str> {
    if !json.chars().any(|c| acts(c) && c >= '\u{7f}') {
        return Cow::Borrowed(json);
    }
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            c if acts(c) && c >= '\u{7f}' => {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// Why a text that somebody sends is not taken.
///
/// # Errors
/// A sentence.
pub fn check(text: &str) -> Result<(), String> {
    let length = text.chars().count();
    if length > LONGEST {
        return Err(format!("has {length} characters; at most {LONGEST} are kept"));
    }
    match text.chars().find(|c| acts(*c)) {
        Some(c) => Err(format!("holds the control character {}; take it out", c.escape_unicode())),
        None => Ok(()),
    }
}

/// The name that was most likely meant by another, if any is near.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let measured = known.into_iter().map(|name| (distance(name, word), name));
    measured.filter(|(far, name)| *far <= 2 + name.len() / 8).min().map(|(_, name)| name)
}

/// Levenshtein's: letters to put in, take out or exchange.
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.chars().count()).collect();
    for (above, a) in one.chars().enumerate() {
        let mut diagonal = above;
        let mut left = above + 1;
        for (cell, b) in row.iter_mut().skip(1).zip(other.chars()) {
            let changed = diagonal + usize::from(a != b);
            diagonal = *cell;
            left = changed.min(*cell + 1).min(left + 1);
            *cell = left;
        }
        row.first_mut().into_iter().for_each(|first| *first = above + 1);
    }
    row.last().copied().unwrap_or_default()
}

fn shown(c: char, out: &mut String) {
    if acts(c) { out.extend(c.escape_unicode()) } else { out.push(c) }
}

/// C0, DEL, C1, line and paragraph separators, and what turns the direction of writing or is invisible.
fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61C}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E007F}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found_if_it_is_near() {
        assert_eq!(
            [("to", "too"), ("", "ab"), ("kitten", "sitting")].map(|(a, b)| distance(a, b)),
            [1, 2, 3]
        );
        let near = |word| nearest(word, ["steps", "strategy", "to"]);
        assert_eq!(near("stepz"), Some("steps"));
        assert_eq!((near("strategie"), near("weights")), (Some("strategy"), None));
    }

    #[test]
    fn what_acts_is_written_out() {
        assert_eq!(plain("v1.2 – grün ✓"), "v1.2 – grün ✓");
        assert_eq!(plain("a\x1b[2Jb\u{9b}c\u{202e}d\ne"), "a\\u{1b}[2Jb\\u{9b}c\\u{202e}d e");
        assert_eq!(on_terminal("a\nb\x07"), "a\nb\\u{7}");
        assert_eq!(
            json_on_terminal("{\"a\": \"\u{9b}\u{202e}\u{E0041}\"}\n"),
            "{\"a\": \"\\u009b\\u202e\\udb40\\udc41\"}\n"
        );
        assert_eq!(
            serde_json::from_str::<String>(&json_on_terminal("\"\u{E0041}\"")).expect("JSON"),
            "\u{E0041}"
        );
    }

    #[test]
    fn texts_are_bounded_by_characters() {
        let long = "ä".repeat(LONGEST);
        assert_eq!(plain(&long), long);
        assert_eq!(check(&long), Ok(()));
        let longer = long.clone() + "ä";
        assert_eq!(plain(&longer).chars().count(), LONGEST);
        assert!(plain(&longer).ends_with('…'));
        assert!(check(&longer).expect_err("too long").contains("257"));
        assert!(check("a\u{202e}b").expect_err("turns").contains("202e"));
    }
}
