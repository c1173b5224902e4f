//! Long streams: WebSockets, server-sent events and gRPC streams stay where they are when the weights
//! change. Where the operator has set a limit (`close_streams`), each listens to its pool's orders to leave
//! ([`crate::core::leave`]), and ends when its turn has come; its client connects again, to where the weights
//! lead now.

use super::worker::Worker;
use crate::core::leave::Orders;
use crate::core::upstream_address::UpstreamAddress;
use crate::observe::clock::Clock;
use crate::proxy::exchange::Request;
use crate::proxy::wire::answer_head::AnswerHead;
use http::header::CONTENT_TYPE;
use std::pin::Pin;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::sleep;

/// Ready when the turn of a stream has come.
pub(super) type Lasting = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Has the request listen to its pool's orders, where its answer is a long one that may have to leave.
pub(super) fn lasting(worker: &Worker, request: &Request, head: &AnswerHead) -> Option<Lasting> {
    let pool = request.pool().filter(|pool| pool.close_streams.is_some() && is_lasting(head))?;
    let wait = Wait {
        orders: worker.shared.recorder.streams.orders(pool.arm),
        upstream: request.upstream()?.address,
        revision: request.plan.table.revision,
        draw: worker.draw() as u32,
        clock: worker.shared.clock,
    };
    Some(Box::pin(wait.turn()))
}

/// Whether an answer goes on for as long as both sides like.
pub(super) fn is_lasting(response: &AnswerHead) -> bool {
    if response.status == 101 {
        return true;
    }
    let Some(kind) = response.get(&CONTENT_TYPE) else { return false };
    let begins = |with: &[u8]| kind.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with));
    begins(b"text/event-stream") || begins(b"application/grpc")
}

struct Wait {
    orders: watch::Receiver<Orders>,
    upstream: UpstreamAddress,
    revision: u64,
    /// Its lot.
    draw: u32,
    clock: Clock,
}

impl Wait {
    /// Ends when the stream has to go; an order that is taken back is none.
    async fn turn(mut self) {
        loop {
            let order = self.orders.borrow_and_update().for_stream(self.upstream, self.revision);
            let left = order.map(|leave| leave.due_us(self.draw).saturating_sub(self.clock.now_us()));
            let due = async {
                match left {
                    Some(us) => sleep(Duration::from_micros(us)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = due => return,
                changed = self.orders.changed() => if changed.is_err() {
                    // Nobody gives orders any more: the process ends.
                    return std::future::pending().await;
                }
            }
        }
    }
}
