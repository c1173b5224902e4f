//! What a text of the configuration may refer to, as nginx has it: `$host`, `$http_user_agent`, `$cookie_plan`,
//! and the values and look-ups that the configuration gives a name.

use super::pattern::GroupsFound;
use super::{credentials, fields, path};
use http::header::HOST;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Version};
use std::io::Write;
use std::net::IpAddr;
use std::sync::Arc;

/// What a text may refer to.
#[derive(Clone, Debug)]
pub enum Variable {
    /// The host the request names, in lower case and without its port.
    Host,
    /// The address of the client: behind trusted proxies, the one they name.
    RemoteAddr,
    /// The name that the client signs in with by basic authentication; where its route asks for a password, once that is
    /// the right one.
    RemoteUser,
    /// `http` or `https`: how the request came in.
    Scheme,
    /// `on` where the request came in by TLS, else nothing.
    Https,
    /// The port that the request came in at.
    ServerPort,
    /// `HTTP/1.1` and the like.
    Protocol,
    Method,
    /// Path and query as the client sent them.
    RequestUri,
    Path,
    /// The query, with its question mark's place left to the text.
    Args,
    /// A question mark where there is a query, else nothing.
    IsArgs,
    RequestId,
    /// The pool that the request was given to; nothing where it goes to none.
    Pool,
    /// A header field of the request; of several, the first.
    Header(HeaderName),
    Cookie(Box<str>),
    /// A parameter of the query, as it was sent.
    Parameter(Box<str>),
    /// A group of the pattern that a look-up has found.
    Group(PatternGroup),
    /// A value or a look-up of the configuration.
    Named(Arc<dyn NamedValue>),
    /// What is known with an answer.
    Answer(AnswerVariable),
}

/// What a text may refer to where there is an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnswerVariable {
    Status,
    /// The upstream that was tried last; what it answered, if it did; and how long that took, in seconds.
    UpstreamAddr,
    UpstreamStatus,
    UpstreamTime(UpstreamSpan),
    /// A header field of the answer, at the moment.
    Header(HeaderName),
}

/// A part of the time that an upstream took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamSpan {
    /// Until there was a connection: none where one was kept.
    Connect,
    /// Until the head of its answer, which is as far as an answer has come when its head is written.
    Head,
}

/// A group of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PatternGroup {
    /// From 1.
    Number(usize),
    Name(Box<str>),
}

/// A text with a name: a value or a look-up of the configuration.
pub trait NamedValue: std::fmt::Debug + Send + Sync {
    /// Appends its value for a request.
    fn fill(&self, facts: &Facts<'_>, out: &mut Vec<u8>);
    /// The variables that it is made of in the end, each once; none of them is a named one.
    fn variables(&self) -> &[Variable];
    /// How many pieces a text of it has at most.
    fn pieces(&self) -> usize;
    /// All of it, as it was configured: two that are written the same are the same.
    fn definition(&self) -> &str;
}

/// What variables are made of, for one request.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    pub host: &'a str,
    /// The host as the request names it, with its port if it has one.
    pub authority: &'a str,
    pub client: IpAddr,
    pub scheme: &'static str,
    pub port: u16,
    pub uri: &'a [u8],
    pub path: &'a str,
    pub args: &'a str,
    pub request_id: &'a [u8],
    pub pool: &'a str,
    /// Who has shown the right password, where the route asks for one: nobody, if nothing. `None` where it asks for none:
    /// then the name that the client gives.
    pub user: Option<&'a str>,
    /// What the client asked.
    pub head: Option<&'a Parts>,
    pub answer: Option<&'a dyn AnswerFacts>,
    /// Of the pattern that a look-up has found.
    pub groups: Option<&'a GroupsFound<'a>>,
    /// Whether the text is compared with others, or a key, and not sent: paths are in their plain form then, so that no
    /// way to write one is a way around.
    pub is_compared: bool,
}

/// What is known with an answer.
pub trait AnswerFacts: std::fmt::Debug {
    fn status(&self) -> u16;
    /// The first value of a field.
    fn field(&self, name: &HeaderName) -> Option<&[u8]>;
    fn upstream(&self) -> &str;
    /// Of the attempt that was made last; `None` where it had no answer.
    fn upstream_status(&self) -> Option<u16>;
    /// The same of its time, µs.
    fn upstream_us(&self, span: UpstreamSpan) -> Option<u64>;
}

impl Facts<'_> {
    /// Those of no request.
    pub const NONE: Facts<'static> = Facts {
        host: "",
        authority: "",
        client: IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED),
        scheme: "http",
        port: 0,
        uri: b"/",
        path: "/",
        args: "",
        request_id: b"",
        pool: "",
        user: None,
        head: None,
        answer: None,
        groups: None,
        is_compared: false,
    };

    /// The host is also what HTTP/2 says in place of the field.
    fn header(&self, name: &HeaderName) -> Option<&[u8]> {
        if *name == HOST {
            return Some(self.authority.as_bytes());
        }
        self.head?.headers.get(name).map(HeaderValue::as_bytes)
    }

    fn fill_path(&self, out: &mut Vec<u8>) {
        let plain = self.is_compared.then(|| path::plain(self.path).ok()).flatten();
        out.extend_from_slice(plain.as_deref().unwrap_or(self.path.as_bytes()));
    }
}

impl Variable {
    /// Those with a name of their own; others are made of a start and a name.
    pub const SIMPLE: [(&str, Variable); 20] = [
        ("host", Variable::Host),
        ("remote_addr", Variable::RemoteAddr),
        ("remote_user", Variable::RemoteUser),
        ("scheme", Variable::Scheme),
        ("https", Variable::Https),
        ("server_port", Variable::ServerPort),
        ("server_protocol", Variable::Protocol),
        ("request_method", Variable::Method),
        ("request_uri", Variable::RequestUri),
        ("path", Variable::Path),
        ("args", Variable::Args),
        ("is_args", Variable::IsArgs),
        ("request_id", Variable::RequestId),
        ("pool", Variable::Pool),
        ("status", Variable::Answer(AnswerVariable::Status)),
        ("upstream_addr", Variable::Answer(AnswerVariable::UpstreamAddr)),
        ("upstream_status", Variable::Answer(AnswerVariable::UpstreamStatus)),
        ("upstream_connect_time", Variable::Answer(AnswerVariable::UpstreamTime(UpstreamSpan::Connect))),
        ("upstream_header_time", Variable::Answer(AnswerVariable::UpstreamTime(UpstreamSpan::Head))),
        ("upstream_response_time", Variable::Answer(AnswerVariable::UpstreamTime(UpstreamSpan::Head))),
    ];

    /// The variable of a name that is built in.
    pub fn built_in(name: &str) -> Option<Variable> {
        let simple = Variable::SIMPLE.iter().find(|(known, _)| *known == name);
        if let Some((_, variable)) = simple {
            return Some(variable.clone());
        }
        let field = |rest: &str| HeaderName::try_from(rest.replace('_', "-")).ok();
        let behind = |start| name.strip_prefix(start).filter(|rest| !rest.is_empty());
        if let Some(rest) = behind("http_") {
            return field(rest).map(Variable::Header);
        }
        if let Some(rest) = behind("cookie_") {
            return Some(Variable::Cookie(rest.into()));
        }
        if let Some(rest) = behind("arg_") {
            return Some(Variable::Parameter(rest.into()));
        }
        let rest = behind("sent_http_").or_else(|| behind("upstream_http_"))?;
        field(rest).map(AnswerVariable::Header).map(Variable::Answer)
    }

    /// Whether it, or what it is made of, is like this.
    pub fn is_made_of(&self, is: &dyn Fn(&Variable) -> bool) -> bool {
        match self {
            Variable::Named(named) => named.variables().iter().any(is),
            variable => is(variable),
        }
    }

    pub fn is_of_answer(&self) -> bool {
        matches!(self, Variable::Answer(_))
    }

    /// Whether a client chooses its value as it likes.
    pub fn is_free(&self) -> bool {
        matches!(
            self,
            Variable::Header(_) | Variable::Cookie(_) | Variable::Parameter(_) | Variable::RemoteUser
        )
    }

    /// Appends its value for a request.
    pub fn fill(&self, facts: &Facts<'_>, out: &mut Vec<u8>) {
        match self {
            Variable::Host => out.extend(facts.host.bytes().map(|byte| byte.to_ascii_lowercase())),
            // Writing to a Vec cannot fail.
            Variable::RemoteAddr => drop(write!(out, "{}", facts.client)),
            Variable::RemoteUser => {
                if let Some(user) = facts.user {
                    return out.extend_from_slice(user.as_bytes());
                }
                let shown = facts.head.and_then(|head| credentials::of(&head.headers));
                out.extend_from_slice(shown.as_ref().map_or("", |shown| &*shown.name).as_bytes());
            }
            Variable::Scheme => out.extend_from_slice(facts.scheme.as_bytes()),
            Variable::Https => out.extend_from_slice(if facts.scheme == "https" { b"on" } else { b"" }),
            Variable::ServerPort => drop(write!(out, "{}", facts.port)),
            Variable::Protocol => {
                out.extend_from_slice(facts.head.map_or(b"", |head| protocol(head.version)))
            }
            Variable::Method => {
                out.extend_from_slice(facts.head.map_or("", |head| head.method.as_str()).as_bytes())
            }
            Variable::RequestUri => out.extend_from_slice(facts.uri),
            Variable::Path => facts.fill_path(out),
            Variable::Args => out.extend_from_slice(facts.args.as_bytes()),
            Variable::IsArgs => out.extend((!facts.args.is_empty()).then_some(b'?')),
            Variable::RequestId => out.extend_from_slice(facts.request_id),
            Variable::Pool => out.extend_from_slice(facts.pool.as_bytes()),
            Variable::Header(name) => out.extend_from_slice(facts.header(name).unwrap_or_default()),
            Variable::Cookie(name) => {
                let mut cookies =
                    facts.head.into_iter().flat_map(|head| fields::cookies(&head.headers, name));
                out.extend_from_slice(cookies.next().unwrap_or_default());
            }
            Variable::Parameter(name) => {
                out.extend_from_slice(fields::raw_parameter(facts.args, name).as_bytes())
            }
            Variable::Group(group) => fill_group(facts.groups, group, out),
            Variable::Named(named) => named.fill(facts, out),
            Variable::Answer(variable) => variable.fill(facts.answer, out),
        }
    }
}

impl AnswerVariable {
    fn fill(&self, answer: Option<&dyn AnswerFacts>, out: &mut Vec<u8>) {
        let Some(answer) = answer else { return };
        match self {
            AnswerVariable::Status => drop(write!(out, "{}", answer.status())),
            AnswerVariable::UpstreamStatus => {
                answer.upstream_status().iter().for_each(|status| drop(write!(out, "{status}")));
            }
            AnswerVariable::UpstreamTime(span) => {
                let seconds = |us: u64| (us / 1_000_000, us / 1000 % 1000);
                let span = answer.upstream_us(*span).map(seconds);
                span.iter().for_each(|(s, ms)| drop(write!(out, "{s}.{ms:03}")));
            }
            AnswerVariable::UpstreamAddr => out.extend_from_slice(answer.upstream().as_bytes()),
            AnswerVariable::Header(name) => out.extend_from_slice(answer.field(name).unwrap_or_default()),
        }
    }
}

/// Two are the same where they are written the same.
impl PartialEq for Variable {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Variable::Header(one), Variable::Header(other)) => one == other,
            (Variable::Cookie(one), Variable::Cookie(other)) => one == other,
            (Variable::Parameter(one), Variable::Parameter(other)) => one == other,
            (Variable::Group(one), Variable::Group(other)) => one == other,
            (Variable::Named(one), Variable::Named(other)) => one.definition() == other.definition(),
            (Variable::Answer(one), Variable::Answer(other)) => one == other,
            (one, other) => std::mem::discriminant(one) == std::mem::discriminant(other),
        }
    }
}

fn fill_group(groups: Option<&GroupsFound<'_>>, group: &PatternGroup, out: &mut Vec<u8>) {
    let Some(groups) = groups else { return };
    let found = match group {
        PatternGroup::Number(number) => groups.number(*number),
        PatternGroup::Name(name) => groups.name(name),
    };
    if groups.is_path { path::encode(found, out) } else { out.extend_from_slice(found) }
}

fn protocol(version: Version) -> &'static [u8] {
    match version {
        Version::HTTP_09 | Version::HTTP_10 => b"HTTP/1.0",
        Version::HTTP_2 => b"HTTP/2.0",
        _ => b"HTTP/1.1",
    }
}
