//! What nginx's rewrite phase answers: `return`, and `rewrite` where it is a redirect of everything.

use super::Import;
use super::scope::Scope;
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
                    self.ledger.missing(answer, &why);
                    Lead::not_imported(&answer.place)
                }
            },
            444 => {
                self.ledger.noted(answer, "answered 403; nginx closes the connection without an answer");
                Lead::Deny
            }
            403 if text.is_empty() => Lead::Deny,
            200..=599 if !values::has_variables(text) => {
                let body = if matches!(status, 204 | 205 | 304) { "" } else { text };
                Lead::Reply { status, body: body.to_owned(), kind: None }
            }
            _ => {
                self.ledger.missing(answer, "a reply is a fixed text with a status from 200 to 599");
                Lead::not_imported(&answer.place)
            }
        }
    }

    /// Where a redirect goes, with Pointsman's variables.
    fn place(&self, server: &Server<'a>, text: &str) -> Result<String, String> {
        let to = values::translate(text, |name| match name {
            "host" | "http_host" => Some("$host".to_owned()),
            "scheme" => Some("$scheme".to_owned()),
            "request_uri" => Some("$request_uri".to_owned()),
            "uri" | "document_uri" => Some("$path".to_owned()),
            "args" | "query_string" => Some("$args".to_owned()),
            "is_args" => Some("$is_args".to_owned()),
            "server_name" => server.names.first().cloned(),
            _ => None,
        });
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

    /// `rewrite`: only as a redirect of everything.
    pub(super) fn rewritten(
        &self,
        server: &Server<'a>,
        scope: &Scope<'a>,
        comments: &mut Vec<String>,
    ) -> Option<Lead> {
        let rewrite = scope.own("rewrite").or_else(|| server.scope.own("rewrite"))?;
        let (pattern, to) = (rewrite.arg(0), rewrite.arg(1));
        let status = match rewrite.arg(2) {
            "permanent" => 301,
            "redirect" => 302,
            _ if to.starts_with("http") || to.starts_with("$scheme") => 302,
            _ => 0,
        };
        let to = match pattern {
            "^" | ".*" | "^.*" | "^.*$" => Some(to.to_owned()),
            "^/(.*)$" | "^/(.*)" | "/(.*)" | "/(.*)$" => {
                to.strip_suffix("/$1").map(|start| format!("{start}$request_uri"))
            }
            "^(.*)$" | "^(.*)" | "(.*)" => to.strip_suffix("$1").map(|start| format!("{start}$request_uri")),
            _ => None,
        };
        // nginx appends the query, unless the text ends in `?`; $request_uri has it already.
        let to = to.map(|to| to.strip_suffix('?').map_or(to.clone(), str::to_owned));
        let place = to
            .filter(|to| status > 0 && to.ends_with("$request_uri"))
            .and_then(|to| self.place(server, &to).ok());
        match place {
            Some(to) => {
                self.ledger.carried(rewrite);
                Some(Lead::Redirect { to, status })
            }
            None => {
                self.ledger.missing(
                    rewrite,
                    "paths are not rewritten; let the application know the path, or redirect to it",
                );
                // One that is tried for every request of the server, and rarely fits, does not close it.
                let is_own = scope.own("rewrite").is_some() && server.scope.own("rewrite").is_none();
                comments
                    .extend(is_own.then(|| format!("the rewrite of {} was not carried over", rewrite.place)));
                is_own.then(|| Lead::not_imported(&rewrite.place))
            }
        }
    }
}
