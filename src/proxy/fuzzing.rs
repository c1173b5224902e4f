//! What must hold of all that clients and upstreams send.

mod access;
mod answers;
mod forwarded;
mod framing;
mod http2;
mod proxy_protocol;

pub use access::access;
pub use answers::response_head;
pub use forwarded::forwarded;
pub use framing::http1_head;
pub use http2::http2_blocks;
pub use proxy_protocol::proxy_protocol;
