//! Which answers are failures of the version that gives them.

/// Statuses of HTTP that can be told apart: 0 to 639.
const WORDS: usize = 10;

/// The names of gRPC's status codes, by their number.
pub const GRPC_NAMES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// The statuses of HTTP and of gRPC that count as failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailureStatuses {
    http: [u64; WORDS],
    grpc: u32,
}

impl FailureStatuses {
    pub const NONE: FailureStatuses = FailureStatuses { http: [0; WORDS], grpc: 0 };
    /// gRPC: UNKNOWN, DEADLINE_EXCEEDED, INTERNAL, UNAVAILABLE, DATA_LOSS.
    pub const GRPC: [u8; 5] = [2, 4, 13, 14, 15];

    /// With these statuses of HTTP, too.
    pub fn with(mut self, statuses: impl IntoIterator<Item = u16>) -> Self {
        for status in statuses {
            if let Some(word) = self.http.get_mut(usize::from(status) / 64) {
                *word |= 1 << (status % 64);
            }
        }
        self
    }

    /// With these statuses of gRPC, too; none of them is above 31.
    pub fn with_grpc(mut self, statuses: impl IntoIterator<Item = u8>) -> Self {
        for status in statuses {
            self.grpc |= 1u32.checked_shl(u32::from(status)).unwrap_or_default();
        }
        self
    }

    #[inline]
    pub fn has(&self, status: u16) -> bool {
        self.http.get(usize::from(status) / 64).is_some_and(|word| word >> (status % 64) & 1 == 1)
    }

    /// What a `grpc-status` field says.
    pub fn has_grpc(&self, field: &[u8]) -> bool {
        self.has_grpc_status(grpc_status(field))
    }

    pub fn has_grpc_status(&self, status: u8) -> bool {
        self.grpc.checked_shr(u32::from(status)).is_some_and(|bits| bits & 1 == 1)
    }
}

/// The status in a `grpc-status` field; one that is no number is UNKNOWN.
pub fn grpc_status(field: &[u8]) -> u8 {
    let status = std::str::from_utf8(field).ok().and_then(|text| text.trim().parse::<u8>().ok());
    status.unwrap_or(2)
}

impl Default for FailureStatuses {
    fn default() -> Self {
        Self::NONE.with(500..=599).with_grpc(Self::GRPC)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_is_as_configured() {
        let default = FailureStatuses::default();
        let failing: Vec<u16> = (0..1000).filter(|status| default.has(*status)).collect();
        assert_eq!(failing, (500..600).collect::<Vec<_>>());
        for (field, fails) in
            [("0", false), ("14", true), (" 13", true), ("5", false), ("x", true), ("200", false)]
        {
            assert_eq!(default.has_grpc(field.as_bytes()), fails, "{field}");
        }
        let own = FailureStatuses::NONE.with([404, 503]).with_grpc([5]);
        assert!(own.has(404) && own.has(503) && !own.has(500) && own.has_grpc(b"5") && !own.has_grpc(b"14"));
        assert!(!own.has_grpc(b"nonsense"), "UNKNOWN is none of its own");
    }
}
