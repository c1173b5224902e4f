//! The status that ends every call of gRPC.

use crate::core::failure_statuses::GRPC_NAMES;
use crate::core::text;
use http::HeaderMap;
use std::fmt;

/// `grpc-status` and `grpc-message`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct GrpcStatus {
    pub code: u16,
    pub message: String,
}

impl GrpcStatus {
    /// The status in trailers, or in the head of an answer that has nothing else. `None` where there is none.
    pub(super) fn of(fields: &HeaderMap) -> Option<Self> {
        let code = fields.get("grpc-status")?.to_str().ok()?.trim().parse().unwrap_or(2);
        let message = fields.get("grpc-message").map(|message| decoded(message.as_bytes()));
        Some(GrpcStatus { code, message: message.unwrap_or_default() })
    }
}

impl fmt::Display for GrpcStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match GRPC_NAMES.get(usize::from(self.code)) {
            _ if !self.message.is_empty() => f.write_str(&self.message),
            Some(name) => f.write_str(name),
            None => write!(f, "code {}", self.code),
        }
    }
}

/// A message without its `%XX`, fit to be shown.
fn decoded(message: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(message.len());
    let mut rest = message;
    while let Some((&first, after)) = rest.split_first() {
        let escaped = after.get(..2).filter(|_| first == b'%').and_then(|digits| {
            let digits = std::str::from_utf8(digits).ok()?;
            u8::from_str_radix(digits, 16).ok()
        });
        bytes.push(escaped.unwrap_or(first));
        rest = if escaped.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    text::plain(&String::from_utf8_lossy(&bytes)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read_and_shown() {
        let of = |fields: &[(&'static str, &str)]| {
            let fields = fields
                .iter()
                .map(|(name, value)| (http::HeaderName::from_static(name), value.parse().expect("a value")));
            GrpcStatus::of(&fields.collect()).map(|status| (status.code, status.to_string()))
        };
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[("grpc-status", "0")]), Some((0, "OK".to_owned())));
        assert_eq!(of(&[("grpc-status", "x")]), Some((2, "UNKNOWN".to_owned())));
        assert_eq!(of(&[("grpc-status", "99")]), Some((99, "code 99".to_owned())));
        let said = [("grpc-status", "14"), ("grpc-message", "100%25 %e2%82%ac %zz %0a%")];
        assert_eq!(of(&said), Some((14, "100% € %zz  %".to_owned())));
    }
}
