//! What nginx's rewrite phase answers by `return`.

use super::Import;
use super::servers::Server;
use super::site::Lead;
use super::tree::Directive;
use super::values;

impl<'a> Import<'a> {
    /// `return 301 …`, `return 200 text`, `return URL`.
    pub(super) fn answered(&self, server: &Server<'a>, answer: &'a Directive) -> Lead {
        let (status, text) = match answer.arg(0).parse::<u16>() {
            Ok(status) => (status, answer.arg(1)),
            Err(_) => (302, answer.arg(0)),
        };
        self.ledger.carried(answer);
        match status {
            301 | 302 | 303 | 307 | 308 => match self.place(server, text) {
                Ok(to) => Lead::Redirect { to, status },
                Err(why) => {
                    self.ledger.unanswered(answer, &why);
                    Lead::not_imported(&answer.place)
                }
            },
            // The connection is closed without an answer.
            444 => Lead::status(444),
            403 if text.is_empty() => Lead::Deny,
            200..=599 if !values::has_variables(text) => {
                let body = if matches!(status, 204 | 205 | 304) { "" } else { text };
                Lead::Reply { status, body: body.to_owned(), kind: None }
            }
            _ => {
                self.ledger.unanswered(answer, "a reply is a fixed text with a status from 200 to 599");
                Lead::not_imported(&answer.place)
            }
        }
    }

    /// What a variable is for a redirect or a rewriting.
    pub(super) fn variable(&self, server: &Server<'a>, name: &str) -> Option<String> {
        match name {
            "host" | "http_host" => Some("$host".to_owned()),
            "scheme" => Some("$scheme".to_owned()),
            "request_uri" => Some("$request_uri".to_owned()),
            "uri" | "document_uri" => Some("$path".to_owned()),
            "args" | "query_string" => Some("$args".to_owned()),
            "is_args" => Some("$is_args".to_owned()),
            "server_name" => server.names.first().cloned(),
            _ => None,
        }
    }

    /// Where a redirect goes, with Pointsman's variables.
    pub(super) fn place(&self, server: &Server<'a>, text: &str) -> Result<String, String> {
        let to = values::translate(text, |name| self.variable(server, name));
        let to = to.map_err(|name| {
            format!("redirects know $host, $scheme, $request_uri, $path and $args, not {name}")
        })?;
        let rest = ["https://", "http://", "$scheme://"].iter().find_map(|start| to.strip_prefix(start));
        let names_host = rest.is_some_and(|rest| {
            rest.starts_with("$host") || rest.starts_with(|c: char| c.is_ascii_alphanumeric())
        });
        let names_path = to.strip_prefix('/').is_some_and(|rest| !rest.starts_with(['/', '\\', '$']));
        if (names_host || names_path) && !to.contains(char::is_control) {
            return Ok(to);
        }
        Err("a redirect begins with a scheme and a host, or with / and the name of a path".to_owned())
    }
}
