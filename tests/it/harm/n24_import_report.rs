//! Every claim of the import's report is true.
