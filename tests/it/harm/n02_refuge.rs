//! Who serves while no pool with weight can.
