//! What the proxy itself runs out of is never held against a version.
