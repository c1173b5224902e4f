//! A place of a server that requests reach, and what in it answers.

use super::conditions::RouteCondition;
use super::locations::Kind;
use super::scope::Scope;
use super::tree::Directive;

/// A location, or a server's own block for what none of its locations takes.
#[derive(Clone, Debug)]
pub(super) struct Spot<'a> {
    pub directive: Option<&'a Directive>,
    pub scope: Scope<'a>,
    pub kind: Kind,
    /// The prefix that its regex is tried within.
    pub within: Option<String>,
    /// Why it must not be served: nginx may not come here for all that fits it.
    pub closed: Option<String>,
    /// What is asked beside the path.
    pub when: Vec<RouteCondition>,
    /// The lines of the rewrite phase that are carried out here, where those are not all of the block's.
    pub phase: Option<Vec<&'a Directive>>,
}

/// Directives that answer by other means than HTTP upstreams, files and texts.
pub(super) const OTHER_CONTENT: [&str; 14] = [
    "fastcgi_pass",
    "uwsgi_pass",
    "scgi_pass",
    "memcached_pass",
    "content_by_lua_block",
    "content_by_lua_file",
    "js_content",
    "perl",
    "empty_gif",
    "api",
    "status",
    "hls",
    "f4f",
    "upstream_conf",
];

/// What changes the files that it is on for: to serve them as they are would show their source.
pub(super) const MADE_FROM_FILES: [&str; 3] = ["ssi", "image_filter", "xslt_stylesheet"];

impl<'a> Spot<'a> {
    pub(super) fn new(directive: Option<&'a Directive>, scope: Scope<'a>, kind: Kind) -> Self {
        Spot { directive, scope, kind, within: None, closed: None, when: Vec::new(), phase: None }
    }

    /// What the rewrite phase carries out here, up to where it ends.
    pub(super) fn phase(&self) -> Vec<&'a Directive> {
        // The server's own block has none of its own.
        let own = if self.directive.is_some() { self.scope.block() } else { &[] };
        let lines = own.iter().take_while(|line| line.name != "break");
        self.phase.clone().unwrap_or_else(|| {
            lines.filter(|line| matches!(line.name.as_str(), "rewrite" | "return")).collect()
        })
    }

    /// Whether files would answer here.
    pub(super) fn serves_files(&self) -> bool {
        let answers = |line: &Directive| {
            matches!(line.name.as_str(), "proxy_pass" | "grpc_pass" | "return" | "stub_status")
                || OTHER_CONTENT.contains(&line.name.as_str())
        };
        !self.scope.place().any(answers)
    }
}
