//! What a status of gRPC says of a call: whether it was surely not carried out.

use super::fault::RefusalReason;
use super::status::GrpcStatus;
use std::sync::Arc;

/// What a status of gRPC says of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Judged {
    Refused(RefusalReason),
    /// The member cannot serve, and has done nothing: another may.
    Elsewhere,
    /// It may have been done.
    Unknown,
}

impl GrpcStatus {
    /// What a status means, by its code and by etcd's words, which have not changed since 3.2.
    pub(super) fn judged(&self, user: Option<&Arc<str>>) -> Judged {
        let said = |words: &str| self.message.contains(words);
        Judged::Refused(match self.code {
            _ if said("invalid auth token") || said("revision of auth store is old") => RefusalReason::Token,
            _ if said("user name is empty") => RefusalReason::NoUser,
            _ if said("invalid user ID or password") => RefusalReason::Login { user: named(user) },
            _ if said("has been compacted") || said("is a future revision") => RefusalReason::Revision,
            _ if said("lease not found") => RefusalReason::LeaseNotFound,
            _ if said("database space exceeded") => RefusalReason::NoSpace,
            _ if said("request is too large") || said("received message larger than max") => {
                RefusalReason::TooLarge
            }
            _ if said("too many requests") => RefusalReason::Busy,
            7 => RefusalReason::Permission { user: user.cloned() },
            16 => RefusalReason::Token,
            3 | 5 | 6 | 8 | 9 | 11 | 12 | 15 => RefusalReason::Other,
            14 if said("etcdserver: no leader") || said("not capable") => return Judged::Elsewhere,
            _ => return Judged::Unknown,
        })
    }
}

fn named(user: Option<&Arc<str>>) -> Arc<str> {
    user.cloned().unwrap_or_else(|| "".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(code: u16, message: &str) -> Judged {
        GrpcStatus { code, message: message.to_owned() }.judged(Some(&"edge".into()))
    }

    #[test]
    fn only_what_surely_has_not_happened_is_a_refusal() {
        for (code, message) in [
            (2, "raft proposal dropped"),
            (4, "context deadline exceeded"),
            (14, "etcdserver: request timed out"),
            (14, "etcdserver: request timed out, possibly due to previous leader failure"),
            (14, "etcdserver: leader changed"),
            (14, "etcdserver: server stopped"),
            (13, "internal"),
            (1, "cancelled"),
            (99, ""),
        ] {
            assert_eq!(judged(code, message), Judged::Unknown, "{message}");
        }
        assert_eq!(judged(14, "etcdserver: no leader"), Judged::Elsewhere);
    }

    #[test]
    fn reasons_go_by_the_words_of_etcd() {
        let user: Arc<str> = "edge".into();
        for (code, message, reason) in [
            (16, "etcdserver: invalid auth token", RefusalReason::Token),
            (3, "etcdserver: revision of auth store is old", RefusalReason::Token),
            (3, "etcdserver: user name is empty", RefusalReason::NoUser),
            (
                3,
                "etcdserver: authentication failed, invalid user ID or password",
                RefusalReason::Login { user: user.clone() },
            ),
            (7, "etcdserver: permission denied", RefusalReason::Permission { user: Some(user.clone()) }),
            (11, "etcdserver: mvcc: required revision has been compacted", RefusalReason::Revision),
            (5, "etcdserver: requested lease not found", RefusalReason::LeaseNotFound),
            (8, "etcdserver: mvcc: database space exceeded", RefusalReason::NoSpace),
            (3, "etcdserver: request is too large", RefusalReason::TooLarge),
            (8, "etcdserver: too many requests", RefusalReason::Busy),
            (3, "etcdserver: duplicate key given in txn request", RefusalReason::Other),
        ] {
            assert_eq!(judged(code, message), Judged::Refused(reason), "{message}");
        }
    }
}
