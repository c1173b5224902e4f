pub(in crate::proxy) mod charge;
mod groups;
pub(in crate::proxy) mod log_entry;
pub(in crate::proxy) mod meter;
pub(in crate::proxy) mod mirror;
mod sample;
