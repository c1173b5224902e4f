//! Requests under way on a frozen candidate go to stable when it is aborted or marked down.
