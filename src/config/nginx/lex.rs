//! Words, semicolons and braces, cut as nginx cuts them (`ngx_conf_read_token`).
//!
//! A word ends at white space, `;` or `{`; the brace of `${name}` belongs to its word. Quotes count only
//! at the beginning of a word, and after the closing one a space, `;`, `{` or `)` must follow. A
//! backslash keeps the next character from ending anything; it disappears before a quote or another
//! backslash, and makes the control characters `\t`, `\r` and `\n`.

use super::SyntaxError;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Word(String),
    End,
    Open,
    Close,
}

/// The text of one file, read from the front.
pub(super) struct Lexer<'a> {
    chars: std::iter::Peekable<std::str::Chars<'a>>,
    file: &'a str,
    pub line: usize,
    pub column: usize,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str, file: &'a str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        Lexer { chars: text.chars().peekable(), file, line: 1, column: 1 }
    }

    pub(super) fn error(&self, detail: &str) -> SyntaxError {
        let (line, column) = (self.line, self.column);
        SyntaxError { file: self.file.to_owned(), line, column, detail: detail.to_owned() }
    }

    fn bump(&mut self) -> Option<char> {
        let next = self.chars.next()?;
        if next == '\n' {
            self.line += 1;
            self.column = 1;
        } else {
            self.column += 1;
        }
        Some(next)
    }

    /// Skips white space and comments, so that `line` and `column` are those of the next token.
    pub(super) fn skip_space(&mut self) {
        while let Some(next) = self.chars.peek() {
            if *next == '#' {
                while self.chars.peek().is_some_and(|c| *c != '\n') {
                    self.bump();
                }
            } else if next.is_ascii_whitespace() {
                self.bump();
            } else {
                break;
            }
        }
    }

    /// The next token; `None` at the end of the file.
    ///
    /// # Errors
    /// A quote that is not closed, or that something follows directly.
    pub(super) fn next(&mut self) -> Result<Option<Token>, SyntaxError> {
        self.skip_space();
        let Some(first) = self.chars.peek().copied() else { return Ok(None) };
        let single = match first {
            ';' => Some(Token::End),
            '{' => Some(Token::Open),
            '}' => Some(Token::Close),
            _ => None,
        };
        if single.is_some() {
            self.bump();
            return Ok(single);
        }
        let word = if first == '"' || first == '\'' { self.quoted(first)? } else { self.bare() };
        Ok(Some(Token::Word(word)))
    }

    fn bare(&mut self) -> String {
        let mut word = String::new();
        let mut after_dollar = false;
        while let Some(next) = self.chars.peek().copied() {
            let opens_name = next == '{' && after_dollar;
            if !opens_name && (next.is_ascii_whitespace() || next == ';' || next == '{') {
                break;
            }
            self.bump();
            after_dollar = next == '$';
            if next == '\\' { self.escaped(&mut word) } else { word.push(next) }
        }
        word
    }

    fn quoted(&mut self, quote: char) -> Result<String, SyntaxError> {
        let open = self.error("the quote that begins here is not closed");
        self.bump();
        let mut word = String::new();
        loop {
            match self.bump() {
                Some(next) if next == quote => break,
                Some('\\') => self.escaped(&mut word),
                Some(next) => word.push(next),
                None => return Err(open),
            }
        }
        match self.chars.peek().copied() {
            Some(c) if !c.is_ascii_whitespace() && !";{)".contains(c) => {
                Err(self.error(&format!("unexpected {c:?} after a quote; put a space or ; there")))
            }
            _ => Ok(word),
        }
    }

    /// What follows a backslash.
    fn escaped(&mut self, word: &mut String) {
        match self.bump() {
            Some(next @ ('"' | '\'' | '\\')) => word.push(next),
            Some('t') => word.push('\t'),
            Some('r') => word.push('\r'),
            Some('n') => word.push('\n'),
            Some(next) => word.extend(['\\', next]),
            None => word.push('\\'),
        }
    }

    /// Skips the rest of a block of Lua: braces are counted, except in strings and comments.
    ///
    /// # Errors
    /// The file ends first.
    pub(super) fn skip_code(&mut self) -> Result<(), SyntaxError> {
        let open = self.error("the block of code that begins here is not closed");
        let mut depth = 1;
        while depth > 0 {
            match self.bump() {
                Some('{') => depth += 1,
                Some('}') => depth -= 1,
                Some('-') if self.chars.peek() == Some(&'-') => {
                    while self.chars.peek().is_some_and(|c| *c != '\n') {
                        self.bump();
                    }
                }
                Some(quote @ ('"' | '\'')) => loop {
                    match self.bump() {
                        Some('\\') => drop(self.bump()),
                        Some(next) if next == quote || next == '\n' => break,
                        Some(_) => {}
                        None => return Err(open),
                    }
                },
                Some(_) => {}
                None => return Err(open),
            }
        }
        Ok(())
    }
}
