//! `error_page` → `error_pages`: files for the errors that the proxy makes itself.
//!
//! nginx looks for the page as for any other path. Only where that comes to a plain file that everybody may
//! see, the file is taken: what a script or a service would make of it is not in there, or is its source.

use super::Import;
use super::scope::Scope;
use super::servers::Server;
use super::site::Lead;
use super::site::Tries;
use super::spot::{OTHER_CONTENT, Spot};
use super::tree::Directive;
use std::collections::BTreeMap;

/// Files that are run, not shown.
const SOURCES: [&str; 13] =
    ["php", "phtml", "py", "rb", "pl", "cgi", "jsp", "asp", "aspx", "sh", "lua", "shtml", "erb"];

impl<'a> Import<'a> {
    pub(super) fn error_pages(&self, server: &Server<'a>, scope: &Scope<'a>) -> BTreeMap<String, String> {
        let mut pages = BTreeMap::new();
        for line in scope.all("error_page") {
            match self.page(server, line) {
                Ok(path) => self.pages_of(line, &path, &mut pages),
                Err(why) => self.ledger.missing(line, why),
            }
        }
        pages
    }

    fn pages_of(&self, line: &'a Directive, path: &str, pages: &mut BTreeMap<String, String>) {
        self.ledger.noted(
            line,
            "for errors that Pointsman makes, not for those of a `return`; clients that ask for JSON get JSON",
        );
        for code in line.args.iter().rev().skip(1) {
            match code.parse::<u16>().is_ok_and(|code| (400..=599).contains(&code)) {
                true => drop(pages.entry(code.clone()).or_insert_with(|| path.to_owned())),
                false => self.ledger.missing(line, &format!("{code} is no error that the proxy makes")),
            }
        }
    }

    /// The file behind the path of an error page.
    fn page(&self, server: &Server<'a>, line: &'a Directive) -> Result<String, &'static str> {
        let uri = line.args.last().map_or("", String::as_str);
        if line.args.iter().any(|arg| arg.starts_with('=')) {
            return Err("an error keeps its status; let the application answer something else");
        }
        if !uri.starts_with('/') || uri.contains(['$', '?', '%']) || uri.contains("/.") || uri.ends_with('/')
        {
            return Err("a page is a file; put it into one, and name it in error_pages");
        }
        let extension = uri.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
        if SOURCES.contains(&extension.as_str()) {
            return Err("a script would make this page, and none is run; name a file in error_pages");
        }
        let spot = self.chosen(uri).filter(|spot| self.is_plain(server, spot));
        let spot =
            spot.ok_or("no plain file that everybody may see is the page; name one in error_pages")?.clone();
        let Lead::Files { root, alias, index, .. } =
            self.files(&spot, Tries { folders: true, fallback: None })
        else {
            return Err("its file is unknown: no folder is named for it; name the file in error_pages");
        };
        let root = root.trim_end_matches('/');
        Ok(match (alias, spot.kind.prefix()) {
            (true, Some(prefix)) if prefix == uri => {
                format!("{root}/{}", index.as_deref().unwrap_or("index.html"))
            }
            (true, Some(prefix)) => format!("{root}/{}", uri.strip_prefix(prefix).unwrap_or(uri)),
            _ => format!("{root}{uri}"),
        })
    }

    /// Whether a place serves its files to everybody, as they are.
    fn is_plain(&self, server: &Server<'a>, spot: &Spot<'a>) -> bool {
        let makes = ["proxy_pass", "grpc_pass", "return", "rewrite", "if", "try_files", "stub_status", "ssi"];
        let is_plain = |line: &&Directive| {
            !makes.contains(&line.name.as_str()) && !OTHER_CONTENT.contains(&line.name.as_str())
        };
        let clients = self.clients(server, &spot.scope);
        let is_open =
            clients.allow.is_empty() && clients.deny.is_empty() && !clients.is_denied && !clients.is_closed;
        let guard = self.guard(server, &spot.scope, true);
        // The server's own conditions have been asked when the error was made.
        is_open && !guard.access && spot.scope.block().iter().all(|line| is_plain(&line))
    }
}
