//! The process's own settings: `[server]`, `[limits]`, `[admin]`, `[access_log]`.

use super::reader::{Item, Section};
use super::{cohort, tls, weak};
use crate::core::retention::Retention;
use crate::core::settings::{AccessLog, Admin, LogFormat, ProcessLimits, ProcessLog, Role, Server, Token};
use crate::core::text;
use crate::core::trace::{TraceMode, Tracing};
use sha2::{Digest, Sha256};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

const DEFAULT_ADMIN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9900);

/// What bodies and unread answers may hold together, at least.
const LEAST_MEMORY: u64 = 1 << 20;

const TRACES: [(&str, TraceMode); 3] =
    [("propagate", TraceMode::Propagate), ("inject", TraceMode::Inject), ("off", TraceMode::Off)];
const LOGS: [(&str, ProcessLog); 2] = [("text", ProcessLog::Text), ("json", ProcessLog::Json)];

pub(super) fn server(section: &Section<'_>) -> Server {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    let threads = section.read("threads", 0, |item| item.integer(0..=256)) as usize;
    let server = Server {
        threads: if threads == 0 { cores() } else { threads },
        state_dir: section.read("state_dir", "/var/lib/pointsman".into(), Item::file),
        grace: section.duration("grace", Duration::from_secs(25)),
        drain_delay: section.read("drain_delay", Duration::ZERO, |item| {
            item.duration(Duration::ZERO..=Duration::from_secs(3600))
        }),
        expose_pool: cohort::expose_pool(section),
        retention: retention(&section.section("retention")),
        tracing: Tracing {
            mode: section.read("trace", TraceMode::default(), |item| item.choice(&TRACES)),
            ..Tracing::default()
        },
        log: section.read("log", ProcessLog::default(), |item| item.choice(&LOGS)),
    };
    section.finish();
    server
}

/// `[limits]`: of the process.
pub(super) fn process_limits(section: &Section<'_>) -> ProcessLimits {
    let connections = section.item("connections").and_then(|item| item.integer(1..=10_000_000));
    let memory = section.item("memory").and_then(|item| {
        let remedy = "must be at least 1M: one body and one unread answer have to fit";
        item.size_within(LEAST_MEMORY..=u64::MAX, remedy)
    });
    section.finish();
    ProcessLimits { connections: connections.map(|count| count as u32), memory }
}

fn retention(section: &Section<'_>) -> Retention {
    let default = Retention::default();
    let number = |item: &Item<'_>| item.integer(0..=100_000_000);
    let retention = Retention {
        history: section.read("history", default.history, number),
        rollouts: section.read("rollouts", default.rollouts, number),
        age: section.read("age", default.age, |item| {
            item.duration(Duration::ZERO..=Duration::from_secs(100 * 366 * 86_400))
        }),
    };
    section.finish();
    retention
}

/// The address, and whether clients speak TLS there.
pub(super) fn place_of_admin(section: &Section<'_>) -> Option<(SocketAddr, bool)> {
    let listen = section.item("listen");
    let address = listen.as_ref().map_or(Some(DEFAULT_ADMIN), address)?;
    Some((address, section.item("tls").is_some()))
}

pub(super) fn admin(section: &Section<'_>) -> Option<Admin> {
    let listen = section.item("listen");
    let address = listen.as_ref().map_or(Some(DEFAULT_ADMIN), address)?;
    let sections = section.tables("tokens");
    let mut tokens: Vec<Token> = Vec::new();
    for section in &sections {
        let Some(token) = token(section) else { continue };
        if let Some(other) = tokens.iter().find(|other| other.sha256 == token.sha256) {
            let detail = format!("is the token of {}, too: nobody could tell who it is", other.name);
            section.fault(&detail);
        }
        tokens.push(token);
    }
    let tls = section.item("tls").map(|item| tls::of_admin(&item.section()?));
    section.finish();
    let admin = Admin { listen: address, tokens, tls: tls.transpose_ok()? };
    if admin.tokens.is_empty() && !admin.knows_clients() && !address.ip().is_loopback() {
        let detail = "the admin API listens off loopback, so it needs a token or tls.client_ca; \
                      `pointsman token new` makes one";
        listen.as_ref().map_or_else(|| section.fault(detail), |item| item.fault(detail));
        return None;
    }
    Some(admin)
}

fn token(section: &Section<'_>) -> Option<Token> {
    let name = section.need("name", "the history names who did what by it", |item| {
        item.parsed(|text| match text.is_empty() {
            true => Err("is empty; the history names who did what by it".to_owned()),
            false => text::check(text).map(|()| text.to_owned()),
        })
    });
    let roles = [("read", Role::Read), ("deploy", Role::Deploy), ("admin", Role::Admin)];
    let role = section.need("role", "write read, deploy or admin", |item| item.choice(&roles));
    let hash = |item: &Item<'_>, secret: String| -> Option<[u8; 32]> {
        let secret = secret.trim();
        if secret.is_empty() {
            item.fault(
                "is empty: whoever sends no token at all would have it; `pointsman token new` makes one",
            );
            return None;
        }
        if secret.chars().count() < weak::SHORT {
            item.warn("this token is short and can be guessed; `pointsman token new` makes one that cannot");
        }
        Some(Sha256::digest(secret.as_bytes()).into())
    };
    let from_file = |item: &Item<'_>| {
        let path = item.file()?;
        std::fs::read_to_string(&path).map_err(|e| item.fault(&format!("{}: {e}", path.display()))).ok()
    };
    let given = [
        section.item("sha256").map(|item| item.parsed(hex)),
        section.item("env").map(|item| item.variable().and_then(|secret| hash(&item, secret))),
        section.item("file").map(|item| from_file(&item).and_then(|secret| hash(&item, secret))),
    ];
    section.finish();
    let mut given = given.into_iter().flatten();
    let sha256 = given.next();
    if sha256.is_none() || given.next().is_some() {
        section.fault("needs one of sha256, env and file; `pointsman token new` prints the line");
    }
    Some(Token { name: name?, role: role?, sha256: sha256?? })
}

fn hex(text: &str) -> Result<[u8; 32], String> {
    let wrong = || "is no SHA-256: 64 hexadecimal digits, as `pointsman token new` prints them".to_owned();
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return Err(wrong());
    }
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        let digits = std::str::from_utf8(digits).map_err(|_| wrong())?;
        *byte = u8::from_str_radix(digits, 16).map_err(|_| wrong())?;
    }
    if bytes == <[u8; 32]>::from(Sha256::digest("")) {
        return Err(
            "is the hash of nothing: whoever sends an empty token would have it; `pointsman token new` \
                    makes one"
                .to_owned(),
        );
    }
    Ok(bytes)
}

pub(super) fn access_log(section: &Section<'_>) -> Option<AccessLog> {
    let path = section.need("path", "name a file, or \"-\" for standard output", |item| {
        let path = item.file()?;
        Some(if path.ends_with("-") { None } else { Some(path) })
    });
    let formats = [("json", LogFormat::Json), ("combined", LogFormat::Combined)];
    let format = section.read("format", LogFormat::Json, |item| item.choice(&formats));
    section.finish();
    Some(AccessLog { path: path?, format })
}

/// `Some(None)` in, nothing out: a faulty part makes the whole faulty.
pub(super) trait TransposeOk<T> {
    fn transpose_ok(self) -> Option<Option<T>>;
}

impl<T> TransposeOk<T> for Option<Option<T>> {
    fn transpose_ok(self) -> Option<Option<T>> {
        match self {
            None => Some(None),
            Some(Some(value)) => Some(Some(value)),
            Some(None) => None,
        }
    }
}

/// A list of networks or addresses.
pub(super) fn networks(section: &Section<'_>, key: &'static str) -> Vec<ipnet::IpNet> {
    let network = |text: &str| {
        let host = text.parse::<IpAddr>().map(ipnet::IpNet::from);
        host.or_else(|_| text.parse())
            .map_err(|_| format!("\"{text}\" is no network; write 10.0.0.0/8 or one address"))
    };
    let items = section.item(key).and_then(|item| item.array()).unwrap_or_default();
    items.iter().filter_map(|item| item.parsed(network)).collect()
}

pub(super) fn address(item: &Item<'_>) -> Option<SocketAddr> {
    item.parsed(|text| {
        text.parse().map_err(|_| format!("\"{text}\" is no address with a port; write 0.0.0.0:80 or [::]:80"))
    })
}
