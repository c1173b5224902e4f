//! Names with addresses of both families, and names that move.
