pub(in crate::proxy) mod answer;
pub(in crate::proxy) mod challenge;
pub(in crate::proxy) mod error_page;
pub(in crate::proxy) mod files;
