//! Interim answers, and answers without a body.
