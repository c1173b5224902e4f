pub(in crate::proxy) mod charge;
pub(in crate::proxy) mod log_entry;
pub(in crate::proxy) mod meter;
pub(in crate::proxy) mod mirror;
