//! One call of gRPC over HTTP/2: a message, its answer, and the status that ends it.

use super::frame::{FrameFault, MessageReader, framed};
use super::status::GrpcStatus;
use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, HeaderValue, Request, Uri, header};
use prost::Message;
use std::fmt;
use std::time::Duration;

/// The most of one answer, in bytes. etcd takes values of up to 1.5 MiB, and what is read many keys at a time can be
/// read fewer at a time.
pub(super) const ANSWER_BYTES: usize = 4 << 20;

/// What is called, and how.
#[derive(Clone, Debug)]
pub(super) struct CallHead {
    pub uri: Uri,
    pub token: Option<HeaderValue>,
    /// Whether the member is to refuse where it knows of no leader.
    pub needs_leader: bool,
    /// What the member is told it has time for.
    pub timeout: Option<Duration>,
}

/// Why a call has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum CallFault {
    /// It was not taken up.
    Unsent(String),
    Status(GrpcStatus),
    /// Its answer has so many bytes, which are too many.
    TooLarge(usize),
    /// It was sent, and no word came back.
    Broken(String),
}

impl CallHead {
    fn request(&self) -> Request<()> {
        let mut request = Request::post(self.uri.clone())
            .version(http::Version::HTTP_2)
            .header(header::CONTENT_TYPE, "application/grpc")
            .header(header::TE, "trailers")
            .header(header::USER_AGENT, concat!("pointsman/", env!("CARGO_PKG_VERSION")));
        if let Some(token) = &self.token {
            request = request.header("token", token.clone());
        }
        if self.needs_leader {
            request = request.header("hasleader", "true");
        }
        if let Some(timeout) = self.timeout {
            request = request.header("grpc-timeout", format!("{}m", timeout.as_millis().min(99_999_999)));
        }
        // All parts are valid by themselves.
        request.body(()).unwrap_or_default()
    }

    /// Opens a stream, whose answer is waited for elsewhere.
    ///
    /// # Errors
    /// [`CallFault::Unsent`].
    pub(super) async fn open(
        &self,
        sender: &SendRequest<Bytes>,
    ) -> Result<(ResponseFuture, SendStream<Bytes>), CallFault> {
        let unsent = |error: h2::Error| CallFault::Unsent(why(&error));
        let mut sender = sender.clone().ready().await.map_err(unsent)?;
        sender.send_request(self.request(), false).map_err(unsent)
    }

    /// Asks, and reads the one answer.
    ///
    /// # Errors
    /// [`CallFault`].
    pub(super) async fn unary<A: Message + Default>(
        &self,
        sender: &SendRequest<Bytes>,
        question: &impl Message,
    ) -> Result<A, CallFault> {
        let (answer, mut stream) = self.open(sender).await?;
        // A member that has refused already takes nothing in, and its answer says why.
        let _ = stream.send_data(framed(question), true);
        let mut answer = Streamed::of(answer).await?;
        let message = answer.next().await?;
        // A second message is a fault of the server; what follows the first is the status, and must be good.
        match (answer.next().await?, message) {
            (None, Some(message)) => {
                A::decode(message).map_err(|error| CallFault::Broken(format!("no answer of etcd: {error}")))
            }
            _ => Err(CallFault::Broken("not one message for an answer".to_owned())),
        }
    }
}

/// The messages of an answer, one after the other.
#[derive(Debug)]
pub(super) struct Streamed {
    body: RecvStream,
    reader: MessageReader,
}

impl Streamed {
    /// Waits for the head of an answer.
    ///
    /// # Errors
    /// [`CallFault`].
    pub(super) async fn of(answer: ResponseFuture) -> Result<Self, CallFault> {
        let (head, body) = answer.await.map_err(broken)?.into_parts();
        if let Some(status) = GrpcStatus::of(&head.headers) {
            return Err(ended(status));
        }
        let kind = head.headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
        match kind {
            Some(kind) if head.status == 200 && kind.starts_with(b"application/grpc") => {
                Ok(Streamed { body, reader: MessageReader::new(ANSWER_BYTES) })
            }
            _ => Err(CallFault::Broken(format!("HTTP status {} in place of a gRPC answer", head.status))),
        }
    }

    /// The next message; `None` after the last one, where the status is good.
    ///
    /// # Errors
    /// [`CallFault`]; nothing comes after it.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, CallFault> {
        loop {
            match self.reader.next() {
                Ok(Some(message)) => return Ok(Some(message)),
                Ok(None) => {}
                Err(FrameFault::TooLarge(bytes)) => return Err(CallFault::TooLarge(bytes)),
                Err(FrameFault::Compressed) => {
                    return Err(CallFault::Broken(
                        "the answer is compressed, which was not asked for".to_owned(),
                    ));
                }
            }
            match self.body.data().await {
                Some(data) => {
                    let data = data.map_err(broken)?;
                    self.reader.push(&data);
                    // It fails for more than was received alone.
                    let _ = self.body.flow_control().release_capacity(data.len());
                }
                None => return self.end().await,
            }
        }
    }

    async fn end(&mut self) -> Result<Option<Bytes>, CallFault> {
        let trailers: Option<HeaderMap> = self.body.trailers().await.map_err(broken)?;
        match trailers.as_ref().and_then(GrpcStatus::of) {
            Some(GrpcStatus { code: 0, .. }) if !self.reader.is_within() => Ok(None),
            Some(status) => Err(ended(status)),
            None => Err(CallFault::Broken("an answer without a status".to_owned())),
        }
    }
}

/// A status that came where a message was waited for.
fn ended(status: GrpcStatus) -> CallFault {
    match status.code {
        0 => CallFault::Broken("an answer that ends within".to_owned()),
        _ => CallFault::Status(status),
    }
}

fn broken(error: h2::Error) -> CallFault {
    match error.reason() {
        Some(Reason::REFUSED_STREAM) => CallFault::Unsent(why(&error)),
        _ => CallFault::Broken(why(&error)),
    }
}

impl fmt::Display for CallFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CallFault::Unsent(why) | CallFault::Broken(why) => f.write_str(why),
            CallFault::Status(status) => status.fmt(f),
            CallFault::TooLarge(bytes) => {
                write!(f, "an answer of {bytes} bytes is too large: no more than {ANSWER_BYTES} are read")
            }
        }
    }
}

/// What has happened, in a few words.
pub(super) fn why(error: &h2::Error) -> String {
    match error.get_io() {
        Some(io) => format!("the connection broke: {io}"),
        None => format!("the connection broke: {error}"),
    }
}
