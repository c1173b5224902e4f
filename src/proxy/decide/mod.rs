pub(in crate::proxy) mod choice;
pub(in crate::proxy) mod connection_end;
pub(in crate::proxy) mod follow;
pub(in crate::proxy) mod limits;
pub(in crate::proxy) mod outcome;
pub(in crate::proxy) mod plan;
pub(in crate::proxy) mod refuse;
pub(in crate::proxy) mod retry;
