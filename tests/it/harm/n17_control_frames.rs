//! Budgets of HTTP/2 control frames.
