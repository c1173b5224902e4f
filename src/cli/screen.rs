//! How a text fits a terminal: the terminal itself would break a line in the middle of a word.

use rustix::termios::tcgetwinsize;
use std::borrow::Cow;

/// Columns and lines of the terminal on standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Screen {
    columns: usize,
    lines: usize,
}

/// Narrower ones are not folded for: there would be a word a line.
const NARROWEST: usize = 20;
/// What the rest of a folded line is indented by, beyond its beginning.
const HANGING: usize = 4;

impl Screen {
    /// As it is now; `None` where it does not say.
    pub fn now() -> Option<Self> {
        let size = tcgetwinsize(std::io::stdout()).ok()?;
        let (columns, lines) = (usize::from(size.ws_col), usize::from(size.ws_row));
        (columns >= NARROWEST && lines > 1).then_some(Screen { columns, lines })
    }

    /// One line that is drawn over by the next: what does not fit is left out.
    pub fn cut(self, line: &str) -> Cow<'_, str> {
        // The last column stays free, since some terminals go to the next line once it is written.
        let room = self.columns - 1;
        match line.char_indices().nth(room) {
            None => Cow::Borrowed(line),
            Some(_) => {
                let kept: String = line.chars().take(room - 1).collect();
                Cow::Owned(format!("{kept}…"))
            }
        }
    }

    /// Lines that stay: what does not fit goes on below, indented, from word to word.
    pub fn folded(self, text: &str) -> String {
        let lines: Vec<String> = text.split('\n').map(|line| self.fold(line)).collect();
        lines.join("\n")
    }

    fn fold(self, line: &str) -> String {
        if line.chars().count() < self.columns {
            return line.to_owned();
        }
        let lead = line.chars().take_while(|c| *c == ' ').count();
        let indent = " ".repeat((lead + HANGING).min(self.columns / 2));
        let (mut folded, mut width) = (String::new(), 0);
        for word in line.split_inclusive(' ') {
            let length = word.trim_end().chars().count();
            if width + length >= self.columns && width > indent.len() {
                folded.truncate(folded.trim_end().len());
                folded.push('\n');
                folded.push_str(&indent);
                width = indent.len();
            }
            folded.push_str(word);
            width += word.chars().count();
        }
        folded
    }

    /// A whole screen: lines and columns that do not fit are left out, and the last line says how many.
    pub(super) fn page(self, text: &str) -> String {
        let lines: Vec<&str> = text.trim_end_matches('\n').split('\n').collect();
        let room = self.lines - 1;
        let shown = if lines.len() > room { room - 1 } else { lines.len() };
        let mut page: Vec<Cow<'_, str>> = lines.iter().take(shown).map(|line| self.cut(line)).collect();
        if lines.len() > shown {
            page.push(format!("… {} more lines", lines.len() - shown).into());
        }
        page.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NARROW: Screen = Screen { columns: 20, lines: 4 };

    #[test]
    fn a_line_in_place_is_cut_and_leaves_the_last_column_free() {
        assert_eq!(NARROW.cut("1234567890123456789"), "1234567890123456789");
        assert_eq!(NARROW.cut("12345678901234567890"), "123456789012345678…");
        assert_eq!(NARROW.cut("ääääääääääääääääääää").chars().count(), 19);
    }

    #[test]
    fn a_line_that_stays_is_folded_between_words() {
        let text = "short\n  one two three four five six\n1234567890123456789012345 6";
        let folded = "short\n  one two three\n      four five six\n1234567890123456789012345\n    6";
        assert_eq!(NARROW.folded(text), folded);
        assert!(NARROW.folded(text).lines().filter(|line| line.len() > 19).all(|line| !line.contains(' ')));
    }

    #[test]
    fn a_page_fits_and_says_what_it_leaves_out() {
        assert_eq!(NARROW.page("a\nb\nc\n"), "a\nb\nc");
        assert_eq!(NARROW.page("a\nb\nc\nd\n"), "a\nb\n… 2 more lines");
    }
}
