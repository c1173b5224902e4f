//! Weak set-ups are refused or warned of; texts from outside are bounded.
