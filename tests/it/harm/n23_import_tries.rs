//! `try_files`, error pages and servers, carried over by what they mean.
