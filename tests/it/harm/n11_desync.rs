//! The end of a request's body, byte by byte, as upstreams receive it.
