//! `error_page` → `error_pages`: the route for another path, a named one, or a redirect.

use super::Import;
use super::locations::locations;
use super::rewrites::plainly;
use super::scope::Scope;
use super::servers::Server;
use super::tree::Directive;
use crate::core::route::Replacement;
use std::collections::BTreeMap;

/// What is shown in place of an error.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Page {
    pub source: Source,
    pub status: Shown,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Source {
    Path(String),
    Route(String),
    Redirect(String),
}

/// With which status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    Kept,
    OfAnswer,
    Fixed(u16),
}

impl<'a> Import<'a> {
    pub(super) fn error_pages(&mut self, server: &Server<'a>, scope: &Scope<'a>) -> BTreeMap<u16, Page> {
        let mut pages = BTreeMap::new();
        for line in scope.all("error_page") {
            match self.page(server, line) {
                Ok(page) => self.pages_of(line, &page, &mut pages),
                Err(why) => self.ledger.missing(line, &why),
            }
        }
        pages
    }

    fn pages_of(&self, line: &'a Directive, page: &Page, pages: &mut BTreeMap<u16, Page>) {
        self.ledger.carried(line);
        for code in line.args.iter().rev().skip(1).filter(|arg| !arg.starts_with('=')) {
            match code.parse::<u16>() {
                // nginx's own, of which the client sees 400.
                Ok(status @ (300..=493 | 500..=599)) => {
                    pages.entry(status).or_insert_with(|| page.clone());
                }
                _ => self.ledger.missing(line, &format!("{code} is no error that the proxy makes")),
            }
        }
    }

    fn page(&mut self, server: &Server<'a>, line: &'a Directive) -> Result<Page, String> {
        let uri = line.args.last().map_or("", String::as_str);
        let source = if uri.starts_with('@') {
            let target = locations(server.scope.block()).find(|location| location.arg(0) == uri);
            let target = target.ok_or_else(|| format!("there is no location {uri}"))?;
            Source::Route(self.named(server, target))
        } else if uri.starts_with('/') {
            let to = self.replacement(&plainly(uri))?;
            self.accepted(|vocabulary| Replacement::fallback(&to, vocabulary))?;
            Source::Path(to)
        } else {
            Source::Redirect(self.place(uri)?)
        };
        let told = line.args.iter().rev().skip(1).find_map(|arg| arg.strip_prefix('='));
        let status = match (told, &source) {
            (None, _) => Shown::Kept,
            (Some(text), Source::Redirect(_)) => {
                let known = text.parse().ok().filter(|status| [301, 302, 303, 307, 308].contains(status));
                known.map_or(Shown::Kept, Shown::Fixed)
            }
            (Some(""), _) => Shown::OfAnswer,
            (Some(text), _) => {
                let status = text.parse().ok().filter(|status| (200..=599).contains(status));
                let status = status.filter(|status| !matches!(status, 204 | 205 | 304));
                Shown::Fixed(status.ok_or_else(|| format!("no page is shown with status {text}"))?)
            }
        };
        Ok(Page { source, status })
    }

    /// Whether answers of an upstream are replaced, too.
    pub(super) fn intercepts(&self, scope: &Scope<'a>) -> bool {
        let Some(line) = scope.last("proxy_intercept_errors") else { return false };
        self.ledger.carried(line);
        line.is_on()
    }
}
