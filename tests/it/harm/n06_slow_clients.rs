//! What clients do is never held against a version.
