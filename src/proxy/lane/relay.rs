//! One exchange with an upstream, both ways at once: the request goes, the answer comes, and each side has its
//! deadlines.

use super::exchange::Exchange;
use super::lasting::{Lasting, is_lasting, lasting};
use super::replace::UNSHOWN;
use super::upload::Upload;
use super::upstream_side::UpstreamSide;
use crate::core::outcome::Outcome;
use crate::observe::access_log::Cut;
use crate::observe::shard::AnswerEnd;
use crate::proxy::decide::{outcome, plan};
use crate::proxy::exchange::Delivery;
use crate::proxy::headers::replaced::{self, InPlace};
use crate::proxy::headers::{hop_by_hop, rewrite, sound, upstream_cookies};
use crate::proxy::lane::client::Client;
use crate::proxy::measure::{charge, log_entry};
use crate::proxy::wire::answer_head::AnswerHead;
use crate::proxy::wire::held::HeldAnswer;
use http::header::{CONTENT_LENGTH, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};
use pingora_error::{Error, ErrorType, Result};
use std::future::poll_fn;
use std::task::{Context, Poll};

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// The error that sends a request on its way again whose answer is not shown; nobody else sees it.
pub(super) const SHIELDED: ErrorType = ErrorType::Custom("shielded");

/// An answer on its way.
pub(super) struct Answering {
    /// Whether the upstream has sent all of it, and whether the client has been given all of it.
    pub is_done: bool,
    pub is_given: bool,
    /// Whether it ends with its head.
    pub is_all: bool,
    /// When the upstream was last heard, and since when the client takes nothing: µs on the process clock.
    pub heard_us: u64,
    pub untaken: Option<(u64, usize)>,
    lasting: Option<Lasting>,
    /// What the client has not been given yet, and what follows it.
    pub held: HeldAnswer,
    pub trailers: Option<HeaderMap>,
    /// Whether the upstream is listened to though the client takes nothing.
    pub is_listening: bool,
}

impl Exchange<'_> {
    /// Has the upstream answer; what is left to be given to the client, where its pool buffers answers. `sent_us` is when
    /// a request without a body begins to be sent, where that is known.
    pub(super) async fn relay(
        &mut self,
        upstream: &mut UpstreamSide,
        sent_us: Option<u64>,
    ) -> Result<Option<Box<Answering>>> {
        let mut upload = Upload::new(sent_us);
        let mut head = loop {
            let mut head = poll_fn(|cx| self.poll_head(upstream, &mut upload, cx)).await?;
            if self.is_final(&mut head)? {
                break head;
            }
            self.pass_interim(head, &mut upload);
        };
        if head.status == 101 {
            return Box::pin(self.switch(head, upstream)).await.map(|()| None);
        }
        let most = self.hold(&head);
        self.prepare(&mut head, &mut upload)?;
        let is_empty = head.get(&CONTENT_LENGTH) == Some(b"0");
        let is_all = self.request.delivery.is_bodiless || is_empty || upstream.is_answered();
        let is_all = is_all && self.request.delivery.encoder.is_none();
        self.request.delivery.keeps &= self.client.is_http2() || self.client.is_whole();
        let lasting = lasting(self.worker, &self.request, &head);
        // The head was heard when its attempt was charged, just now.
        let charged = self.request.attempts.last.filter(|_| self.request.attempts.is_answered());
        let heard_us = charged.map_or_else(|| self.alarm.now_us(), |charged| charged.known_us);
        self.send_head(head, is_all, heard_us)?;
        if upload.is_over() {
            self.request.inbound.body.forget();
        }
        let held = HeldAnswer::new(if self.request.delivery.is_bodiless { 0 } else { most });
        let mut answering = Answering {
            is_done: false,
            is_given: false,
            is_all,
            heard_us,
            untaken: None,
            lasting,
            held,
            trailers: None,
            is_listening: false,
        };
        poll_fn(|cx| self.poll_answer(upstream, &mut upload, &mut answering, cx)).await?;
        self.note_end();
        Ok(answering.held.is_used().then(|| Box::new(answering)))
    }

    /// The head of the answer, once it has come.
    fn poll_head(
        &mut self,
        upstream: &mut UpstreamSide,
        upload: &mut Upload,
        cx: &mut Context<'_>,
    ) -> Poll<Result<AnswerHead>> {
        self.poll_upload(upstream, upload, cx)?;
        if let Poll::Ready(Err(error)) = self.client.poll_flush(cx) {
            return Poll::Ready(Err(error));
        }
        if let Poll::Ready(head) = upstream.poll_head(cx, &self.request.head.method) {
            return Poll::Ready(head);
        }
        if upload.is_over()
            && let Poll::Ready(error) = self.client.poll_gone(cx)
        {
            return Poll::Ready(Err(error));
        }
        self.poll_overdue_head(upload, cx)
    }

    /// Looks at a head; whether it is no interim one.
    fn is_final(&mut self, head: &mut AnswerHead) -> Result<bool> {
        let status = head.status.as_u16();
        let request = &mut self.request;
        let is_interim = status < 200 && status != 101;
        let interim = request.attempts.current.as_mut().map_or(0, |attempt| {
            attempt.interim = attempt.interim.saturating_add(u8::from(is_interim));
            attempt.interim
        });
        let malformed = |fault| Error::explain(ErrorType::InvalidHTTPHeader, fault).into_up();
        sound::check(head, interim).map_err(malformed)?;
        sound::merge_lengths(head);
        if status == 101 {
            let asks = request.head.headers.contains_key(UPGRADE) && request.head.version == Version::HTTP_11;
            if !asks {
                return Err(malformed("a 101 nobody asked for"));
            }
        } else {
            hop_by_hop::strip_response(head);
        }
        Ok(!is_interim)
    }

    fn pass_interim(&mut self, head: AnswerHead, upload: &mut Upload) {
        let mut head = head;
        hop_by_hop::strip_accel(&mut head);
        upload.restart(self.alarm.now_us());
        // Of 100, a client that waits for it has heard by then.
        let is_news = (102..200).contains(&head.status.as_u16());
        if is_news && self.request.head.version != Version::HTTP_10 {
            self.client.send_interim(&head.into_parts());
        }
    }

    /// Charges the attempt by its answer, and makes the answer what the client gets.
    ///
    /// # Errors
    /// [`SHIELDED`] and [`UNSHOWN`] where the client does not get it.
    fn prepare(&mut self, head: &mut AnswerHead, upload: &mut Upload) -> Result<()> {
        let status = head.status.as_u16();
        let meter = &self.worker.meter;
        let request = &mut self.request;
        request.delivery.is_bodiless = outcome::unframe(&request.head.method, head);
        request.attempts.settle();
        if request.attempts.is_held() && outcome::is_grpc(&request.head.headers) {
            charge::converses(meter, request);
        }
        let failures = request.failures();
        let mut came_to = outcome::outcome_of_status(status, &failures);
        let is_grpc = came_to == Outcome::Success && outcome::is_grpc_answer(head);
        let grpc_status = head.get(&GRPC_STATUS).filter(|_| is_grpc);
        if is_grpc {
            came_to = outcome::outcome_of_grpc(grpc_status, &failures);
        }
        charge::charge(meter, request, came_to, status);
        log_entry::note_grpc(request, grpc_status);
        if let Some(attempt) = request.attempts.current.as_mut() {
            attempt.is_endless = is_lasting(head);
            attempt.is_declined =
                head.get(&GRPC_STATUS).is_some_and(|status| is_grpc && outcome::is_declined(status));
        }
        // The shield first: it goes to stable at once.
        if self.hides(status) || self.gives_way(status) {
            return Error::e_explain(SHIELDED, "the answer is not shown");
        }
        if self.is_put_by(head) {
            return Error::e_explain(UNSHOWN, "another answer takes its place");
        }
        let request = &mut self.request;
        if let Some(original) = &mut request.delivery.original {
            original.head(status, &head.to_map());
        }
        if outcome::goes_on(head, &request.head) {
            request.delivery.pace = plan::AT_ITS_LEISURE;
            upload.forget_rate();
        }
        hop_by_hop::strip_accel(head);
        rewrite::relocate(request, head);
        upstream_cookies::rewrite(request, head);
        replaced::dress(request, head, InPlace::OfUpstream);
        rewrite::answer(request, head);
        self.begin_encoding(head);
        Ok(())
    }

    /// Gives the client what has come of the answer.
    fn poll_answer(
        &mut self,
        upstream: &mut UpstreamSide,
        upload: &mut Upload,
        answering: &mut Answering,
        cx: &mut Context<'_>,
    ) -> Poll<Result<()>> {
        loop {
            self.poll_upload(upstream, upload, cx)?;
            let had_room = self.client.has_room();
            let moved = self.poll_down(upstream, answering, cx)?;
            let is_over = answering.is_done && answering.held.is_used() && upload.is_over();
            if (self.poll_taken(answering, cx)? && answering.is_given) || is_over {
                return Poll::Ready(Ok(()));
            }
            if !moved && (had_room || !self.client.has_room()) {
                break;
            }
        }
        if let Some(lasting) = &mut answering.lasting
            && lasting.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Err(self.leave()));
        }
        if upload.is_over()
            && !answering.is_done
            && let Poll::Ready(error) = self.client.poll_gone(cx)
        {
            return Poll::Ready(Err(error));
        }
        self.poll_overdue_answer(upload, answering, cx)
    }

    /// Takes a piece of the answer's body from the upstream, where the client has room for it; whether there was one.
    fn poll_down(
        &mut self,
        upstream: &mut UpstreamSide,
        answering: &mut Answering,
        cx: &mut Context<'_>,
    ) -> Result<bool> {
        if answering.held.is_used() {
            return self.poll_held(upstream, answering, cx);
        }
        if answering.is_done || !self.client.has_room() {
            // The head of an answer and what came with it leave together.
            if answering.is_done || self.request.delivery.sent > 0 || self.client.is_http2() {
                return Ok(false);
            }
        }
        let (client, delivery) = (&mut *self.client, &mut self.request.delivery);
        let read = upstream
            .poll_body(cx, client.piece_bytes(), &mut |cx, piece| deliver(client, delivery, cx, piece));
        let Poll::Ready(is_done) = read else { return Ok(false) };
        if is_done? {
            (answering.is_done, answering.is_given) = (true, true);
            let trailers = upstream.take_trailers();
            self.count_end(trailers.as_ref(), self.request.delivery.sent == 0);
            self.finish(trailers, answering.is_all, cx)?;
        } else {
            answering.heard_us = self.alarm.now_us();
        }
        Ok(true)
    }

    /// The upstream has sent all of its answer, by now without a byte of body if it `is_empty`: a call of gRPC has its
    /// status at the end.
    pub(super) fn count_end(&mut self, trailers: Option<&HeaderMap>, is_empty: bool) {
        let (meter, request) = (&self.worker.meter, &mut self.request);
        let status = trailers.and_then(|trailers| trailers.get(GRPC_STATUS)).map(HeaderValue::as_bytes);
        let came_to = outcome::outcome_of_grpc(status, &request.failures());
        log_entry::note_grpc(request, status);
        if came_to != Outcome::Success {
            return charge::charge(meter, request, came_to, 0);
        }
        let attempt = request.attempts.current.as_ref();
        let is_declined =
            status.is_some_and(outcome::is_declined) || attempt.is_some_and(|of| of.is_declined);
        let has_no_page = is_empty && matches!(request.delivery.status, 200 | 204);
        let end = match has_no_page && request.head.method == Method::GET {
            _ if is_declined => AnswerEnd::Declined,
            true => AnswerEnd::Empty,
            false => AnswerEnd::Whole,
        };
        charge::finish(meter, request, end);
    }

    /// The answer is whole.
    pub(super) fn finish(
        &mut self,
        trailers: Option<HeaderMap>,
        is_all: bool,
        cx: &mut Context<'_>,
    ) -> Result<()> {
        let delivery = &mut self.request.delivery;
        if let Some(encoder) = &mut delivery.encoder {
            let rest = encoder.encode(b"", true);
            let rest = rest.map_err(|e| Error::because(ErrorType::InternalError, "compressing", e))?;
            delivery.sent += rest.len() as u64;
            self.client.put(cx, &rest);
        }
        if !is_all {
            self.client.finish(trailers);
        }
        if let Some(original) = self.request.delivery.original.take() {
            original.end();
        }
        Ok(())
    }

    /// Writes what the client takes; whether that was all.
    pub(super) fn poll_taken(&mut self, answering: &mut Answering, cx: &mut Context<'_>) -> Result<bool> {
        match self.client.poll_flush(cx) {
            Poll::Ready(flushed) => {
                if let Some((since_us, _)) = answering.untaken.take() {
                    let now_us = self.alarm.now_us();
                    if !answering.is_listening {
                        // The upstream was not listened to meanwhile.
                        self.request.delivery.untaken_us += now_us.saturating_sub(since_us);
                        answering.heard_us = now_us;
                    }
                }
                flushed.map(|()| true)
            }
            Poll::Pending => {
                let waiting = self.client.waiting();
                match answering.untaken {
                    Some((_, before)) if before == waiting => {}
                    before => {
                        let now_us = self.alarm.now_us();
                        if let Some((since_us, _)) = before.filter(|_| !answering.is_listening) {
                            self.request.delivery.untaken_us += now_us.saturating_sub(since_us);
                        }
                        answering.untaken = Some((now_us, waiting));
                    }
                }
                Ok(false)
            }
        }
    }

    /// The stream has been told to end.
    pub(super) fn leave(&mut self) -> Box<Error> {
        self.request.delivery.cut = Some(Cut::LeaveOrder);
        Error::explain(ErrorType::ConnectionClosed, "the stream had to leave").into_down()
    }

    pub(super) fn note_end(&mut self) {
        if self.worker.log.is_some()
            && let Some(attempt) = &self.request.attempts.current
        {
            let took = self.worker.meter.now_us().saturating_sub(attempt.started_us);
            self.request.delivery.response_us = Some(took);
        }
    }
}

/// Puts a piece of the answer's body on its way to the client.
pub(super) fn deliver(client: &mut Client, delivery: &mut Delivery, cx: &mut Context<'_>, piece: &[u8]) {
    if let Some(original) = &mut delivery.original {
        original.body(piece);
    }
    if delivery.is_bodiless || piece.is_empty() {
        return;
    }
    match &mut delivery.encoder {
        Some(encoder) => {
            // Memory takes all that is written.
            let encoded = encoder.encode(piece, false).unwrap_or_default();
            delivery.sent += encoded.len() as u64;
            client.put(cx, &encoded);
        }
        None => {
            delivery.sent += piece.len() as u64;
            client.put(cx, piece);
        }
    }
}
