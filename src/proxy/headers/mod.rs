pub(in crate::proxy) mod claims;
pub(in crate::proxy) mod compress;
pub(in crate::proxy) mod forward;
pub(in crate::proxy) mod hops;
pub(in crate::proxy) mod hsts;
pub(in crate::proxy) mod rewrite;
pub(in crate::proxy) mod sound;
pub(in crate::proxy) mod tidy;
