//! State that is damaged, lost or open to others.
