//! Who the client is, as trusted proxies write it.
