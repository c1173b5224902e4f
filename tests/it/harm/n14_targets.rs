//! Request targets and hosts as clients write them.
