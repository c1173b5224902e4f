//! `root`, `alias`, `index` → files.

use super::Import;
use super::locations::Kind;
use super::site::{Lead, Tries};
use super::spot::Spot;
use super::tree::Directive;
use super::values;

impl<'a> Import<'a> {
    pub(super) fn files(&self, spot: &Spot<'a>, tries: Tries) -> Lead {
        let scope = &spot.scope;
        let index = self.index(spot);
        let alias = scope.handler("alias");
        let Some(folder) = alias.or_else(|| scope.last("root")) else { return Lead::status(404) };
        if let Some(why) = self.odd_folder(spot, folder, alias.is_some()) {
            self.ledger.unanswered(folder, why);
            return Lead::not_imported(&folder.place);
        }
        self.ledger.noted(
            folder,
            "hidden files, but those of /.well-known, and links that lead out of the folder are not served; a path with `..` is answered 400",
        );
        let (root, index) = match folder.arg(0).rsplit_once('/') {
            // The one file of an exact path: what stands for its folder.
            Some((root, file))
                if alias.is_some() && matches!(spot.kind, Kind::Exact(_)) && !file.is_empty() =>
            {
                (
                    if root.is_empty() { "/" } else { root },
                    Some(file.to_owned()).filter(|name| is_legal(name)),
                )
            }
            _ => (folder.arg(0), index),
        };
        Lead::Files { root: root.to_owned(), alias: alias.is_some(), index, tries }
    }

    /// What stands for a folder, where it is not `index.html`.
    fn index(&self, spot: &Spot<'a>) -> Option<String> {
        let index = spot.scope.last("index")?;
        let name = index.arg(0);
        match index.args.len() {
            1 if name == "index.html" || is_legal(name) => self.ledger.carried(index),
            1 => self.ledger.missing(index, "the index of a folder is the name of a file; index.html is looked for"),
            _ => self.ledger.noted(
                index,
                &format!("only {name} is looked for in a folder; where it is not there, nginx looks for the next, and a route answers 404"),
            ),
        }
        Some(name.to_owned()).filter(|name| name != "index.html").filter(|name| is_legal(name))
    }

    /// Why a folder does not hold what nginx serves.
    fn odd_folder(&self, spot: &Spot<'a>, folder: &'a Directive, is_alias: bool) -> Option<&'static str> {
        let (path, is_exact) = (folder.arg(0), matches!(spot.kind, Kind::Exact(_)));
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
