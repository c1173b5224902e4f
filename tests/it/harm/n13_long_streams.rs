//! Streams that nobody waits for are not cut.
