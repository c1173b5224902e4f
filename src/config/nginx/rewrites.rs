//! `rewrite` → the rules of a route, or a redirect where it is one of everything. Those of a whole server
//! have routes of their own ([`super::server_phase`]).

use super::Import;
use super::locations::Kind;
use super::patterns::translated;
use super::servers::Server;
use super::site::{Lead, Rule, Then};
use super::spot::Spot;
use super::tree::Directive;
use super::values::{self, Piece};
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
        let phase = spot.phase();
        let mut rules = Vec::new();
        for line in phase.iter().copied().take_while(|line| line.name != "return") {
            if line.arg(0) == "^" && line.arg(1) == "$request_uri" && line.args.len() == 2 {
                self.ledger.noted(
                    line,
                    "patterns see the path in its plain form, and what they make of it is encoded again",
                );
                continue;
            }
            let all = if rules.is_empty() { self.redirect_of_all(line) } else { None };
            if all.is_some() {
                self.ledger.carried(line);
                return (Vec::new(), all);
            }
            match self.rule(line) {
                Ok(rule) => {
                    self.ledger.carried(line);
                    rules.push(rule);
                }
                Err(why) => return (Vec::new(), Some(self.not_rewritten(line, &why, comments))),
            }
        }
        let answer = phase.into_iter().find(|line| line.name == "return");
        self.returned(spot, answer, rules, comments)
    }

    /// A `return` behind the rules answers what none of them leads away.
    fn returned(
        &self,
        spot: &Spot<'a>,
        answer: Option<&'a Directive>,
        mut rules: Vec<Rule>,
        comments: &mut Vec<String>,
    ) -> (Vec<Rule>, Option<Lead>) {
        let Some(answer) = answer else {
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
        if let Some(rule) = self.redirect_by_groups(spot, answer) {
            self.ledger.carried(answer);
            rules.push(rule);
            return (rules, Some(Lead::status(404)));
        }
        (rules, Some(self.answered(answer)))
    }

    /// A redirect to what groups of the location's pattern say.
    fn redirect_by_groups(&self, spot: &Spot<'a>, answer: &'a Directive) -> Option<Rule> {
        let Kind::Regex { pattern, ignore_case } = &spot.kind else { return None };
        let status =
            answer.arg(0).parse().ok().filter(|status| [301, 302, 303, 307, 308].contains(status))?;
        let pattern = format!("{}{pattern}", if *ignore_case { "(?i)" } else { "" });
        let (text, compiled) = (answer.arg(1), Pattern::new(&pattern, false).ok()?);
        let is_group = |name: &str| is_group(&compiled, name);
        let has_group =
            values::pieces(text).iter().any(|piece| matches!(piece, Piece::Variable(name) if is_group(name)));
        let is_last = self.bindings.is_by(&pattern);
        let to = self.text_beside(text, &is_group).ok().filter(|_| has_group && is_last)?.shown() + "?";
        let accepted = self.accepted(|vocabulary| {
            Replacement::place(&to, &Vocabulary { pattern: Some(&compiled), ..*vocabulary })
        });
        accepted.ok().map(|_| Rule { pattern, to, then: Then::Redirect(status) })
    }

    pub(super) fn not_rewritten(&self, line: &'a Directive, why: &str, comments: &mut Vec<String>) -> Lead {
        self.ledger.unanswered(line, why);
        comments.push(format!("the {} of {} was not carried over", line.name, line.place));
        Lead::not_imported(&line.place)
    }

    pub(super) fn rewritten_server(&self, server: &Server<'a>) -> Option<Lead> {
        let mut lines = server.scope.block().iter().filter(|line| line.name == "rewrite");
        lines.find_map(|line| {
            let lead = self.redirect_of_all(line)?;
            self.ledger.carried(line);
            Some(lead)
        })
    }

    /// A redirect that every request fits.
    pub(super) fn redirect_of_all(&self, line: &'a Directive) -> Option<Lead> {
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
        let to = to.ends_with("$request_uri").then(|| self.place(to).ok())??;
        Some(Lead::Redirect { to, status })
    }

    pub(super) fn rule(&self, line: &'a Directive) -> Result<Rule, String> {
        let found = translated(line.arg(0));
        if !found.is_exact {
            return Err("its regex has what only PCRE knows".to_owned());
        }
        let pattern = &found.pattern;
        let compiled = compiled(pattern)?;
        let then = then(line).ok_or_else(|| format!("{} is unknown", line.arg(2)))?;
        let text = line.arg(1);
        let to = match then {
            Then::Redirect(_) => self.replacement_by(&compiled, text)?,
            _ => self.replacement_by(&compiled, &plainly(text))?,
        };
        self.accepted(|vocabulary| {
            let vocabulary = Vocabulary { pattern: Some(&compiled), ..*vocabulary };
            match then {
                Then::Redirect(_) => Replacement::place(&to, &vocabulary),
                _ => Replacement::path(&to, &vocabulary),
            }
        })?;
        Ok(Rule { pattern: pattern.to_owned(), to, then })
    }

    /// The rule for a `proxy_pass` whose path has variables: all that its location takes fits it.
    pub(super) fn passed(&self, pattern: &str, uri: &str) -> Result<Rule, String> {
        let queries = ["$is_args$args", "?$args", "$is_args$query_string", "?$query_string"];
        let compiled = compiled(pattern)?;
        let to = match queries.iter().find_map(|query| uri.strip_suffix(query)) {
            Some(path) => self.replacement_by(&compiled, &plainly(path))?,
            None => self.replacement_by(&compiled, &plainly(uri))? + "?",
        };
        self.accepted(|vocabulary| {
            Replacement::path(&to, &Vocabulary { pattern: Some(&compiled), ..*vocabulary })
        })?;
        Ok(Rule { pattern: pattern.to_owned(), to, then: Then::Stay })
    }

    /// A text with Pointsman's variables.
    pub(super) fn replacement(&self, text: &str) -> Result<String, String> {
        self.text(text).map(|text| text.shown()).map_err(|name| format!("{name} is not known here"))
    }

    /// The same, for what a pattern fits.
    fn replacement_by(&self, pattern: &Pattern, text: &str) -> Result<String, String> {
        let text = self.text_beside(text, &|name| is_group(pattern, name));
        text.map(|text| text.shown()).map_err(|name| format!("{name} is not known here"))
    }

    /// What a check of Pointsman's own says, with the names that texts may refer to by now.
    pub(super) fn accepted<T>(
        &self,
        check: impl FnOnce(&Vocabulary<'_>) -> Result<T, String>,
    ) -> Result<T, String> {
        let names = self.lookups.names();
        check(&Vocabulary { names: Some(&names), ..Vocabulary::of_requests() })
    }
}

/// Whether a variable is a group of a pattern; a number has one digit.
pub(super) fn is_group(pattern: &Pattern, name: &str) -> bool {
    match name.parse::<usize>() {
        Ok(number) => (1..=pattern.groups().min(9)).contains(&number),
        Err(_) => pattern.has_group(name),
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
