//! `Strict-Transport-Security`: what a listener with TLS tells browsers on every answer, its own errors
//! and redirects included. A browser that has had it comes back by HTTPS only (RFC 6797).

use crate::proxy::listen::bound::Bound;
use http::header::STRICT_TRANSPORT_SECURITY;
use pingora_error::Result;
use pingora_http::ResponseHeader;

/// Sets it where the listener has it, in place of the upstream's. Interim answers go without.
pub(in crate::proxy) fn set(listener: &Bound, response: &mut ResponseHeader) -> Result<()> {
    match &listener.settings.hsts {
        Some(value) if !response.status.is_informational() => {
            response.insert_header(STRICT_TRANSPORT_SECURITY, value)
        }
        _ => Ok(()),
    }
}
