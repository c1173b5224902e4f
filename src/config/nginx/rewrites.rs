//! `rewrite` → the rules of a route, or a redirect where it is one of everything. Those of a whole server
//! have routes of their own ([`super::server_rewrites`]).

use super::Import;
use super::scope::Scope;
use super::servers::Server;
use super::site::{Lead, Rule, Then};
use super::spot::Spot;
use super::tree::Directive;
use super::values;
use crate::core::pattern::Pattern;
use crate::core::route::Replacement;
use crate::core::template::Vocabulary;

impl<'a> Import<'a> {
    /// The rules of a location, and what its rewrite phase answers where none of them leads away.
    pub(super) fn rewritten(
        &self,
        server: &Server<'a>,
        spot: &Spot<'a>,
        comments: &mut Vec<String>,
    ) -> (Vec<Rule>, Option<Lead>) {
        if let Some(lead) = self.rewritten_server(server) {
            return (Vec::new(), Some(lead));
        }
        // The server's own block has none of its own.
        let own = if spot.directive.is_some() { spot.scope.block() } else { &[] };
        let mut rules = Vec::new();
        for line in own.iter().take_while(|line| line.name != "return") {
            if line.name != "rewrite" {
                continue;
            }
            let all = if rules.is_empty() { self.redirect_of_all(server, line) } else { None };
            if all.is_some() {
                self.ledger.carried(line);
                return (Vec::new(), all);
            }
            match self.rule(server, line) {
                Ok(rule) => {
                    self.ledger.carried(line);
                    rules.push(rule);
                }
                Err(why) => return (Vec::new(), Some(self.not_rewritten(line, &why, comments))),
            }
        }
        self.returned(server, &spot.scope, rules, comments)
    }

    /// A `return` behind the rules answers what none of them leads away.
    fn returned(
        &self,
        server: &Server<'a>,
        scope: &Scope<'a>,
        mut rules: Vec<Rule>,
        comments: &mut Vec<String>,
    ) -> (Vec<Rule>, Option<Lead>) {
        let Some(answer) = scope.own("return") else {
            if let Some(last) = rules.last_mut().filter(|last| last.then == Then::Next) {
                last.then = Then::Route;
            }
            return (rules, None);
        };
        // It answers whatever the rules before it have made of the path, unless one of them leads away.
        while rules.last().is_some_and(|last| last.then == Then::Next) {
            rules.pop();
        }
        if rules.iter().any(|rule| matches!(rule.then, Then::Stay | Then::Next)) {
            let why = "a route either answers or goes on with the path that a rewrite makes; write two";
            return (Vec::new(), Some(self.not_rewritten(answer, why, comments)));
        }
        (rules, Some(self.answered(server, answer)))
    }

    fn not_rewritten(&self, line: &'a Directive, why: &str, comments: &mut Vec<String>) -> Lead {
        self.ledger.unanswered(line, why);
        comments.push(format!("the {} of {} was not carried over", line.name, line.place));
        Lead::not_imported(&line.place)
    }

    pub(super) fn rewritten_server(&self, server: &Server<'a>) -> Option<Lead> {
        let mut lines = server.scope.block().iter().filter(|line| line.name == "rewrite");
        lines.find_map(|line| {
            let lead = self.redirect_of_all(server, line)?;
            self.ledger.carried(line);
            Some(lead)
        })
    }

    /// A redirect that every request fits.
    pub(super) fn redirect_of_all(&self, server: &Server<'a>, line: &'a Directive) -> Option<Lead> {
        let Then::Redirect(status) = then(line)? else { return None };
        let to = line.arg(1);
        let to = match line.arg(0) {
            "^" | ".*" | "^.*" | "^.*$" => Some(to.to_owned()),
            "^/(.*)$" | "^/(.*)" | "/(.*)" | "/(.*)$" => {
                to.strip_suffix("/$1").map(|start| format!("{start}$request_uri"))
            }
            "^(.*)$" | "^(.*)" | "(.*)" => to.strip_suffix("$1").map(|start| format!("{start}$request_uri")),
            _ => None,
        }?;
        // nginx appends the query, unless the text ends in `?`; $request_uri has it already.
        let to = to.strip_suffix('?').unwrap_or(&to);
        let to = to.ends_with("$request_uri").then(|| self.place(server, to).ok())??;
        Some(Lead::Redirect { to, status })
    }

    pub(super) fn rule(&self, server: &Server<'a>, line: &'a Directive) -> Result<Rule, String> {
        let pattern = line.arg(0);
        let compiled = compiled(pattern)?;
        let vocabulary = Vocabulary { pattern: Some(&compiled), ..Vocabulary::of_requests() };
        let then = then(line).ok_or_else(|| format!("{} is unknown", line.arg(2)))?;
        let text = line.arg(1);
        let to = match then {
            Then::Redirect(_) => self.replacement(server, text)?,
            _ => self.replacement(server, &plainly(text))?,
        };
        match then {
            Then::Redirect(_) => Replacement::place(&to, &vocabulary)?,
            _ => Replacement::path(&to, &vocabulary)?,
        };
        Ok(Rule { pattern: pattern.to_owned(), to, then })
    }

    /// The rule for a `proxy_pass` whose path has variables: all that its location takes fits it.
    pub(super) fn passed(&self, server: &Server<'a>, pattern: &str, uri: &str) -> Result<Rule, String> {
        let queries = ["$is_args$args", "?$args", "$is_args$query_string", "?$query_string"];
        let to = match queries.iter().find_map(|query| uri.strip_suffix(query)) {
            Some(path) => self.replacement(server, &plainly(path))?,
            None => self.replacement(server, &plainly(uri))? + "?",
        };
        let compiled = compiled(pattern)?;
        Replacement::path(&to, &Vocabulary { pattern: Some(&compiled), ..Vocabulary::of_requests() })?;
        Ok(Rule { pattern: pattern.to_owned(), to, then: Then::Stay })
    }

    /// A text with Pointsman's variables.
    pub(super) fn replacement(&self, server: &Server<'a>, text: &str) -> Result<String, String> {
        let group = |name: &str| name.parse::<u8>().is_ok_and(|group| (1..10).contains(&group));
        let to = values::translate(text, |name| match group(name) {
            true => Some(format!("${name}")),
            false => self.variable(server, name),
        });
        to.map_err(|name| {
            format!("a rewriting knows $1 to $9, $host, $scheme, $path, $args and $is_args, not {name}")
        })
    }
}

/// What nginx does next; `None` where it would refuse the flag.
fn then(line: &Directive) -> Option<Then> {
    let leaves = ["http://", "https://", "$scheme"].iter().any(|start| line.arg(1).starts_with(start));
    match line.arg(2) {
        "permanent" => Some(Then::Redirect(301)),
        "redirect" => Some(Then::Redirect(302)),
        "" | "last" | "break" if leaves => Some(Then::Redirect(302)),
        "last" => Some(Then::Route),
        "break" => Some(Then::Stay),
        "" => Some(Then::Next),
        _ => None,
    }
}

fn compiled(pattern: &str) -> Result<Pattern, String> {
    let short = |error: String| error.lines().last().unwrap_or_default().to_owned();
    Pattern::new(pattern, false).map_err(|error| format!("its regex cannot be used ({})", short(error)))
}

/// nginx takes the path for plain, where Pointsman decodes it.
pub(super) fn plainly(text: &str) -> String {
    let (path, query) = text.split_at(text.find('?').unwrap_or(text.len()));
    format!("{}{query}", path.replace('%', "%25"))
}
