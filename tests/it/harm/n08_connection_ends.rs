//! The normal end of a connection to an upstream is no failure.
