pub(in crate::proxy) mod keyring;
pub(in crate::proxy) mod peer;
pub(in crate::proxy) mod registry;
pub(in crate::proxy) mod uses;
pub(in crate::proxy) mod verbatim;
