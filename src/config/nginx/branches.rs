//! The rewrite phase of a place: what `set` and `if` make of it → the conditions under which it is a route.
//!
//! nginx carries the lines out in their order. An `if` that answers, or ends the phase, comes before those behind
//! it; of the others the last one whose condition holds gives its settings to the place. So those that end come
//! first, in their order, then those with settings, from the last to the first, then the place itself.

use super::Import;
use super::assignments::bare;
use super::bindings::Bindings;
use super::conditions::{ConditionTest, LineCondition, RouteCondition};
use super::locations::Kind;
use super::spot::Spot;
use super::tree::Directive;

/// A place under conditions, and what the variables are there.
#[derive(Clone, Debug)]
pub(super) struct Branch<'a> {
    pub spot: Spot<'a>,
    pub bindings: Bindings,
}

/// The rewrite phase of a place on its way.
pub(super) struct Phase<'a> {
    spot: Spot<'a>,
    /// Of a server: what its lines lead to is tried by itself, before all locations.
    is_of_server: bool,
    /// The lines so far that a branch carries out, too.
    lines: Vec<&'a Directive>,
    pub ending: Vec<Branch<'a>>,
    settings: Vec<(&'a Directive, Vec<RouteCondition>)>,
    /// The lines behind see another path than the conditions of a route.
    is_changed: bool,
    /// A rewriting may have ended the phase: what the lines behind give a variable, it may not have.
    may_have_ended: bool,
}

/// What a block of a condition does.
struct Block<'a> {
    sets: Vec<&'a Directive>,
    /// `rewrite` and `return`.
    leads: Vec<&'a Directive>,
    /// It ends the phase by `return` or `break`.
    ends: bool,
    has_settings: bool,
}

impl<'a> Phase<'a> {
    pub(super) fn new(spot: Spot<'a>, is_of_server: bool) -> Self {
        let (lines, ending, settings) = (Vec::new(), Vec::new(), Vec::new());
        Phase { spot, is_of_server, lines, ending, settings, is_changed: false, may_have_ended: false }
    }
}

impl<'a> Block<'a> {
    fn of(line: &'a Directive) -> Self {
        let block = line.block();
        let end = block.iter().position(|line| matches!(line.name.as_str(), "return" | "break"));
        let phase: Vec<&Directive> = block.iter().take(end.map_or(block.len(), |end| end + 1)).collect();
        let of_phase = ["set", "rewrite", "return", "break", "rewrite_log", "uninitialized_variable_warn"];
        Block {
            sets: phase.iter().copied().filter(|line| line.name == "set").collect(),
            leads: phase
                .iter()
                .copied()
                .filter(|line| matches!(line.name.as_str(), "rewrite" | "return"))
                .collect(),
            ends: end.is_some(),
            has_settings: block.iter().any(|line| !of_phase.contains(&line.name.as_str())),
        }
    }
}

impl<'a> Import<'a> {
    /// A place under its conditions, in the order in which they are asked; the last one has none.
    pub(super) fn branches(&mut self, spot: &Spot<'a>, bindings: &Bindings) -> Vec<Branch<'a>> {
        self.enter(spot, bindings);
        let lines = if spot.directive.is_some() { spot.scope.block() } else { &[] };
        let mut phase = Phase::new(spot.clone(), false);
        self.walk(lines, &mut phase);
        let Phase { ending, settings, .. } = phase;
        let own = spot.phase();
        let here = |import: &Self, spot| Branch { spot, bindings: import.bindings.clone() };
        let set = settings.into_iter().rev().map(|(line, asked)| {
            let scope = spot.scope.within_condition(line.block());
            let when = spot.when.iter().cloned().chain(asked).collect();
            here(self, Spot { scope, when, phase: Some(own.clone()), ..spot.clone() })
        });
        let content: Vec<Branch<'a>> = set.chain([here(self, spot.clone())]).collect();
        let content = content.into_iter().flat_map(|branch| self.by_method(spot, branch)).collect::<Vec<_>>();
        ending.into_iter().chain(content).flat_map(|branch| self.cases(branch)).collect()
    }

    /// What the variables are at the beginning of a place.
    fn enter(&mut self, spot: &Spot<'a>, bindings: &Bindings) {
        self.bindings = bindings.clone();
        self.place = spot.directive.map_or_else(|| self.place.clone(), |directive| directive.place.clone());
        if let Kind::Regex { pattern, ignore_case } = &spot.kind {
            let flag = if *ignore_case { "(?i)" } else { "" };
            self.bindings.capture("${path}", &format!("{flag}{pattern}"));
        }
        if let Some(root) = spot.scope.handler("alias").or(spot.scope.last("root")) {
            self.bindings.in_folder(root.arg(0).trim_end_matches('/'));
        }
        self.referers(&spot.scope);
    }

    /// Carries the lines of a rewrite phase out, as far as they can be expressed.
    pub(super) fn walk(&mut self, lines: &'a [Directive], phase: &mut Phase<'a>) {
        for (index, line) in lines.iter().enumerate() {
            match line.name.as_str() {
                "set" if phase.may_have_ended => {
                    let why = "a rewriting before it may have ended the phase; what asks for it says so where it stands";
                    self.ledger.missing(line, why);
                    self.bindings.set(bare(line.arg(0)), None);
                }
                "set" => self.set(line),
                "rewrite" if phase.is_of_server && self.redirect_of_all(line).is_some() => break,
                "rewrite" => self.passed_by(line, phase),
                "if" if !self.moved.contains(&line.id) => {
                    let behind = lines.get(index + 1..).unwrap_or_default();
                    match self.branch(line, behind, phase) {
                        Ok(()) => {
                            self.ledger.carried(line);
                            self.expressed.insert(line.id);
                        }
                        Err(why) => {
                            self.unasked.insert(line.id, why);
                            let sets = Block::of(line).sets;
                            sets.iter().for_each(|set| self.bindings.set(bare(set.arg(0)), None));
                        }
                    }
                }
                "break" | "return" => break,
                _ => {}
            }
        }
    }

    /// A `rewrite` that is asked of all requests.
    fn passed_by(&mut self, line: &'a Directive, phase: &mut Phase<'a>) {
        if phase.is_of_server {
            let spot = Spot { directive: Some(line), phase: Some(vec![line]), ..phase.spot.clone() };
            phase.ending.push(Branch { spot, bindings: self.bindings.clone() });
        }
        phase.lines.push(line);
        phase.may_have_ended |= line.arg(2) == "break" || line.arg(2) == "last" && phase.is_of_server;
        if line.arg(0) == "^" && line.arg(1) == "$request_uri" && !phase.is_of_server {
            // The path, as it was.
            return;
        }
        let leads_away =
            !line.arg(2).is_empty() || line.arg(1).contains("://") || line.arg(1).starts_with("$scheme");
        if !leads_away {
            // A route of the server asks its conditions of the path as it is by then.
            phase.is_changed |= !phase.is_of_server;
            self.path_changed();
        }
    }

    fn path_changed(&mut self) {
        let mut bindings = std::mem::take(&mut self.bindings);
        bindings.path_changed(|text| self.speaks_of_path(text));
        self.bindings = bindings;
    }

    /// The routes for an `if`.
    fn branch(
        &mut self,
        line: &'a Directive,
        behind: &'a [Directive],
        phase: &mut Phase<'a>,
    ) -> Result<(), String> {
        let LineCondition { asked, capture } = self.condition(line)?;
        let block = Block::of(line);
        let is_about_path = asked.iter().flatten().any(|condition| match condition {
            RouteCondition::Value { of, .. } => self.speaks_of_path(of),
            _ => false,
        });
        if phase.is_changed && (is_about_path || !block.leads.is_empty()) {
            return Err("the path has been rewritten before; ask in a location of its own".to_owned());
        }
        let has_files = phase.spot.scope.own("try_files").is_some();
        // nginx takes files by `try_files` nowhere that a condition holds, whatever is in its block.
        let has_settings = block.has_settings || has_files && !block.ends;
        let only_sets = block.leads.is_empty() && !block.ends && !has_settings;
        if matches!(phase.spot.kind, Kind::Named) && !only_sets {
            return Err("a location with a name has no conditions; write two".to_owned());
        }
        if phase.is_of_server && (block.has_settings || block.ends && block.leads.is_empty()) {
            return Err(
                "a condition of a whole server answers or rewrites; write it in its locations".to_owned()
            );
        }
        if phase.may_have_ended && !block.sets.is_empty() {
            return Err("a rewriting before it may have ended the phase; write it first".to_owned());
        }
        let before = self.bindings.clone();
        if let Some((of, pattern)) = &capture {
            self.bindings.capture(of, pattern);
        }
        let outside = self.bindings.clone();
        let mut values = Vec::new();
        for set in &block.sets {
            let (name, value) = (bare(set.arg(0)), self.text(set.arg(1)).ok());
            self.bindings.set(name, value.clone());
            values.push((name, value));
        }
        let inside = std::mem::replace(&mut self.bindings, outside);
        let mut is_whole = true;
        for asked in &asked {
            let ended = self.ending(line, &block, asked, &inside, behind, phase);
            is_whole &= ended.inspect_err(|_| self.bindings = before.clone())?;
        }
        if !is_whole {
            values.into_iter().for_each(|(name, value)| self.set_under(&asked, name, value));
            let settings = asked.into_iter().filter(|_| has_settings);
            phase.settings.extend(settings.map(|asked| (line, asked)));
        }
        block.sets.iter().for_each(|set| self.ledger.carried(set));
        Ok(())
    }

    /// The branches in which the block of a condition ends the phase; whether it always does.
    fn ending(
        &mut self,
        line: &'a Directive,
        block: &Block<'a>,
        asked: &[RouteCondition],
        inside: &Bindings,
        behind: &'a [Directive],
        phase: &mut Phase<'a>,
    ) -> Result<bool, String> {
        let goes_on = |line: &Directive| matches!(line.name.as_str(), "rewrite" | "if" | "return");
        let mut found = Vec::new();
        let mut is_whole = false;
        for (index, lead) in block.leads.iter().enumerate() {
            let scope = phase.spot.scope.within_condition(line.block());
            let mut when: Vec<_> = phase.spot.when.iter().cloned().chain(asked.iter().cloned()).collect();
            is_whole = true;
            if lead.name == "rewrite" {
                let is_last = index + 1 == block.leads.len() && !behind.iter().any(goes_on);
                if lead.arg(2).is_empty() && !lead.arg(1).contains("://") && !is_last && !phase.is_of_server {
                    return Err(
                        "what follows the rewriting in it sees another path; write it as one".to_owned()
                    );
                }
                if let Some(pattern) = narrow(lead.arg(0)) {
                    let test = ConditionTest::Matches(pattern);
                    when.push(RouteCondition::Value { of: "$path".to_owned(), test, is_not: false });
                    is_whole = false;
                }
            }
            let own = if phase.is_of_server { Vec::new() } else { phase.lines.clone() };
            let lines = own.into_iter().chain([*lead]).collect();
            let spot = Spot { directive: Some(line), scope, when, phase: Some(lines), ..phase.spot.clone() };
            let directive = if phase.is_of_server { Some(line) } else { phase.spot.directive };
            found.push(Branch { spot: Spot { directive, ..spot }, bindings: inside.clone() });
            if is_whole {
                break;
            }
        }
        if block.ends && !is_whole {
            let scope = phase.spot.scope.within_condition(line.block());
            let when = phase.spot.when.iter().cloned().chain(asked.iter().cloned()).collect();
            let lines = phase.lines.clone();
            let spot = Spot { scope, when, phase: Some(lines), ..phase.spot.clone() };
            found.push(Branch { spot, bindings: inside.clone() });
            is_whole = true;
        }
        phase.ending.extend(found);
        Ok(is_whole)
    }

    /// `limit_except`: the place for the methods in it, and what the block makes of it for others.
    fn by_method(&mut self, spot: &Spot<'a>, branch: Branch<'a>) -> Vec<Branch<'a>> {
        let Some(line) = spot.scope.own("limit_except").filter(|_| !matches!(spot.kind, Kind::Named)) else {
            return vec![branch];
        };
        let is_method = |name: &String| {
            http::Method::from_bytes(name.as_bytes()).is_ok() && *name == name.to_ascii_uppercase()
        };
        if line.args.is_empty() || !line.args.iter().all(is_method) {
            return vec![branch];
        }
        self.ledger.carried(line);
        self.expressed.insert(line.id);
        let mut methods = line.args.clone();
        if methods.iter().any(|method| method == "GET") && !methods.iter().any(|method| method == "HEAD") {
            methods.push("HEAD".to_owned());
        }
        let Branch { spot, bindings } = branch;
        let when = spot.when.iter().cloned().chain([RouteCondition::Methods(methods)]).collect();
        let phase = Some(spot.phase());
        let scope = spot.scope.within_condition(line.block());
        let named = Spot { when, ..spot.clone() };
        let others = Spot { scope, phase, ..spot };
        vec![Branch { spot: named, bindings: bindings.clone() }, Branch { spot: others, bindings }]
    }
}

/// The pattern of a `rewrite`, unless every path fits it.
fn narrow(pattern: &str) -> Option<String> {
    const ALL: [&str; 10] =
        ["^", ".*", "^.*", "^.*$", "(.*)", "^(.*)", "^(.*)$", "^/(.*)$", "^/(.*)", "^/.*$"];
    (!ALL.contains(&pattern)).then(|| super::patterns::translated(pattern).pattern)
}
