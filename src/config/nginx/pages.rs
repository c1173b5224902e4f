//! `error_page` → `[error_pages]`: files for the errors that the proxy makes itself.

use super::Import;
use super::locations::locations;
use super::scope::Scope;
use super::servers::Server;
use super::tree::Directive;

impl<'a> Import<'a> {
    pub(super) fn error_pages(&mut self, server: &Server<'a>, scope: &Scope<'a>) {
        for line in scope.all("error_page") {
            match self.page(server, scope, line) {
                Ok(path) => self.pages_of(line, &path),
                Err(why) => self.ledger.missing(line, why),
            }
        }
    }

    fn pages_of(&mut self, line: &'a Directive, path: &str) {
        self.ledger.carried(line);
        for code in line.args.iter().rev().skip(1) {
            if !code.parse::<u16>().is_ok_and(|code| (400..=599).contains(&code)) {
                self.ledger.missing(line, &format!("{code} is no error that the proxy makes"));
                continue;
            }
            let known = self.site.error_pages.entry(code.clone()).or_insert_with(|| path.to_owned());
            if known != path {
                self.ledger.noted(line, &format!("the page for {code} is one for all routes: {known}"));
            }
        }
    }

    /// The file behind the path of an error page.
    fn page(
        &self,
        server: &Server<'a>,
        scope: &Scope<'a>,
        line: &'a Directive,
    ) -> Result<String, &'static str> {
        let uri = line.args.last().map_or("", String::as_str);
        if line.args.iter().any(|arg| arg.starts_with('=')) {
            return Err("an error keeps its status; let the application answer something else");
        }
        if !uri.starts_with('/') || uri.contains('$') {
            return Err("a page is a file; put it into one");
        }
        let path_of = |location: &&Directive| {
            location.args.last().map_or(String::new(), |arg| arg.trim_start_matches('=').to_owned())
        };
        let fitting = locations(server.scope.block()).filter(|location| uri.starts_with(&path_of(location)));
        let location = fitting.max_by_key(|location| path_of(location).len());
        let inner = location.map_or(scope.clone(), |location| server.scope.within(location.block()));
        if let Some(alias) = inner.own("alias") {
            self.ledger.carried(alias);
            let below =
                location.map_or("", |location| uri.strip_prefix(path_of(&location).as_str()).unwrap_or(""));
            return Ok(format!("{}{below}", alias.arg(0)));
        }
        let root = inner
            .last("root")
            .ok_or("its file is unknown: there is no root; name the file in error_pages")?;
        if root.arg(0).contains('$') {
            return Err("a folder without variables is needed");
        }
        self.ledger.carried(root);
        Ok(format!("{}{uri}", root.arg(0).trim_end_matches('/')))
    }
}
