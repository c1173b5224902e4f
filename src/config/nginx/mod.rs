//! `import nginx`: a configuration of nginx → one of Pointsman, and what was not carried over.
//!
//! Three steps: the files are read into a tree ([`mod@include`], [`parse`]); the tree is walked server by
//! server and location by location into the configuration that is meant ([`site`]), every directive
//! taken being marked ([`ledger`]); what most routes share is lifted out ([`settle`]) and all of it is
//! written as TOML with the place each part comes from ([`mod@write`]).
//!
//! Where something cannot be expressed, the result is rather closed than open: what nginx protected is
//! denied, and a location that would do something else answers 501 with the line it comes from. What is not
//! known to be harmless ([`harmless`]) counts as protection ([`safeguards`]).

mod absent;
mod access;
mod answers;
mod assignments;
mod bindings;
mod branches;
mod buffering;
mod cases;
mod compression;
mod conditions;
mod cookies;
mod credentials;
mod decisions;
mod expiry;
mod files;
mod forwarded;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod harmless;
mod headers;
mod idle;
mod include;
mod known;
mod lead;
mod ledger;
mod lex;
mod limits;
mod listeners;
mod locations;
mod log;
mod lookups;
mod pages;
mod parse;
mod patterns;
mod phrases;
mod probes;
mod proxy;
mod reach;
mod referers;
mod report;
mod retries;
mod rewrites;
mod safeguards;
mod scope;
mod server_phase;
mod servers;
mod settle;
mod site;
mod spot;
mod tls;
mod toml;
mod tree;
mod tries;
mod upstream_tls;
mod upstreams;
mod values;
mod write;
mod write_route;

pub use ledger::{Counts, Level, Note, Weight};
pub use probes::{Probe, probes};

use bindings::Bindings;
use include::Tree;
use ledger::Ledger;
use lookups::Lookups;
use scope::Scope;
use serde::Serialize;
use site::{Site, Speech};
use spot::Spot;
use std::collections::{HashMap, HashSet};
use std::path::Path;
use tree::{Directive, Place};

/// Why nothing could be imported: nginx would refuse the file, too.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{}: {detail}", file, at(*line, *column))]
pub struct SyntaxError {
    pub file: String,
    /// From 1; 0 where the file could not be read at all.
    pub line: usize,
    pub column: usize,
    pub detail: String,
}

fn at(line: usize, column: usize) -> String {
    if line == 0 { String::new() } else { format!(":{line}:{column}") }
}

/// The result of an import.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Imported {
    pub toml: String,
    /// The gravest first, and then in the order of the files.
    pub notes: Vec<Note>,
    pub counts: Counts,
}

/// Reads a configuration of nginx, whole or a part of one, with all that it includes.
///
/// # Errors
/// [`SyntaxError`]: a file that cannot be read, bad syntax, or a file that includes itself.
pub fn import(path: &Path) -> Result<Imported, SyntaxError> {
    Ok(convert(&include::read(path)?))
}

/// The same for a text that includes nothing. `name` is how notes call it.
///
/// # Errors
/// [`SyntaxError`]: bad syntax.
pub fn import_text(text: &str, name: &str) -> Result<Imported, SyntaxError> {
    Ok(convert(&include::read_text(text, name)?))
}

/// An import on its way.
struct Import<'a> {
    ledger: Ledger,
    /// The `http` block, or the file itself where it is a part of one.
    http: Scope<'a>,
    upstreams: Vec<&'a Directive>,
    /// `split_clients`, `map` and `geo` blocks.
    choices: Vec<&'a Directive>,
    /// How it is spoken to, and what `proxy_pass` names → the service.
    service_names: Vec<((Speech, String), String)>,
    /// The number of a named location → the route.
    route_names: Vec<(usize, String)>,
    /// Zone, burst and status → the rate limit.
    limit_names: Vec<((String, u64, u64), String)>,
    /// The conditions that have routes in their place, by number.
    expressed: HashSet<usize>,
    /// Those of them that say which hosts a server answers.
    moved: HashSet<usize>,
    /// Why a condition has no routes in its place.
    unasked: HashMap<usize, String>,
    lookups: Lookups,
    /// What the variables are where texts are read.
    bindings: Bindings,
    /// What they are behind the rewrite phase of the server.
    of_server: Bindings,
    /// Whether a condition of the server is about the path or the query.
    asks_path: bool,
    /// Where look-ups come from that are made for what is read.
    place: Place,
    /// The `include` lines whose files could not be read, by number.
    unread: HashSet<usize>,
    /// The places of the server that is at hand.
    spots: Vec<Spot<'a>>,
    site: Site,
}

fn convert(tree: &Tree) -> Imported {
    let mut import = Import::new(tree);
    import.unread(tree);
    import.idle(tree);
    import.main(&tree.directives);
    let servers = import.servers();
    import.listeners(&servers);
    servers.iter().for_each(|server| import.server(server, &servers));
    import.unasked_lookups();
    let Import { mut site, ledger, lookups, .. } = import;
    site.maps = lookups.into_blocks();
    settle::settle(&mut site);
    let toml = write::write(&site);
    let (notes, counts) = report::close(ledger, tree);
    Imported { toml, notes, counts }
}

impl<'a> Import<'a> {
    fn new(tree: &'a Tree) -> Self {
        let ledger = Ledger::new(tree.count);
        let mut blocks = tree.directives.iter().filter(|directive| directive.name == "http");
        let block = match blocks.next() {
            Some(http) => {
                ledger.carried(http);
                http.block()
            }
            None => &tree.directives,
        };
        blocks.for_each(|more| ledger.whole(more, Level::Missing, "only the first http block is read"));
        let named = |names: &[&str]| block.iter().filter(|d| names.contains(&d.name.as_str())).collect();
        Import {
            ledger,
            http: Scope::default().within(block),
            upstreams: named(&["upstream"]),
            choices: named(&["split_clients", "map", "geo"]),
            service_names: Vec::new(),
            route_names: Vec::new(),
            limit_names: Vec::new(),
            expressed: HashSet::new(),
            moved: HashSet::new(),
            unasked: HashMap::new(),
            lookups: Lookups::default(),
            bindings: Bindings::default(),
            of_server: Bindings::default(),
            asks_path: false,
            place: Place::none(),
            unread: HashSet::new(),
            spots: Vec::new(),
            site: Site::default(),
        }
    }

    /// What stands outside of servers.
    fn main(&mut self, directives: &'a [Directive]) {
        for directive in directives.iter().filter(|directive| directive.name == "worker_processes") {
            self.site.threads = directive.arg(0).parse::<u64>().unwrap_or(0).min(256);
            self.ledger.carried(directive);
        }
        for map in self.choices.clone() {
            let is_upgrade = map.name == "map" && map.arg(0) == "$http_upgrade";
            if is_upgrade {
                self.ledger.whole(map, Level::Carried, "");
            }
        }
    }

    fn unread(&mut self, tree: &'a Tree) {
        let (ledger, unread) = (&self.ledger, &mut self.unread);
        for directive in &tree.directives {
            directive.visit(&mut |inner| {
                let whys = tree.unread.iter().filter(|(place, _)| *place == inner.place);
                for (_, why) in whys {
                    unread.insert(inner.id);
                    let harmless = inner.arg(0).ends_with("mime.types");
                    if harmless {
                        ledger.harmless(inner, "files are served with the usual types of their names");
                    } else {
                        let closes = if harmless::is_harmless_file(inner.arg(0)) {
                            ""
                        } else {
                            "; what stands around it is denied, since that may protect it"
                        };
                        let fate = if closes.is_empty() { Level::Missing.into() } else { ledger::DENIED };
                        ledger.mark(inner, fate, &format!("{why}; import it where it can be read{closes}"));
                    }
                }
                if inner.name == "include" {
                    ledger.carried(inner);
                }
            });
        }
    }
}

#[cfg(test)]
mod tests;
