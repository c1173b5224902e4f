pub(in crate::proxy) mod connect;
pub(in crate::proxy) mod http1;
pub(in crate::proxy) mod http2;
pub(in crate::proxy) mod kept;
pub(in crate::proxy) mod keyring;
pub(in crate::proxy) mod peer;
pub(in crate::proxy) mod registry;
