pub(in crate::proxy) mod answer;
pub(in crate::proxy) mod authorized;
pub(in crate::proxy) mod challenge;
pub(in crate::proxy) mod error_page;
mod files;
mod reading;
pub(in crate::proxy) mod route_answer;
