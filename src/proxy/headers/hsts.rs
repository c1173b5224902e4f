//! `Strict-Transport-Security`: what a listener with TLS tells browsers on every answer, its own errors
//! and redirects included. A browser that has had it comes back by HTTPS only (RFC 6797).

use crate::proxy::listen::bound::Bound;
use crate::proxy::wire::answer_head::AnswerHead;
use http::header::STRICT_TRANSPORT_SECURITY;

/// Sets it where the listener has it, in place of the upstream's. Interim answers go without.
pub(in crate::proxy) fn set(listener: &Bound, response: &mut AnswerHead) {
    if let Some(value) = &listener.settings.hsts
        && !response.status.is_informational()
    {
        response.set(STRICT_TRANSPORT_SECURITY, value.clone());
    }
}
