//! Long streams: WebSockets, server-sent events and gRPC streams stay where they are when the weights
//! change. Where the operator has set a limit (`close_streams`), each listens to its pool's orders to leave
//! ([`crate::core::leave`]), and ends when its turn has come; its client connects anew, to where the weights
//! lead now.

use crate::core::leave::Orders;
use crate::observe::clock::Clock;
use crate::proxy::exchange::request::Request;
use crate::proxy::lane::connection::Connection;
use crate::proxy::lane::gate::Gate;
use crate::proxy::lane::http2::Stream;
use http::header::CONTENT_TYPE;
use pingora_http::ResponseHeader;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::sleep;

/// What ends a stream when its turn has come, as long as its request lives.
pub(in crate::proxy) struct Lasting(AbortHandle);

impl Drop for Lasting {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Gate {
    /// Has the request listen to its pool's orders, where its answer is a long one that may have to leave.
    pub(in crate::proxy) fn lasting(&self, request: &Request, response: &ResponseHeader) -> Option<Lasting> {
        let pool = request.pool().filter(|pool| pool.close_streams.is_some() && is_lasting(response))?;
        listen(self.shared.recorder.streams.orders(pool.arm), request, self.shared.clock, self.draw() as u32)
    }
}

/// Whether an answer goes on for as long as both sides like.
fn is_lasting(response: &ResponseHeader) -> bool {
    if response.status == 101 {
        return true;
    }
    let Some(kind) = response.headers.get(CONTENT_TYPE) else { return false };
    let begins =
        |with: &[u8]| kind.as_bytes().get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with));
    begins(b"text/event-stream") || begins(b"application/grpc")
}

/// Has the request's stream listen to the orders. `draw` is its lot.
fn listen(orders: watch::Receiver<Orders>, request: &Request, clock: Clock, draw: u32) -> Option<Lasting> {
    let upstream = request.upstream()?.address;
    let end = match (&request.connection, &request.stream) {
        (Some(connection), _) => End::Connection(connection.clone()),
        (None, Some(stream)) => End::Stream(stream.clone()),
        (None, None) => return None,
    };
    if let End::Connection(connection) = &end {
        connection.signals.may_leave();
    }
    let wait = Wait { orders, upstream, revision: request.table.revision, draw, clock };
    let task = tokio::spawn(async move {
        wait.turn().await;
        match end {
            End::Connection(connection) => connection.signals.leave(),
            End::Stream(stream) => stream.leave.notify_one(),
        }
    });
    Some(Lasting(task.abort_handle()))
}

/// What is ended.
enum End {
    Connection(Arc<Connection>),
    Stream(Arc<Stream>),
}

struct Wait {
    orders: watch::Receiver<Orders>,
    upstream: SocketAddr,
    revision: u64,
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
