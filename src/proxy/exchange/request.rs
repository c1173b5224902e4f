//! What is remembered of one request while it is on its way.

mod elsewhere;

use crate::core::balance::Tried;
use crate::core::client::ClientKey;
use crate::core::compression::Compression;
use crate::core::limit::counts::Held;
use crate::core::mirror::Place;
use crate::core::outcome::{ArmId, Outcome};
use crate::core::own_limit::OwnLimit;
use crate::core::route::{Rewritten, RouteSpec};
use crate::core::settings::{Forwarded, Timeouts};
use crate::core::table::{InFlight, Pool, Service, Table, Upstream};
use crate::observe::access_log::Cut;
use crate::observe::clock::Clock;
use crate::observe::shard::{Shard, Started};
use crate::proxy::decide::choice::{By, Chosen, Cookies};
use crate::proxy::decide::plan::{self, Target};
use crate::proxy::headers::compress::Encoder;
use crate::proxy::lane::connection::Connection;
use crate::proxy::lane::http2::Stream;
use crate::proxy::lane::lasting::Lasting;
use crate::proxy::listen::bound::Bound;
use crate::proxy::measure::log_entry::Unlogged;
use crate::proxy::measure::mirror::Original;
use crate::proxy::upstream::registry::{AttemptRegistry, RegistryPlace};
use crate::proxy::wire::asked::{self, Asked};
use crate::proxy::wire::client_stream::Signals;
use crate::proxy::wire::target;
use http::request::Parts;
use pingora_http::RequestHeader;
use pingora_proxy::Session;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

/// One request. It keeps the table it was planned on: a change of weights never splits it.
pub(in crate::proxy) struct Request {
    pub table: Arc<Table>,
    shard: Arc<Shard>,
    registry: Arc<AttemptRegistry>,
    clock: Clock,
    /// The listener it came in by.
    pub listener: Option<Arc<Bound>>,
    /// Its connection, where it has one of its own (HTTP/1).
    pub connection: Option<Arc<Connection>>,
    /// Its stream, where it is one of several (HTTP/2).
    pub stream: Option<Arc<Stream>>,
    /// When its head had arrived, µs on the process clock.
    pub started_us: u64,
    /// The real client: the peer, or whom a trusted proxy names.
    pub client: IpAddr,
    /// What came, where other words for it stand in its head.
    pub asked: Option<Box<Asked>>,
    /// The number of its stream (HTTP/2).
    stream_number: u32,
    /// Whether that is written on a connection of its own.
    pub is_verbatim: bool,
    /// Whether its client waits to be told to send the body.
    pub expects: bool,
    /// Whether that is nobody in particular: a trusted proxy sent it, and names nobody that can be read.
    pub is_nameless: bool,
    /// Whether the peer is a trusted proxy, whose word on the client counts.
    pub believed: bool,
    /// What the request is called where no trusted proxy has named it: 32 hexadecimal digits.
    pub own_id: [u8; 32],
    /// The route it takes, by index.
    pub route: Option<usize>,
    /// Its path and query, where routes have changed them.
    pub rewritten: Option<Box<Rewritten>>,
    /// How often it has been changed.
    pub changes: u8,
    /// Whether the limits of a route have counted it.
    pub is_counted: bool,
    /// Largest body it may have, in bytes.
    pub max_body: u64,
    /// Its place in the client's limit of requests under way.
    pub held: Option<Held>,
    pub target: Option<Target>,
    /// What its pool was chosen by.
    pub by: Option<By>,
    /// What its answer sets, whoever makes it.
    pub cookies: Cookies,
    pub tried: Tried,
    /// Whether an own limit has sent it to another pool.
    pub moved: bool,
    /// Attempts made so far.
    pub attempts: u8,
    pub attempt: Option<Attempt>,
    /// How many attempts it made on the candidate, where stable answers it instead.
    pub shielded_after: Option<u8>,
    /// What came of the last attempt charged, and of those before it: for the access log. Without a retry
    /// nothing is allocated for them.
    pub last: Option<Ended>,
    pub earlier: Vec<Ended>,
    /// Interim answers (1xx) so far.
    pub interim: u8,
    /// Bytes of the body read from the client.
    pub body_read: u64,
    /// Time to the head of the last attempt's answer, µs.
    pub head_us: Option<u64>,
    /// Time to the end of the last attempt's answer, µs.
    pub response_us: Option<u64>,
    /// Time the last attempt took to get a connection, µs.
    pub connect_us: Option<u64>,
    /// The last upstream tried, by index.
    pub upstream: Option<usize>,
    /// Whether a kept connection has proved stale already.
    pub stale_seen: bool,
    /// How often an upstream has turned it away unprocessed, and how often it was taken back from one.
    pub turned_away: u8,
    pub recalls: u8,
    /// Whether the next attempt has a connection of its own, which no other request uses up.
    pub is_alone: bool,
    /// Where its attempt stands among those of the worker.
    pub place: Option<RegistryPlace>,
    /// Whether it failed because its body was so long in coming.
    pub is_late: bool,
    /// Attempts made before it was taken back.
    attempts_before: u8,
    /// Whether the connection to the upstream has had its last request.
    pub closes: bool,
    /// What ends it, where it is a long stream that may have to leave.
    pub lasting: Option<Lasting>,
    /// Whether its answer has no body, whatever the upstream sends.
    pub is_bodiless: bool,
    /// What the answer's body goes through.
    pub encoder: Option<Box<Encoder>>,
    /// What is kept of its answer, to be compared with that of its copy.
    pub original: Option<Box<Original>>,
    /// The status of its answer, 0 before it is known, and the bytes of the body so far.
    pub status: u16,
    pub sent: u64,
    /// Whether the client has been answered whole after a failure.
    pub is_answered: bool,
    /// Its line of the access log, until it is written.
    pub unlogged: Option<Unlogged>,
}

/// The attempt under way.
pub(in crate::proxy) struct Attempt {
    pub arm: ArmId,
    pub started: Started,
    /// When its clock started: µs on the process clock. While the request is not whole, when the last piece
    /// of its body came.
    pub started_us: u64,
    /// When it began.
    pub began_us: u64,
    pub phase: Phase,
    /// Whether its upstream had as many requests under way before it as connections are kept for.
    pub is_crowded: bool,
    pub _in_flight: InFlight,
    /// Its descriptor, where it has one of its own.
    pub place: Option<Place>,
}

/// An attempt whose outcome has been charged.
#[derive(Clone, Copy, Debug)]
pub(in crate::proxy) struct Ended {
    pub target: Option<Target>,
    /// By index; none where no upstream could take the request.
    pub upstream: Option<usize>,
    pub code: u16,
    pub outcome: Outcome,
    /// µs on the process clock: its start, its outcome, and the break of an answer that had begun.
    pub began_us: u64,
    pub known_us: u64,
    pub broke_us: Option<u64>,
}

/// A request that is given up halfway leaves its attempt behind, which counts as nothing, and its line of the
/// access log.
impl Drop for Request {
    fn drop(&mut self) {
        self.leave_registry();
        self.count_as_nothing();
        if let Some(unlogged) = self.unlogged.take() {
            let cut = self.stream.as_ref().and_then(|stream| stream.cut());
            unlogged.log(self, Some(cut.unwrap_or(Cut::Shutdown)));
        }
    }
}

impl Request {
    fn count_as_nothing(&mut self) {
        let Some(attempt) = self.attempt.take().filter(|attempt| attempt.phase == Phase::Waiting) else {
            return;
        };
        let now = self.clock.now_us();
        if let Some(pool) = self.pool() {
            self.shard.answered(attempt.arm, attempt.started, now, Outcome::Ignored, 0, &pool.slow);
        }
        let (target, upstream, began_us) = (self.target, self.upstream, attempt.started_us);
        let outcome = Outcome::Ignored;
        self.last =
            Some(Ended { target, upstream, code: 0, outcome, began_us, known_us: now, broke_us: None });
    }
}

/// How far an attempt has come, as far as its outcome goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::proxy) enum Phase {
    Waiting,
    /// Counted as a success when the head of its answer came; its body may still break.
    Succeeding,
    Counted,
}

impl Request {
    pub(in crate::proxy) fn new(
        table: Arc<Table>,
        shard: Arc<Shard>,
        registry: Arc<AttemptRegistry>,
        clock: Clock,
    ) -> Self {
        let started_us = clock.now_us();
        Request {
            table,
            shard,
            registry,
            clock,
            listener: None,
            connection: None,
            stream: None,
            started_us,
            client: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            asked: None,
            stream_number: 0,
            is_verbatim: false,
            expects: false,
            is_nameless: false,
            believed: false,
            own_id: [b'0'; 32],
            route: None,
            rewritten: None,
            changes: 0,
            is_counted: false,
            max_body: u64::MAX,
            held: None,
            target: None,
            by: None,
            cookies: Cookies::default(),
            tried: Tried::default(),
            moved: false,
            attempts: 0,
            attempt: None,
            shielded_after: None,
            last: None,
            earlier: Vec::new(),
            interim: 0,
            body_read: 0,
            head_us: None,
            response_us: None,
            connect_us: None,
            upstream: None,
            stale_seen: false,
            turned_away: 0,
            recalls: 0,
            is_alone: false,
            place: None,
            is_late: false,
            attempts_before: 0,
            closes: false,
            lasting: None,
            is_bodiless: false,
            encoder: None,
            original: None,
            status: 0,
            sent: 0,
            is_answered: false,
            unlogged: None,
        }
    }

    /// Takes our own fields off its head.
    pub(in crate::proxy) fn note_asked(&mut self, head: &mut RequestHeader) {
        let is_ours = self.connection.as_ref().is_none_or(|connection| connection.signals.is_settled());
        self.asked = asked::take(head, is_ours).map(Box::new);
        self.stream_number = asked::take_stream(head).unwrap_or_default();
    }

    /// The target that came, where only a connection of its own can carry it.
    pub(in crate::proxy) fn verbatim_target(&self, pool: &Pool) -> Option<&[u8]> {
        let is_possible = self.rewritten.is_none() && !pool.http2 && pool.tls.is_none();
        let asked = self.asked.as_deref().filter(|_| is_possible)?;
        (!target::fits(&asked.target)).then_some(&*asked.target)
    }

    /// Says something to its client before the answer.
    pub(in crate::proxy) fn say(&self, answer: &http::response::Parts) {
        match (&self.connection, &self.stream) {
            (Some(connection), _) => connection.signals.interim.send(answer),
            (None, Some(stream)) if self.stream_number > 0 => {
                stream.interim.send_on(self.stream_number, answer);
            }
            (None, _) => {}
        }
    }

    /// It goes to a pool.
    pub(in crate::proxy) fn take(&mut self, chosen: Chosen) {
        self.target = Some(chosen.target);
        self.by = Some(chosen.by);
        self.cookies = chosen.cookies;
    }

    pub(in crate::proxy) fn route(&self) -> Option<&RouteSpec> {
        self.table.route(self.route)
    }

    /// The client, as it is told apart from others.
    pub(in crate::proxy) fn client_key(&self) -> ClientKey {
        if self.is_nameless { ClientKey::NAMELESS } else { ClientKey::of(self.client) }
    }

    /// What the upstream is told of the client.
    pub(in crate::proxy) fn forwarded(&self) -> Forwarded {
        let own = self.route().and_then(|route| route.forwarded);
        own.or_else(|| Some(self.pool()?.forwarded)).unwrap_or_default()
    }

    /// The path and the query that it has now, as they are sent.
    pub(in crate::proxy) fn path_and_query<'a>(&'a self, head: &'a Parts) -> (&'a str, Option<&'a str>) {
        match &self.rewritten {
            Some(rewritten) => (rewritten.target().path(), rewritten.target().query()),
            None => (head.uri.path(), head.uri.query()),
        }
    }

    /// How its answer may be compressed, if it may.
    pub(in crate::proxy) fn compression(&self) -> Option<&Compression> {
        let compression = self.table.compression.as_deref()?;
        self.route().is_none_or(|route| route.compression).then_some(compression)
    }

    /// The pool's, but for what the route says otherwise.
    pub(in crate::proxy) fn timeouts(&self, pool: &Pool) -> Timeouts {
        self.route().map_or(pool.timeouts, |route| route.timeouts.over(pool.timeouts))
    }

    pub(in crate::proxy) fn service(&self) -> Option<&Service> {
        self.target?.service(&self.table)
    }

    pub(in crate::proxy) fn pool(&self) -> Option<&Pool> {
        self.target?.pool(&self.table)
    }

    /// The body has to keep what its route and its listener ask for.
    pub(in crate::proxy) fn expect_its_body(&self, session: &mut Session) {
        let listener = self.listener.as_ref().map(|listener| &listener.settings);
        let pace = plan::body_pace(session.req_header(), self.route(), listener);
        self.expect_body(session, pace);
    }

    /// The body has to keep this, from now on.
    pub(in crate::proxy) fn expect_body(&self, session: &mut Session, pace: (Duration, u64)) {
        session.set_read_timeout(Some(pace.0).filter(|silence| *silence < Duration::MAX));
        if let Some(signals) = self.signals() {
            signals.expect_body(pace);
        }
    }

    /// µs on the process clock.
    pub(in crate::proxy) fn now_us(&self) -> u64 {
        self.clock.now_us()
    }

    /// Who keeps the time until the head of an answer.
    pub(in crate::proxy) fn signals(&self) -> Option<&Signals> {
        let connection = self.connection.as_ref().map(|connection| &*connection.signals);
        connection.or_else(|| self.stream.as_ref().map(|stream| &stream.due.signals))
    }

    /// How long the head of an answer may take.
    pub(in crate::proxy) fn read_timeout(&self) -> Duration {
        self.pool().map_or(Duration::MAX, |pool| self.timeouts(pool).read)
    }

    /// The last attempt met the end of a connection: it does not count, and its upstream may be tried again;
    /// `alone` over a connection that others do not use up.
    pub(in crate::proxy) fn take_back(&mut self, alone: bool) {
        self.is_alone = alone;
        self.attempts = self.attempts.saturating_sub(1);
        if let Some(index) = self.upstream {
            self.tried.remove(index);
        }
    }

    /// Attempts made on the pool that the request is on now.
    pub(in crate::proxy) fn attempts_here(&self) -> u8 {
        self.attempts.saturating_sub(self.shielded_after.unwrap_or(0).max(self.attempts_before))
    }

    /// Counts a limit that the client has met.
    pub(in crate::proxy) fn met(&self, limit: OwnLimit) {
        self.shard.own_limit(limit);
    }

    pub(in crate::proxy) fn upstream(&self) -> Option<&Upstream> {
        self.pool()?.upstreams.get(self.upstream?)
    }
}
