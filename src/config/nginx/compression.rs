//! `gzip_*` and `brotli_*` → `[compression]`, which is one for all routes.

use super::Import;
use super::scope::Scope;
use super::site::Compression;
use super::tree::Directive;
use super::values::size;

impl<'a> Import<'a> {
    /// Whether answers are compressed in a place; the first such place says how, for all.
    pub(super) fn compression(&mut self, scope: &Scope<'a>) -> bool {
        let switch = |name: &str| {
            let line = scope.last(name);
            line.inspect(|line| self.ledger.carried(line)).filter(|line| line.is_on())
        };
        let (gzip, brotli) = (switch("gzip"), switch("brotli"));
        let Some(first) = brotli.or(gzip) else { return false };
        let wanted = self.wanted(scope, gzip, brotli, first);
        match &self.site.compression {
            None => self.site.compression = Some(wanted),
            Some(known) => {
                let same = Compression { from: known.from.clone(), ..wanted } == *known;
                if !same {
                    self.ledger.noted(first, "compressed as everywhere: [compression] is one for all routes");
                }
            }
        }
        true
    }

    fn wanted(
        &self,
        scope: &Scope<'a>,
        gzip: Option<&'a Directive>,
        brotli: Option<&'a Directive>,
        first: &'a Directive,
    ) -> Compression {
        let mut algorithms = Vec::new();
        algorithms.extend(brotli.map(|_| "br"));
        algorithms.extend(gzip.map(|_| "gzip"));
        let number = |name: &str| {
            let line = scope.last(name)?;
            self.ledger.carried(line);
            line.arg(0).parse::<u64>().ok()
        };
        // nginx compresses text/html whatever is listed.
        let mut types = vec!["text/html".to_owned()];
        for line in ["gzip_types", "brotli_types"].iter().flat_map(|name| scope.all(name)) {
            self.ledger.carried(line);
            types.extend(line.args.iter().filter(|kind| is_media_type(kind)).cloned());
            if !line.args.iter().all(|kind| is_media_type(kind)) {
                self.ledger.missing(line, "list the types, such as text/css");
            }
        }
        let mut unique: Vec<String> = Vec::new();
        types.into_iter().for_each(|kind| {
            if !unique.contains(&kind) {
                unique.push(kind)
            }
        });
        let least = scope.last("gzip_min_length").or_else(|| scope.last("brotli_min_length"));
        least.iter().for_each(|line| self.ledger.carried(line));
        if let Some(line) = scope.last("gzip_vary") {
            match line.is_on() {
                true => self.ledger.carried(line),
                false => {
                    self.ledger.noted(line, "Vary is always sent, so that caches keep the variants apart")
                }
            }
        }
        if let Some(line) = scope.last("gzip_proxied") {
            match line.arg(0) {
                "any" => self.ledger.carried(line),
                _ => self.ledger.noted(line, "requests that came through a proxy are treated alike"),
            }
        }
        Compression {
            from: first.place.clone(),
            algorithms,
            types: unique,
            min_size: least.and_then(|line| size(line.arg(0))).unwrap_or(20),
            gzip_level: gzip
                .and_then(|_| number("gzip_comp_level").or(Some(1)))
                .filter(|level| (1..=9).contains(level)),
            br_level: brotli
                .and_then(|_| number("brotli_comp_level"))
                .filter(|level| (1..=11).contains(level)),
        }
    }
}

/// As [`crate::config`] takes it.
fn is_media_type(text: &str) -> bool {
    let halves = text.split_once('/').is_some_and(|(kind, name)| !kind.is_empty() && !name.is_empty());
    halves && !text.contains([';', ' ', '*'])
}
