pub(in crate::proxy) mod admission;
pub(in crate::proxy) mod bound;
pub(in crate::proxy) mod door;
pub(in crate::proxy) mod linger;
pub(in crate::proxy) mod places;
pub(in crate::proxy) mod proxy_protocol;
pub(in crate::proxy) mod trusted;
