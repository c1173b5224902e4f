//! What the process log says, and how loudly.
