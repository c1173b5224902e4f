//! What a pool's former version did is not shown or judged as the new one's.
