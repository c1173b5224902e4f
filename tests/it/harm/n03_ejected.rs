//! An ejected upstream of the candidate counts for `health`.
