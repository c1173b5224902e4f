//! The admin API stays open to its callers.
