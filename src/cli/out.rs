//! Where answers go. A reader that has closed the pipe ends the command quietly.

use super::args::Format;
use super::colour;
use super::screen::Screen;
use crate::core::text;
use serde::Serialize;
use std::borrow::Cow;
use std::io::{IsTerminal, Write};

/// Standard output and error.
#[derive(Debug)]
pub(super) struct Out {
    format: Format,
    /// Whether somebody looks on: progress may be drawn in place.
    pub terminal: bool,
    is_coloured: bool,
}

impl Out {
    pub(super) fn new(format: Format) -> Self {
        let terminal = std::io::stdout().is_terminal() && format == Format::Text;
        Out { format, terminal, is_coloured: terminal && colour::is_wanted() }
    }

    pub(super) fn is_text(&self) -> bool {
        self.format == Format::Text
    }

    /// A value as JSON, or as the text that `text` makes of it.
    pub(super) fn show<T: Serialize>(&self, value: &T, text: impl FnOnce(&T) -> String) {
        match self.format {
            // Views hold texts and numbers: there is nothing JSON cannot hold.
            Format::Json => self.line(&serde_json::to_string_pretty(value).unwrap_or_default()),
            Format::Text => self.line(&text(value)),
        }
    }

    /// One value on one line.
    pub(super) fn event<T: Serialize>(&self, value: &T, text: impl FnOnce(&T) -> String) {
        match self.format {
            Format::Json => self.line(&serde_json::to_string(value).unwrap_or_default()),
            Format::Text => self.line(&text(value)),
        }
    }

    pub(super) fn line(&self, text: &str) {
        let clear = if self.terminal { "\r\x1b[2K" } else { "" };
        let text = self.harmless(text.trim_end_matches('\n'));
        let text = match self.screen_now() {
            Some(screen) => Cow::Owned(screen.folded(&text)),
            None => text,
        };
        self.raw(format!("{clear}{}\n", self.painted(&text)).as_bytes());
    }

    fn painted<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if self.is_coloured { colour::painted(text) } else { Cow::Borrowed(text) }
    }

    fn screen_now(&self) -> Option<Screen> {
        Screen::now().filter(|_| self.terminal)
    }

    /// Draws over the last line drawn; nothing where nobody looks on.
    pub(super) fn in_place(&self, text: &str) {
        if self.terminal {
            let text = self.harmless(text);
            let text = self.screen_now().map_or(text.clone(), |screen| screen.cut(&text).into_owned().into());
            self.raw(format!("\r\x1b[2K{text}").as_bytes());
        }
    }

    /// Draws in place of the whole screen.
    pub(super) fn screen(&self, text: &str) {
        let text = self.harmless(text);
        let text = self.screen_now().map_or(text.clone(), |screen| screen.page(&text).into());
        // Line by line over what stands there, and what is left of it last: nothing flickers.
        let lines = self.painted(&text).replace('\n', "\x1b[K\n");
        self.raw(format!("\x1b[H{lines}\x1b[K\n\x1b[J").as_bytes());
    }

    /// What comes from the server may act on no terminal.
    fn harmless<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match self.format {
            Format::Json => text::json_on_terminal(text),
            Format::Text => text::on_terminal(text),
        }
    }

    pub(super) fn raw(&self, bytes: &[u8]) {
        let mut stdout = std::io::stdout().lock();
        if stdout.write_all(bytes).and_then(|()| stdout.flush()).is_err() {
            // Nobody reads any more: `pointsman history web | head`.
            std::process::exit(0);
        }
    }

    pub(super) fn error(&self, text: &str) {
        self.aside(&format!("error: {text}"));
    }

    /// For people only: on standard error, so that standard output stays what was asked for.
    pub(super) fn aside(&self, text: &str) {
        let text = text::on_terminal(text);
        let text = self.screen_now().map_or(text.clone(), |screen| screen.folded(&text).into());
        // Over what is in place. Where standard error is closed too, nobody wants to know.
        let clear = if self.terminal { "\r\x1b[2K" } else { "" };
        let text =
            if self.is_coloured && std::io::stderr().is_terminal() { self.painted(&text) } else { text };
        let _ = writeln!(std::io::stderr(), "{clear}{text}");
    }
}
