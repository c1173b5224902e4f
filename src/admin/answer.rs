//! The answer to one request: when its body is through, its connection waits for the next.

use super::server::Seat;
use axum::body::{Body, Bytes};
use axum::response::Response;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};

/// A body that tells its connection's place when it is dropped.
#[derive(Debug)]
pub(super) struct Answer {
    body: Body,
    seat: Seat,
}

impl Answer {
    pub(super) fn new(response: Response, seat: Seat) -> hyper::Response<Answer> {
        seat.is_answering();
        response.map(|body| Answer { body, seat })
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.seat.is_answered();
    }
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
