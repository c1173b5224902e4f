//! What must hold of texts with variables, look-ups, conditions and rewriting, for any request.

use super::resolve;
use crate::core::condition::{Condition, Questioned};
use crate::core::headers::{Edits, Value};
use crate::core::pattern;
use crate::core::route::{Current, Redirect, Reply, ReplyBody, RouteSpec, Sought, Target, Turn, plain};
use crate::core::settings::Config;
use crate::core::template::Template;
use crate::core::variable::{AnswerFacts, Facts, NamedValue, UpstreamSpan, Variable};
use http::HeaderName;
use http::request::Parts;
use std::net::IpAddr;
use std::path::Path;

/// Bytes that a variable which no text is behind has at most: an address.
const LONGEST_MADE: usize = 64;

/// The head of a request up to an empty line, and a piece of a configuration behind it.
pub fn values(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (head, config) = text.split_once("\n\n").unwrap_or(("", text));
    if config.contains("/dev") || config.contains("/proc") {
        return;
    }
    let Some(request) = FuzzedRequest::read(head) else { return };
    let config = format!("[[listeners]]\naddress = \":80\"\n{config}");
    if let Ok(config) = resolve(&config) {
        request.goes_through(&config);
    }
}

#[derive(Debug)]
struct FuzzedRequest {
    head: Parts,
    client: IpAddr,
    host: String,
    /// As long as all of it.
    bytes: usize,
}

impl FuzzedRequest {
    /// `GET /path?query host 192.0.2.1`, and a line for each field.
    fn read(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let mut line = lines.next()?.split(' ');
        let mut request = http::Request::builder().method(line.next()?).uri(line.next()?);
        let (host, client) = (line.next()?.to_owned(), line.next()?.parse().ok()?);
        for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
            request = request.header(name, value);
        }
        let head = request.body(()).ok()?.into_parts().0;
        Some(FuzzedRequest { head, client, host, bytes: text.len() })
    }

    fn goes_through(&self, config: &Config) {
        let sought = Sought { listener: None, host: &self.host, path: &self.plain_path(), first_from: 0 };
        let holds = |when: &Condition| when.holds(&self.head, self.client, self);
        let found = || (config.routes.find(sought, holds), pattern::take_undecided());
        let first = found();
        assert_eq!(first, found(), "the same request takes the same route");
        assert!(first.0.is_none_or(|route| route < config.routes.specs().len()));
        let request_edits = config.routes.headers.request.iter().chain(&config.routes.headers.response);
        request_edits.for_each(|edits| self.edits(edits));
        config.routes.specs().iter().for_each(|route| self.route(route));
        for variable in config.values.values() {
            if let Variable::Named(named) = variable {
                self.named(&**named);
            }
        }
    }

    fn plain_path(&self) -> String {
        let path = plain(self.head.uri.path());
        path.map_or("/".to_owned(), |path| String::from_utf8_lossy(&path).into_owned())
    }

    fn route(&self, route: &RouteSpec) {
        let (response, request) = (&route.headers.response, &route.headers.request);
        response.iter().chain(request).for_each(|edits| self.edits(edits));
        match &route.target {
            Target::Redirect(Redirect { to, .. }) => self.text(to),
            Target::Reply(Reply { body: ReplyBody::Template(text), .. }) => self.text(text),
            _ => {}
        }
        let path = self.plain_path();
        let at = Current { path: path.as_bytes(), query: self.head.uri.query().unwrap_or_default() };
        match route.rewriting.turn(at, &Facts { is_compared: false, ..self.facts() }) {
            Ok(Turn::Stays(to) | Turn::Leaves(to)) => {
                let (path, target) = (to.target().path(), to.target().as_str());
                assert!(path.starts_with('/') && !path.contains("//"), "{target}");
                assert!(target.bytes().all(|byte| byte > b' ' && byte != b'#' && byte != 0x7f), "{target}");
                assert_eq!(plain(path).as_deref(), Ok(to.current().path), "it has one meaning");
            }
            Ok(Turn::Redirect { location, .. }) => {
                assert!(!location.starts_with(b"//"), "{}", location.escape_ascii());
            }
            Ok(Turn::Kept) | Err(_) => {}
        }
    }

    fn edits(&self, edits: &Edits) {
        let on_success = edits.on_success.iter().flat_map(|edits| edits.set.iter().chain(&edits.add));
        for (_, value) in edits.set.iter().chain(&edits.add).chain(on_success) {
            let made = value.of(Some(&self.facts()), &mut Vec::new());
            let is_line =
                |made: http::HeaderValue| !made.as_bytes().iter().any(|byte| b"\r\n\0".contains(byte));
            assert!(made.is_none_or(is_line), "a value is one line");
            if let Value::Template(text) = value {
                self.text(text);
            }
        }
    }

    fn text(&self, text: &Template) {
        let (mut once, mut again) = (Vec::new(), Vec::new());
        text.fill(&self.facts(), &mut once);
        text.fill(&self.facts(), &mut again);
        assert_eq!(once, again, "a request says the same each time");
    }

    /// What a name stands for is as long as its pieces, each of which a request, or the configuration, says.
    fn named(&self, named: &dyn NamedValue) {
        let mut made = Vec::new();
        named.fill(&self.facts(), &mut made);
        assert!(named.pieces() <= 1000, "{}", named.pieces());
        // A text of the configuration is as long as it is: no piece is longer than the input.
        let longest = self.bytes.saturating_add(LONGEST_MADE).max(named.definition().len());
        let most = named.pieces().saturating_mul(longest.max(4096));
        assert!(made.len() <= most, "{} of {most}", made.len());
    }
}

impl Questioned for FuzzedRequest {
    fn facts(&self) -> Facts<'_> {
        let uri = &self.head.uri;
        Facts {
            host: &self.host,
            authority: &self.host,
            client: self.client,
            port: 80,
            uri: uri.path_and_query().map_or(b"/", |target| target.as_str().as_bytes()),
            path: uri.path(),
            args: uri.query().unwrap_or_default(),
            request_id: b"0123",
            head: Some(&self.head),
            answer: Some(self),
            is_compared: true,
            ..Facts::NONE
        }
    }

    fn is_file(&self, path: &Path) -> bool {
        path.as_os_str().len() > 4
    }
}

impl AnswerFacts for FuzzedRequest {
    fn status(&self) -> u16 {
        200
    }

    fn field(&self, name: &HeaderName) -> Option<&[u8]> {
        self.head.headers.get(name).map(http::HeaderValue::as_bytes)
    }

    fn upstream(&self) -> &str {
        "127.0.0.1:3000"
    }

    fn upstream_status(&self) -> Option<u16> {
        Some(200)
    }

    fn upstream_us(&self, _: UpstreamSpan) -> Option<u64> {
        Some(1_234_567)
    }
}
