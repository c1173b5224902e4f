pub(in crate::proxy) mod request;
