//! What must hold of all that clients send.

mod forwarded;
mod framing;
mod http2;
mod proxy_protocol;

pub use forwarded::forwarded;
pub use framing::http1_head;
pub use http2::http2_blocks;
pub use proxy_protocol::proxy_protocol;
