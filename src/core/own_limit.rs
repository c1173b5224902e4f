//! What the proxy itself is short of, or does not allow: counted apart, and charged to no pool.
//!
//! A version is not worse for it that this process has no descriptor left, that an upstream has as many requests as
//! its `max_conns` says, or that a client sends too much. Whatever fails for such a reason is no outcome of an
//! attempt, ejects nobody, and changes no state of a check; operators hear of it instead.

use std::error::Error;
use std::io;

/// One kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnLimit {
    /// Every upstream of a pool that is ready has as many requests as it may.
    MaxConns,
    /// `limits.connections`, or a listener's.
    Connections,
    /// A listener's limit of one client.
    ClientConnections,
    /// EMFILE or ENFILE, or no descriptor that is not kept back.
    Descriptors,
    /// ENOBUFS, ENOMEM or ENOSPC (of epoll); or what connections of clients may hold.
    Memory,
    /// EADDRNOTAVAIL: every local port towards an address is taken.
    Ports,
    /// A client asked too often.
    Rate,
    /// A request's body is larger than it may be.
    Body,
    /// A request's head is larger than it may be.
    Header,
    /// A client took too long.
    ClientTime,
    /// A request came back to this proxy again and again.
    Hops,
}

impl OwnLimit {
    pub const ALL: [OwnLimit; 11] = [
        OwnLimit::MaxConns,
        OwnLimit::Connections,
        OwnLimit::ClientConnections,
        OwnLimit::Descriptors,
        OwnLimit::Memory,
        OwnLimit::Ports,
        OwnLimit::Rate,
        OwnLimit::Body,
        OwnLimit::Header,
        OwnLimit::ClientTime,
        OwnLimit::Hops,
    ];

    /// The label in metrics.
    pub fn label(self) -> &'static str {
        match self {
            OwnLimit::MaxConns => "max_conns",
            OwnLimit::Connections => "connections",
            OwnLimit::ClientConnections => "connections_per_client",
            OwnLimit::Descriptors => "descriptors",
            OwnLimit::Memory => "memory",
            OwnLimit::Ports => "ports",
            OwnLimit::Rate => "rate",
            OwnLimit::Body => "body",
            OwnLimit::Header => "header",
            OwnLimit::ClientTime => "client_time",
            OwnLimit::Hops => "hops",
        }
    }

    /// What happened and what helps; `None` for what clients alone bring about.
    pub fn advice(self) -> Option<&'static str> {
        Some(match self {
            OwnLimit::MaxConns => {
                "max_conns of every ready upstream of a pool was reached; raise it or add upstreams"
            }
            OwnLimit::Connections => {
                "limits.connections was reached, of the process or of a listener: clients wait or are closed; \
                 raise it, and the limit of file descriptors with it"
            }
            OwnLimit::Descriptors => {
                "no file descriptor was free; raise the limit (LimitNOFILE=, ulimits.nofile) or lower \
                 limits.connections"
            }
            OwnLimit::Memory => {
                "memory was short, for a socket of the system or for connections of clients: the longest idle were \
                 closed, others wait; raise the limit of the control group (mem_limit, MemoryMax)"
            }
            OwnLimit::Ports => {
                "every local port towards an upstream was taken; keep more connections, add upstreams or widen \
                 net.ipv4.ip_local_port_range"
            }
            OwnLimit::Hops => {
                "a request came back to this proxy again and again; an upstream of some pool leads back here"
            }
            OwnLimit::ClientConnections
            | OwnLimit::Rate
            | OwnLimit::Body
            | OwnLimit::Header
            | OwnLimit::ClientTime => return None,
        })
    }

    /// For an answer that the proxy makes itself.
    pub fn of_status(status: u16) -> Option<Self> {
        match status {
            408 => Some(OwnLimit::ClientTime),
            413 => Some(OwnLimit::Body),
            431 => Some(OwnLimit::Header),
            508 => Some(OwnLimit::Hops),
            _ => None,
        }
    }

    /// Whether an error, or what caused it, is the system's word that this process is short of something. That of
    /// [`OwnLimit::Ports`] may also mean that an address cannot be reached from here at all.
    pub fn of_error(error: &(dyn Error + 'static)) -> Option<Self> {
        let mut cause = Some(error);
        while let Some(error) = cause {
            let code = error.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error);
            if let Some(limit) = code.and_then(OwnLimit::of_code) {
                return Some(limit);
            }
            cause = error.source();
        }
        None
    }

    /// By Linux's numbers, which are the same on x86-64 and ARM.
    fn of_code(code: i32) -> Option<Self> {
        match code {
            // ENFILE, EMFILE
            23 | 24 => Some(OwnLimit::Descriptors),
            // ENOMEM, ENOSPC, ENOBUFS
            12 | 28 | 105 => Some(OwnLimit::Memory),
            // EADDRNOTAVAIL
            99 => Some(OwnLimit::Ports),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outside")]
    struct Outside(#[source] io::Error);

    #[test]
    fn the_systems_word_is_found_at_any_depth() {
        let of = |code| OwnLimit::of_error(&Outside(io::Error::from_raw_os_error(code)));
        for code in [23, 24] {
            assert_eq!(of(code), Some(OwnLimit::Descriptors));
        }
        for code in [12, 28, 105] {
            assert_eq!(of(code), Some(OwnLimit::Memory));
        }
        assert_eq!(of(99), Some(OwnLimit::Ports));
        // Refused, reset, timed out, unreachable, not permitted.
        for code in [111, 104, 110, 113, 101, 13, 1] {
            assert_eq!(of(code), None, "{code}");
        }
        assert_eq!(OwnLimit::of_error(&Outside(io::ErrorKind::ConnectionRefused.into())), None);
    }

    #[test]
    fn the_numbers_are_those_of_this_system() {
        use rustix::io::Errno;
        for errno in
            [Errno::NFILE, Errno::MFILE, Errno::NOMEM, Errno::NOSPC, Errno::NOBUFS, Errno::ADDRNOTAVAIL]
        {
            assert!(OwnLimit::of_code(errno.raw_os_error()).is_some(), "{errno}");
        }
    }

    #[test]
    fn each_has_a_label_of_its_own() {
        let mut labels = OwnLimit::ALL.map(OwnLimit::label);
        labels.sort_unstable();
        assert!(labels.windows(2).all(|pair| pair[0] != pair[1]));
        assert!(OwnLimit::ALL.iter().enumerate().all(|(index, limit)| *limit as usize == index));
    }
}
