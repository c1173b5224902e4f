//! `root`, `alias`, `index`, `autoindex`, `disable_symlinks`, `default_type` → files.

use super::Import;
use super::locations::Kind;
use super::scope::Scope;
use super::site::{Lead, Tries};
use super::spot::Spot;
use super::toml::{fixed, quoted, template};
use super::values;

impl<'a> Import<'a> {
    pub(super) fn files(&self, spot: &Spot<'a>, tries: Tries) -> Lead {
        let scope = &spot.scope;
        let index = self.index(spot);
        let alias = scope.handler("alias");
        let Some(folder) = alias.or_else(|| scope.last("root")) else { return Lead::status(404) };
        let whole = self.settled(folder.arg(0));
        let (whole, below) = match self.below(&whole).filter(|_| alias.is_none()) {
            Some((whole, below)) => (whole, Some(below)),
            None => (whole, None),
        };
        if let Some(why) = self.odd_folder(spot, &whole, alias.is_some()) {
            self.ledger.unanswered(folder, why);
            return Lead::not_imported(&folder.place);
        }
        self.ledger.noted(
            folder,
            "hidden files, but those of /.well-known, are not served; a path with `..` is answered 400",
        );
        let (root, index) = match whole.rsplit_once('/') {
            // The one file of an exact path: what stands for its folder.
            Some((root, file))
                if alias.is_some() && matches!(spot.kind, Kind::Exact(_)) && !file.is_empty() =>
            {
                let name = Some(file.to_owned()).filter(|name| is_legal(name));
                (if root.is_empty() { "/" } else { root }, name.into_iter().collect())
            }
            _ => (whole.as_str(), index),
        };
        let symlinks = self.symlinks(scope);
        let below = below.map(|below| format!("below = {}", template(&below)));
        let more =
            below.into_iter().chain(self.autoindex(scope)).chain([symlinks]).chain(self.default_type(scope));
        Lead::Files { root: root.to_owned(), alias: alias.is_some(), index, tries, more: more.collect() }
    }

    /// What stands for a folder, where it is not `index.html`.
    fn index(&self, spot: &Spot<'a>) -> Vec<String> {
        let Some(index) = spot.scope.last("index") else { return Vec::new() };
        let names: Vec<String> = index.args.iter().filter(|name| is_legal(name)).cloned().collect();
        if names.len() == index.args.len() {
            self.ledger.carried(index);
        } else {
            let why = "what stands for a folder is the name of a file in it; others are not looked for";
            self.ledger.missing(index, why);
        }
        if names == ["index.html"] { Vec::new() } else { names }
    }

    fn autoindex(&self, scope: &Scope<'a>) -> Option<String> {
        let line = scope.last("autoindex").filter(|line| line.is_on())?;
        self.ledger.carried(line);
        for name in ["autoindex_exact_size", "autoindex_localtime"] {
            let why = "lists say bytes, and times in UTC";
            scope.last(name).iter().for_each(|line| self.ledger.harmless(line, why));
        }
        let format = scope.last("autoindex_format");
        let is_json = format.is_some_and(|line| line.arg(0) == "json");
        if let Some(line) = format {
            match line.arg(0) {
                "html" | "json" => self.ledger.carried(line),
                _ => self.ledger.missing(line, "a list is HTML or JSON; it is HTML"),
            }
        }
        Some(if is_json { "autoindex = \"json\"" } else { "autoindex = true" }.to_owned())
    }

    /// nginx follows all links unless told otherwise.
    fn symlinks(&self, scope: &Scope<'a>) -> String {
        let line = scope.last("disable_symlinks");
        if let Some(line) = line {
            match line.arg(0) {
                "if_not_owner" => self.ledger.noted(line, "no symbolic link is followed, whoever owns it"),
                _ => self.ledger.carried(line),
            }
        }
        let is_off = line.is_some_and(|line| line.arg(0) != "off");
        format!("symlinks = {}", quoted(if is_off { "off" } else { "any" }))
    }

    /// What files are whose names say nothing.
    fn default_type(&self, scope: &Scope<'a>) -> Option<String> {
        let line = scope.last("default_type");
        line.iter().for_each(|line| self.ledger.carried(line));
        let kind = line.map_or("text/plain", |line| line.arg(0));
        let is_legal = kind.contains('/') && !kind.contains(['$', ' ']) && !kind.contains(char::is_control);
        (is_legal && kind != "application/octet-stream").then(|| format!("default_type = {}", fixed(kind)))
    }

    /// A folder that requests choose one of: up to the first part with variables, and from there on.
    pub(super) fn below(&self, path: &str) -> Option<(String, String)> {
        let (fixed, _) = path.split_once('$').filter(|_| values::has_variables(path))?;
        let at = fixed.rfind('/')? + 1;
        let below = self.text(path.get(at..)?.trim_end_matches('/')).ok()?.shown();
        let is_plain = |part: &str| !part.is_empty() && !part.starts_with('.');
        let root = path.get(..at)?.trim_end_matches('/');
        let root = if root.is_empty() { "/" } else { root };
        below.split('/').all(is_plain).then(|| (root.to_owned(), below))
    }

    /// Why a folder does not hold what nginx serves.
    pub(super) fn odd_folder(&self, spot: &Spot<'a>, path: &str, is_alias: bool) -> Option<&'static str> {
        let is_exact = matches!(spot.kind, Kind::Exact(_));
        if values::has_variables(path) {
            return Some("a folder has no variables; write it whole");
        }
        if !path.starts_with('/') {
            return Some(
                "a folder that does not begin with / is below the one that nginx was built for; write it whole",
            );
        }
        let ends_alike = |prefix: &str| prefix.ends_with('/') && path.ends_with('/');
        if is_alias && !is_exact && !spot.kind.prefix().is_some_and(ends_alike) {
            return Some("nginx puts what follows the location right behind the alias; let both end in /");
        }
        None
    }
}

fn is_legal(name: &str) -> bool {
    !name.is_empty() && !name.contains(['/', '$', '\0']) && !name.starts_with('.')
}
