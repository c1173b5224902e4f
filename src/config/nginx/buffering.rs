//! `proxy_buffering` and `proxy_request_buffering` → `buffer` of the pools that a location leads to.

use super::Import;
use super::scope::Scope;
use super::site::{Buffering, Lead};

/// What is held of one request or answer: nginx goes on to files of some gigabytes, which Pointsman does not write.
const HELD_BYTES: u64 = 1 << 20;

impl<'a> Import<'a> {
    /// What the location says of the service that it leads to. nginx buffers unless told otherwise; a pool does so
    /// for all its routes, or for none.
    pub(super) fn buffers(&mut self, scope: &Scope<'a>, lead: &Lead) {
        let Lead::Service(name) = lead else { return };
        // Of gRPC, both ways are streams.
        if scope.handler("grpc_pass").is_some() {
            return;
        }
        let is_on = |name: &str| scope.last(name).is_none_or(|line| line.is_on());
        let size = self.body_limit(scope).min(HELD_BYTES);
        let said = Buffering {
            request: is_on("proxy_request_buffering").then_some(size),
            response: is_on("proxy_buffering").then_some(HELD_BYTES),
        };
        let Some(service) = self.site.services.iter_mut().find(|service| service.name == *name) else {
            return;
        };
        let both = |one: Option<u64>, other: Option<u64>| one.zip(other).map(|(one, other)| one.max(other));
        service.buffer = Some(service.buffer.map_or(said, |before| Buffering {
            request: both(before.request, said.request),
            response: both(before.response, said.response),
        }));
        for name in ["proxy_buffering", "proxy_request_buffering"] {
            let Some(line) = scope.last(name) else { continue };
            let why = match line.is_on() {
                true => "up to 1M of each lies in memory, nothing in files; what is larger is streamed",
                false => "the pool that it leads to streams for all its locations",
            };
            self.ledger.noted(line, why);
        }
    }
}
