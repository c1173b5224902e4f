//! Pools that lead back to the proxy itself.
