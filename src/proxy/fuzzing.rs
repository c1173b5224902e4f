//! What must hold of all that clients send.

mod forwarded;
mod framing;
mod proxy_protocol;

pub use forwarded::forwarded;
pub use framing::http1_head;
pub use proxy_protocol::proxy_protocol;
