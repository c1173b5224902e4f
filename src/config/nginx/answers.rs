//! What nginx's rewrite phase answers by `return`.

use super::Import;
use super::site::Lead;
use super::tree::Directive;
use crate::config::route::target::location;

impl<'a> Import<'a> {
    /// `return 301 …`, `return 200 text`, `return URL`.
    pub(super) fn answered(&self, answer: &'a Directive) -> Lead {
        let (status, text) = match answer.arg(0).parse::<u16>() {
            Ok(status) => (status, answer.arg(1)),
            Err(_) => (302, answer.arg(0)),
        };
        self.ledger.carried(answer);
        match status {
            301 | 302 | 303 | 307 | 308 => match self.place(text) {
                Ok(to) => Lead::Redirect { to, status },
                Err(why) => {
                    self.ledger.unanswered(answer, &why);
                    Lead::not_imported(&answer.place)
                }
            },
            // The connection is closed without an answer.
            444 => Lead::status(444),
            403 if text.is_empty() => Lead::Deny,
            200..=599 => match self.text(if matches!(status, 204 | 205 | 304) { "" } else { text }) {
                Ok(body) => Lead::Reply { status, body: body.shown(), kind: None },
                Err(name) => {
                    self.ledger.unanswered(answer, &format!("{name} is not known here"));
                    Lead::not_imported(&answer.place)
                }
            },
            _ => {
                self.ledger.unanswered(answer, "a reply has a status from 200 to 599");
                Lead::not_imported(&answer.place)
            }
        }
    }

    /// Where a redirect goes, with Pointsman's variables.
    pub(super) fn place(&self, text: &str) -> Result<String, String> {
        let to = self.text(text).map_err(|name| format!("{name} is not known here"))?.shown();
        self.accepted(|vocabulary| location(&to, vocabulary)).map(|_| to)
    }
}
