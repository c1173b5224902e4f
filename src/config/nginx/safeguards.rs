//! What keeps requests from a place under nginx, and would not here.
//!
//! Everything that stands around the place is looked at, out to `http`. What is not known to be harmless
//! ([`super::harmless`]) closes it: an inner `off` opens again only what is known to be switched off by it.

use super::Import;
use super::conditions::{Loss, loss};
use super::harmless::{is_harmless, is_harmless_file};
use super::ledger::{DENIED, UNANSWERED};
use super::scope::Scope;
use super::servers::Server;
use super::site::{Lead, Rule, Then};
use super::spot::Spot;
use super::tree::{Directive, Place};

/// What is lost in a place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Safeguards {
    /// It came before any answer, a `return` too.
    pub before: Option<Loss>,
    /// It came before content: somebody was asked who may come in.
    pub access: bool,
}

/// What asks who may come in, and is switched off by `off`; all but the first behind `return` and `rewrite`.
/// What belongs to one of them begins with its name.
const ACCESS: [&str; 12] = [
    "modsecurity",
    "auth_basic",
    "auth_request",
    "auth_jwt",
    "auth_digest",
    "auth_gss",
    "auth_ldap",
    "auth_pam",
    "auth_spnego",
    "secure_link",
    "access_by_lua",
    "disable_symlinks",
];

const CREDENTIALS: &str = "not carried over, so its routes are denied; say it by basic_auth, authorize or satisfy of the routes, then open them";
const UNKNOWN: &str = "it may refuse requests, and Pointsman has nothing like it, so its routes are denied; see what it is for, then open them";

impl Safeguards {
    fn add(&mut self, loss: Loss) {
        if loss > Loss::Nothing {
            self.before = self.before.max(Some(loss));
        }
    }

    pub(super) fn and(self, other: Safeguards) -> Safeguards {
        Safeguards { before: self.before.max(other.before), access: self.access || other.access }
    }
}

impl<'a> Import<'a> {
    /// What is lost in a place that serves files, or something else.
    pub(super) fn guard(&self, server: &Server<'a>, scope: &Scope<'a>, serves_files: bool) -> Safeguards {
        let mut guard = Safeguards { before: self.client_certificates_lost(server), access: false };
        let inner = scope.levels().count().saturating_sub(server.scope.levels().count());
        for (index, level) in scope.levels().enumerate() {
            // A location does not inherit what the one around it rewrites and returns.
            let asks = index <= scope.conditional() || index >= inner;
            for line in level.iter().filter(|line| asks || line.name != "if") {
                self.look_at(line, index <= scope.conditional(), serves_files, &mut guard);
            }
        }
        for name in ACCESS {
            let is_family = matches!(name, "access_by_lua" | "secure_link");
            let governs =
                |line: &&'a Directive| line.name == name || is_family && line.name.starts_with(name);
            let holds = scope.levels().find_map(|level| level.iter().rev().find(governs));
            let Some(line) = holds.filter(|line| line.arg(0) != "off" || line.is_code) else { continue };
            let is_expressed = match name {
                "disable_symlinks" => true,
                "auth_basic" => line.name == name && self.basic_auth(scope).is_some(),
                "auth_request" => line.name == name && self.asked(scope).is_some(),
                _ => false,
            };
            if is_expressed {
                continue;
            }
            self.ledger.whole(line, DENIED, CREDENTIALS);
            match name {
                "modsecurity" => guard.add(Loss::Refusal),
                _ => guard.access = true,
            }
        }
        guard
    }

    fn look_at(&self, line: &'a Directive, is_innermost: bool, serves_files: bool, guard: &mut Safeguards) {
        let name = line.name.as_str();
        match name {
            "if" if !self.expressed.contains(&line.id) => {
                let loss = loss(line, serves_files);
                self.lost(line, loss);
                guard.add(loss);
            }
            "limit_except" | "valid_referers" if self.expressed.contains(&line.id) => {}
            "limit_except" if is_innermost => {
                self.ledger.whole(
                    line,
                    DENIED,
                    "not carried over, so its route is denied; write routes with when = { methods = [\"GET\"] }, then open it",
                );
                guard.access = true;
            }
            "include" if self.unread.contains(&line.id) && !is_harmless_file(line.arg(0)) => {
                guard.add(Loss::Refusal)
            }
            _ if is_harmless(name) || ACCESS.iter().any(|known| name.starts_with(known)) => {}
            "ssl_reject_handshake" if !line.is_on() => {}
            _ => {
                self.ledger.whole(line, DENIED, UNKNOWN);
                guard.add(Loss::Refusal);
            }
        }
    }

    fn lost(&self, line: &'a Directive, loss: Loss) {
        let (fate, until) = match loss {
            Loss::Nothing => return,
            Loss::Answer => (UNANSWERED, "its routes answer 501 until it is written by `when` or `first`"),
            Loss::Refusal => {
                (DENIED, "its routes are denied; refuse such requests by `when` or `first`, then open them")
            }
        };
        let why = self.unasked.get(&line.id).map_or("its condition cannot be asked", String::as_str);
        self.ledger.whole(line, fate, &format!("{why}; {until}"));
    }
}

/// The lead where something was lost that came first. What refuses anyway, and what only sends elsewhere,
/// stays.
pub(super) fn guarded(
    lost: Option<Loss>,
    lead: Lead,
    rules: Vec<Rule>,
    spot: &Spot<'_>,
    comments: &mut Vec<String>,
) -> (Lead, Vec<Rule>) {
    let leads_on = rules.iter().any(|rule| !matches!(rule.then, Then::Redirect(_)));
    let gives = match &lead {
        Lead::Service(_) | Lead::Files { .. } | Lead::Onward => true,
        Lead::Reply { status, .. } => *status < 300,
        Lead::Redirect { .. } | Lead::Deny => false,
    };
    match lost.filter(|_| gives || leads_on) {
        None => (lead, rules),
        Some(Loss::Answer) => {
            comments.push("a condition under which nginx answers otherwise was not carried over".to_owned());
            let place: Option<&Place> = spot.directive.map(|directive| &directive.place);
            let lead = place.map_or(Lead::status(501), Lead::not_imported);
            (lead, Vec::new())
        }
        Some(_) => {
            comments.push("denied: what refused requests in nginx was not carried over".to_owned());
            (Lead::Deny, Vec::new())
        }
    }
}
