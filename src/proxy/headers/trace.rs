//! `traceparent` and `tracestate` (W3C's Trace Context), where the configuration has them handled at all.
//!
//! A trace that begins here has the id that the request has here: who finds one finds the other. Of a stranger nothing
//! is believed, as with `X-Request-Id`: a trace of their choice could mix with others', or be sampled at will.

use crate::core::trace::{TraceContext, TraceMode, Tracing};
use crate::proxy::exchange::Request;
use crate::proxy::wire::changes::{Changes, FieldName, FieldValue};
use http::{HeaderMap, HeaderName};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const WRITTEN: FieldName = FieldName::written(TRACEPARENT, "traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The trace of a request that is `believed` or not, under the id that the request has here.
pub(in crate::proxy) fn of(
    tracing: Tracing,
    (headers, believed): (&HeaderMap, bool),
    own_id: &[u8; 32],
    draw: impl Fn() -> u64,
) -> Option<TraceContext> {
    if tracing.mode == TraceMode::Off {
        return None;
    }
    if tracing.mode == TraceMode::Propagate && believed {
        let goes_on = only(headers).and_then(|sent| TraceContext::go_on(sent, draw()));
        if goes_on.is_some() {
            return goes_on;
        }
    }
    let is_sampled = tracing.sampled == Tracing::ALL || tracing.samples(draw());
    Some(TraceContext::begin(own_id, draw(), is_sampled))
}

/// The one that was sent; two say nothing.
fn only(headers: &HeaderMap) -> Option<&[u8]> {
    let mut sent = headers.get_all(TRACEPARENT).iter();
    let first = sent.next()?;
    sent.next().is_none().then_some(first.as_bytes())
}

/// Says it to the upstream. What others said of another trace does not go on.
pub(in crate::proxy) fn set<'a>(changes: &mut Changes<'a>, request: &'a Request) {
    let Some(trace) = &request.inbound.trace else { return };
    changes.set(WRITTEN, FieldValue::Lent(trace.text()));
    // Few fields are gone through sooner than a name of such length is looked up.
    if trace.parent().is_none() && changes.sent().keys().any(|name| *name == TRACESTATE) {
        changes.remove(&TRACESTATE);
    }
}
