//! Why a call has no answer, told by what the caller may conclude of it: that nothing has changed, or that it must look.

use std::fmt;
use std::sync::Arc;

/// Why a call to etcd has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EtcdFault {
    /// A member has decided against it. Nothing has changed.
    #[error("{0}")]
    Refused(EtcdRefusal),
    /// It was sent, and no word came back: it may have taken effect, or still may within seconds. Read it back.
    #[error("{endpoint}: {why}; whether it has taken effect is not known")]
    UnknownOutcome { endpoint: Arc<str>, why: String },
    /// No member could be asked, or one was and had no answer to a question that changes nothing. Nothing has changed.
    #[error("etcd is not reached: {0}")]
    NotConnected(String),
}

/// What a member said against a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EtcdRefusal {
    pub endpoint: Arc<str>,
    pub reason: RefusalReason,
    /// The member's own words.
    pub said: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RefusalReason {
    /// The user or the password is wrong.
    Login {
        user: Arc<str>,
    },
    /// etcd asks for a user, and none is known by the call.
    NoUser,
    /// The user may not do this with these keys. `None` is the certificate's, if there is any.
    Permission {
        user: Option<Arc<str>>,
    },
    /// The token is not good any more. The client takes another and asks again, so that callers see it only where that
    /// has not helped.
    Token,
    /// The revision that was asked for is gone, or is none yet.
    Revision,
    LeaseNotFound,
    /// etcd's quota is used up: nothing can be written, but for deletes.
    NoSpace,
    /// The request, or the answer, is larger than allowed.
    TooLarge,
    /// Too many requests wait already.
    Busy,
    Other,
}

impl EtcdFault {
    /// Whether a call that writes may have taken effect all the same.
    pub fn is_unknown(&self) -> bool {
        matches!(self, EtcdFault::UnknownOutcome { .. })
    }

    pub fn refusal(&self) -> Option<&RefusalReason> {
        match self {
            EtcdFault::Refused(refusal) => Some(&refusal.reason),
            _ => None,
        }
    }
}

impl fmt::Display for EtcdRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.endpoint, self.said)?;
        match &self.reason {
            RefusalReason::Login { user } => {
                write!(f, "; check the user {user:?} and its password: etcdctl user get {user}")
            }
            RefusalReason::NoUser => f.write_str(
                "; etcd has its users switched on: set user and password, or a client certificate with a user's name \
                 as its CN",
            ),
            RefusalReason::Permission { user: Some(user) } => write!(
                f,
                "; give a role of the user {user:?} read and write on the prefix: etcdctl role grant-permission \
                 --prefix=true ROLE readwrite PREFIX"
            ),
            RefusalReason::Permission { user: None } => f.write_str(
                "; give a role of the user that the client certificate names as its CN read and write on the prefix",
            ),
            RefusalReason::NoSpace => {
                f.write_str("; compact and defragment etcd, then etcdctl alarm disarm; or raise --quota-backend-bytes")
            }
            RefusalReason::Token
            | RefusalReason::Revision
            | RefusalReason::LeaseNotFound
            | RefusalReason::TooLarge
            | RefusalReason::Busy
            | RefusalReason::Other => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_helps() {
        let said = |reason| {
            let refusal = EtcdRefusal { endpoint: "http://a:1".into(), reason, said: "no".into() };
            EtcdFault::Refused(refusal).to_string()
        };
        let login = said(RefusalReason::Login { user: "edge".into() });
        assert_eq!(login, "http://a:1: no; check the user \"edge\" and its password: etcdctl user get edge");
        assert!(said(RefusalReason::NoUser).contains("client certificate"));
        assert!(said(RefusalReason::NoSpace).contains("alarm disarm"));
    }
}
