//! The task that has an instance's part in the fleet: it owns the session and the member, and carries out what that wants.
//!
//! What is decided is decided in [`crate::core::fleet::member`]; what is in effect is the controller's to show. This
//! task brings them together with the store: events in, transactions out, each with its own deadline, and what became of
//! a change is taken from the store itself where its answer is lost.

mod carrying;
mod certificates;
mod evidence;
mod forgetting;
mod pruning;
mod shown;
mod site;
mod writes;

use super::convert;
use super::etcd::{Etcd, EtcdFault, Listing};
use super::session::{FleetSession, ReadCause, SessionEvent, SessionSettings, Tenure};
use crate::control::command::Refusal;
use crate::control::fleet::{FleetNews, FleetOrder, Forget};
use crate::control::journal::Journal;
use crate::core::fleet::member::{CommitOutcome, FleetMember, FleetOutput};
use crate::core::fleet::status::FleetView;
use crate::core::fleet::store::StoreTransaction;
use crate::core::service::Moment;
use crate::observe::clock::{Clock, wall};
use crate::observe::metrics::FleetTimes;
use carrying::Known;
pub(super) use certificates::AcmeSharing;
use certificates::WriteAnswer;
use evidence::Gatherings;
use shown::Standings;
use site::Site;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::sleep;
use writes::Writes;

/// Between two looks at the clock, while nothing is under way and while something is.
const TICK: Duration = Duration::from_secs(1);
const BUSY_TICK: Duration = Duration::from_millis(100);

pub(super) struct FleetTask {
    member: FleetMember,
    etcd: Etcd,
    settings: SessionSettings,
    /// `None` while another process has this member's part.
    session: Option<FleetSession>,
    tenure: Tenure,
    news: mpsc::UnboundedSender<FleetNews>,
    view: watch::Sender<Arc<FleetView>>,
    refused: watch::Sender<Option<String>>,
    journal: Journal,
    clock: Clock,
    times: FleetTimes,
    /// When the store was heard last.
    heard_at: Duration,
    /// Calls that are under way.
    calls: JoinSet<Finished>,
    /// Transactions that wait for a lease.
    deferred: Vec<StoreTransaction>,
    reads: Reads,
    writes: Writes,
    forgets: Vec<(String, oneshot::Sender<Result<(), Refusal>>)>,
    standings: Standings,
    gatherings: Gatherings,
    site: Site,
    known: Known,
    acme: AcmeSharing,
    /// Why the store is not heard.
    detail: Option<String>,
}

/// Readings of everything, by number.
#[derive(Debug, Default)]
struct Reads {
    begun: u64,
    done: u64,
    /// Those up to this one were begun on a connection that is lost.
    void: u64,
    /// Whether another one follows the one under way.
    again: bool,
}

/// A call that has come to its end.
enum Finished {
    Commit(String, CommitOutcome),
    Read(u64, Result<Listing, EtcdFault>),
    /// Counts about a service's candidate; whether they are stored.
    Pushed(Arc<str>, bool),
    /// A write of what is shared of the certificate.
    Shared(Result<u64, String>, WriteAnswer),
    /// One whose end makes no difference.
    PutAway,
}

impl FleetTask {
    pub(super) fn new(
        member: FleetMember,
        (etcd, settings): (Etcd, SessionSettings),
        (journal, clock, times): (Journal, Clock, FleetTimes),
        (news, view, refused): (
            mpsc::UnboundedSender<FleetNews>,
            watch::Sender<Arc<FleetView>>,
            watch::Sender<Option<String>>,
        ),
        acme: AcmeSharing,
    ) -> Self {
        FleetTask {
            member,
            etcd,
            settings,
            session: None,
            tenure: Tenure::default(),
            news,
            view,
            refused,
            journal,
            clock,
            times,
            heard_at: clock.now(),
            calls: JoinSet::new(),
            deferred: Vec::new(),
            reads: Reads::default(),
            writes: Writes::default(),
            forgets: Vec::new(),
            standings: Standings::default(),
            gatherings: Gatherings::default(),
            site: Site::default(),
            known: Known::default(),
            acme,
            detail: None,
        }
    }

    /// Runs until the controller is gone.
    pub(super) async fn run(
        mut self,
        mut orders: mpsc::UnboundedReceiver<FleetOrder>,
        mut forgets: mpsc::Receiver<Forget>,
    ) {
        self.session = Some(FleetSession::start(self.etcd.clone(), self.settings.clone()));
        // What was kept is in effect until the store is heard.
        self.with(FleetMember::tick);
        loop {
            self.look_after();
            let pause = if self.writes.is_empty() && self.forgets.is_empty() { TICK } else { BUSY_TICK };
            let pause = self.gatherings.pause(self.clock.now(), pause);
            tokio::select! {
                biased;
                order = orders.recv() => match order {
                    Some(FleetOrder::StepDown(left)) => self.step_down(left).await,
                    Some(order) => self.order(order),
                    None => return,
                },
                Some(event) = next(&mut self.session) => self.event(event),
                Some(Ok(finished)) = self.calls.join_next() => self.finished(finished),
                request = self.acme.next() => self.acme_request(request),
                Some((name, by, to)) = forgets.recv() => self.forget(&name, &by, to),
                () = sleep(pause) => self.with(FleetMember::tick),
            }
        }
    }

    /// Has the member take something in, and does what it wants.
    fn with(&mut self, take: impl FnOnce(&mut FleetMember, Moment<'_>) -> Vec<FleetOutput>) {
        let at = format!("{:.3}", wall());
        let moment = Moment { now: self.clock.now(), wall: &at };
        let outputs = take(&mut self.member, moment);
        self.carry_out(outputs);
    }

    fn event(&mut self, event: SessionEvent) {
        self.heard_at = self.clock.now();
        match event {
            // A reading follows, and that is what counts.
            SessionEvent::Connected => self.detail = None,
            SessionEvent::Disconnected(fault) => {
                tracing::warn!("the fleet is not heard: {fault}; what is in effect stays");
                self.detail = Some(fault.to_string());
                self.lose();
            }
            SessionEvent::Read(cause, listing) => {
                // Changes are missing that others have answered to.
                if matches!(cause, ReadCause::Compacted | ReadCause::Rewound) {
                    self.lose();
                }
                self.read(&listing);
            }
            SessionEvent::Changed(changes) => {
                for (revision, events) in convert::events(&changes) {
                    self.note(events.iter().filter_map(|event| Some((&event.key, event.value.as_ref()?))));
                    self.with(|member, moment| member.changed(events, revision, moment));
                }
            }
            SessionEvent::Rewound(fallen) => {
                tracing::error!("the fleet's store has fallen back: {fallen:?}; what is in effect stays");
            }
            SessionEvent::Tenure(tenure) => {
                if tenure.lease != self.tenure.lease {
                    self.gatherings.lost();
                }
                self.tenure = tenure;
                if tenure.lease.is_some() {
                    std::mem::take(&mut self.deferred).into_iter().for_each(|waiting| self.commit(waiting));
                }
            }
        }
    }

    /// The store is not heard any more. What was asked for on the connection that is lost says nothing of the next one.
    fn lose(&mut self) {
        self.member.lost();
        self.deferred.clear();
        self.reads.void = self.reads.begun;
    }

    fn read(&mut self, listing: &Listing) {
        self.detail = None;
        let contents = convert::contents(listing);
        self.known.keep(&contents);
        self.note(contents.entries.iter());
        self.prune(&contents);
        self.with(|member, moment| member.read(contents, moment));
    }

    fn finished(&mut self, finished: Finished) {
        match finished {
            Finished::Commit(id, outcome) => {
                let reads = self.reads.begun + 1;
                let is_open = matches!(outcome, CommitOutcome::Overtaken | CommitOutcome::Unknown);
                if self.writes.answered(&id, outcome, reads) {
                    if is_open {
                        self.begin_read();
                    }
                } else if !self.forgotten(&id, outcome) && !self.site_answered(&id, outcome) {
                    self.with(|member, moment| member.committed(&id, outcome, moment));
                }
            }
            Finished::Pushed(service, is_stored) => {
                self.gatherings.pushed(&service, is_stored, self.clock.now());
            }
            Finished::Shared(written, to) => self.acme_written(written, to),
            Finished::PutAway => {}
            Finished::Read(number, result) => {
                self.reads.done = number;
                match result {
                    Ok(listing) if number > self.reads.void && self.is_current(&listing) => {
                        self.read(&listing)
                    }
                    _ => self.reads.again |= self.member.is_connected(),
                }
                if std::mem::take(&mut self.reads.again) {
                    self.begin_read();
                }
            }
        }
    }

    /// Whether a reading is not older than what was heard since.
    fn is_current(&self, listing: &Listing) -> bool {
        u64::try_from(listing.revision).is_ok_and(|revision| revision >= self.member.view().revision())
    }

    fn order(&mut self, order: FleetOrder) {
        match order {
            FleetOrder::Write(write) => self.write(*write),
            FleetOrder::Abort { service, rollout, why, rows } => {
                self.with(|member, moment| member.abort_with((&service, &rollout, &why), rows, moment));
            }
            FleetOrder::Configured { services, config } => {
                let services = services.iter().map(ToString::to_string);
                self.with(|member, moment| member.configure(services, config, moment));
            }
            FleetOrder::Site(write) => self.write_site(*write),
            FleetOrder::Rang(service) => self.gatherings.rang(&service),
            FleetOrder::Counted { service, counted } => {
                self.counted(&service, counted.map(|counted| *counted));
            }
            // It is taken where orders are.
            FleetOrder::StepDown(_) => {}
            FleetOrder::StepUp => {
                if self.session.is_none() {
                    self.session = Some(FleetSession::start(self.etcd.clone(), self.settings.clone()));
                }
                self.publish_all();
                self.tell_site();
            }
        }
    }

    /// Another process of this member goes on, or none does.
    async fn step_down(&mut self, left: oneshot::Sender<()>) {
        if let Some(session) = self.session.take() {
            session.store().leave().await;
        }
        self.lose();
        self.tenure = Tenure::default();
        // Who asked may have gone on without.
        let _ = left.send(());
    }
}

/// The next event of a session; none without one.
async fn next(session: &mut Option<FleetSession>) -> Option<SessionEvent> {
    match session {
        Some(session) => session.next().await,
        None => std::future::pending().await,
    }
}
