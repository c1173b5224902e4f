//! `access_log`, `log_format` → one access log, in one of two formats.

use super::Import;
use super::scope::Scope;
use super::site::AccessLog;
use super::tree::Directive;

impl<'a> Import<'a> {
    /// Whether requests are logged in a place; the first log found is the one for all.
    pub(super) fn access_log(&mut self, scope: &Scope<'a>) -> bool {
        let lines = scope.all("access_log");
        if lines.is_empty() {
            self.site.access_log.get_or_insert(AccessLog {
                from: None,
                path: "-".to_owned(),
                format: "combined",
            });
            return true;
        }
        if let Some(off) = lines.iter().find(|line| line.arg(0) == "off") {
            self.ledger.carried(off);
            return false;
        }
        lines.into_iter().for_each(|line| self.log(line));
        true
    }

    fn log(&mut self, line: &'a Directive) {
        let path = match line.arg(0) {
            "/dev/stdout" | "/dev/stderr" => "-",
            path => path,
        };
        if path.contains(['$', ':']) || path.is_empty() {
            return self
                .ledger
                .missing(line, "the access log is one file or standard output; ship it from there");
        }
        let format = self.format(line.arg(1));
        match &self.site.access_log {
            Some(known) if known.from.is_some() && (known.path != path || known.format != format) => {
                return self.ledger.noted(line, &format!("there is one access log for all: {}", known.path));
            }
            _ => {}
        }
        let buffered = line.args.iter().skip(1).any(|arg| arg.contains('='));
        match buffered {
            true if line.args.iter().any(|arg| arg.starts_with("if=")) => {
                self.ledger
                    .missing(line, "requests are logged by route; write access_log = false on the others");
            }
            true => self.ledger.noted(line, "written by a thread of its own that never holds a request up"),
            false => self.ledger.carried(line),
        }
        if self.site.access_log.as_ref().is_none_or(|known| known.from.is_none()) {
            self.site.access_log =
                Some(AccessLog { from: Some(line.place.clone()), path: path.to_owned(), format });
        }
    }

    /// JSON for a format that is JSON.
    fn format(&self, name: &str) -> &'static str {
        let mut formats = self.http.block().iter().filter(|directive| directive.name == "log_format");
        let is_json = formats.find(|format| format.arg(0) == name).is_some_and(|format| {
            let rest = format.args.iter().skip(1);
            rest.clone().any(|arg| arg == "escape=json")
                || rest.clone().any(|arg| arg.trim_start().starts_with('{'))
        });
        if is_json { "json" } else { "combined" }
    }
}
