//! Calls: each is asked of one member with a deadline of its own, and of the next where nothing can have happened.
//!
//! A question that changes nothing goes to the next member after a silence, too. A call that writes never does: it may have
//! taken effect, and only the caller knows how to find out.

use super::base::{Base, Line};
use super::call::CallFault;
use super::connection::EtcdConnection;
use super::fault::{EtcdFault, EtcdRefusal, RefusalReason};
use super::judged::Judged;
use super::messages::*;
use super::seen::Rewound;
use super::times::EtcdTimes;
use crate::core::settings::EtcdSettings;
use http::HeaderValue;
use prost::Message;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::time::timeout;

/// Members that one call is asked of, at most.
const MOST_TRIES: usize = 4;

/// A client of one cluster. Clones share their connection; it ends with the last of them.
#[derive(Clone, Debug)]
pub struct Etcd(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    base: Arc<Base>,
    line: Line,
}

/// What is called.
#[derive(Clone, Copy, Debug)]
pub(super) struct Method {
    pub path: &'static str,
    /// Whether it may change something.
    pub writes: bool,
    /// Whether the cluster as a whole answers, so that its revision tells a store that has fallen back.
    pub is_of_all: bool,
}

/// An answer with the header that most of etcd's have.
pub(super) trait Answered: Message + Default {
    fn header(&self) -> Option<&ResponseHeader>;

    fn revision(&self) -> i64 {
        self.header().map(|header| header.revision).unwrap_or_default()
    }
}

macro_rules! answered {
    ($($answer:ty),*) => {
        $(impl Answered for $answer {
            fn header(&self) -> Option<&ResponseHeader> {
                self.header.as_ref()
            }
        })*
    };
}

answered!(
    RangeResponse,
    PutResponse,
    DeleteRangeResponse,
    TxnResponse,
    LeaseGrantResponse,
    LeaseRevokeResponse,
    LeaseKeepAliveResponse,
    MemberListResponse,
    StatusResponse
);

/// Why an attempt has no answer.
enum Tried {
    Over(EtcdFault),
    /// Another member may be asked.
    Next(String),
    /// The token is not good, or one is missing.
    Token(EtcdFault, Option<HeaderValue>),
}

impl Etcd {
    /// A client that connects once it is asked something.
    ///
    /// # Errors
    /// A sentence: no TLS can be had with these settings.
    pub fn new(settings: EtcdSettings, times: EtcdTimes) -> Result<Self, String> {
        let base = Arc::new(Base::new(settings, times)?);
        Ok(Etcd(Arc::new(Inner { base, line: Line::default() })))
    }

    /// Changes each time when the store turns out to have fallen back; see [`Rewound`].
    pub fn falls(&self) -> watch::Receiver<Option<Rewound>> {
        self.0.base.seen.falls()
    }

    /// The highest revision that was seen.
    pub fn revision(&self) -> i64 {
        self.0.base.seen.revision()
    }

    /// A revision that is known from an earlier process: a store that is behind it has fallen back.
    pub fn expect(&self, revision: i64) {
        self.0.base.seen.expect(revision);
    }

    pub(super) fn base(&self) -> &Arc<Base> {
        &self.0.base
    }

    /// # Errors
    /// [`EtcdFault`].
    pub(super) async fn call<A: Answered>(
        &self,
        method: Method,
        question: &impl Message,
    ) -> Result<A, EtcdFault> {
        let (mut whys, mut is_renewed) = (Vec::new(), false);
        for _ in 0..self.0.base.endpoints.len().clamp(2, MOST_TRIES) {
            match self.attempt(method, question).await {
                Ok(answer) => return Ok(answer),
                Err(Tried::Over(fault)) => return Err(fault),
                Err(Tried::Next(why)) => whys.push(why),
                Err(Tried::Token(fault, refused)) => {
                    let can_renew = self.0.base.login.forget(refused.as_ref()).await;
                    if std::mem::replace(&mut is_renewed, true) || !can_renew {
                        return Err(fault);
                    }
                    whys.push(fault.to_string());
                }
            }
        }
        Err(EtcdFault::NotConnected(whys.join("; ")))
    }

    async fn attempt<A: Answered>(&self, method: Method, question: &impl Message) -> Result<A, Tried> {
        let Inner { base, line } = &*self.0;
        let connection = line.connection(base).await;
        let connection = connection.map_err(|why| Tried::Over(EtcdFault::NotConnected(why)))?;
        let token = match base.login.token(&connection, &base.times).await {
            Ok(token) => token,
            Err(EtcdFault::NotConnected(why)) => {
                line.leave(base, &connection).await;
                return Err(Tried::Next(why));
            }
            Err(fault) => return Err(Tried::Over(fault)),
        };
        let mark = base.seen.mark();
        let limit = base.times.call;
        let head = connection.head(method.path, token.clone(), Some(limit));
        let fault = match timeout(limit, head.unary::<A>(&connection.sender, question)).await {
            Ok(Ok(answer)) => {
                let header = answer.header().cloned().unwrap_or_default();
                match base.seen.hear(&header, method.is_of_all.then_some(mark)) {
                    Ok(()) => return Ok(answer),
                    Err(other) => CallFault::Broken(other.to_string()),
                }
            }
            Ok(Err(fault)) => fault,
            Err(_) => CallFault::Broken(format!("no answer within {} ms", limit.as_millis())),
        };
        Err(self.judged(method, &connection, token, fault).await)
    }

    /// What follows from a fault; whether another member is asked from now on.
    async fn judged(
        &self,
        method: Method,
        connection: &Arc<EtcdConnection>,
        token: Option<HeaderValue>,
        fault: CallFault,
    ) -> Tried {
        let Inner { base, line } = &*self.0;
        let endpoint = connection.endpoint.name.clone();
        let said = fault.to_string();
        let refused = |reason| {
            EtcdFault::Refused(EtcdRefusal { endpoint: endpoint.clone(), reason, said: said.clone() })
        };
        let is_harmless = match &fault {
            CallFault::Status(status) => match status.judged(base.login.name()) {
                Judged::Refused(reason @ (RefusalReason::Token | RefusalReason::NoUser)) => {
                    return Tried::Token(refused(reason), token);
                }
                Judged::Refused(reason) => return Tried::Over(refused(reason)),
                Judged::Elsewhere => true,
                Judged::Unknown => !method.writes,
            },
            CallFault::TooLarge(_) if !method.writes => {
                return Tried::Over(refused(RefusalReason::TooLarge));
            }
            CallFault::Unsent(_) => true,
            CallFault::TooLarge(_) | CallFault::Broken(_) => !method.writes,
        };
        line.leave(base, connection).await;
        match is_harmless {
            true => Tried::Next(format!("{endpoint}: {said}")),
            false => Tried::Over(EtcdFault::UnknownOutcome { endpoint, why: said }),
        }
    }
}
