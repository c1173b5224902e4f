//! The harm that the product once did, kind by kind: one file for each number of the list, and what its
//! siblings are.

mod n01_rollback;
mod n02_refuge;
mod n03_ejected;
mod n04_frozen;
mod n05_loops;
mod n06_slow_clients;
mod n07_own_limits;
mod n08_connection_ends;
mod n09_past;
mod n10_names;
mod n11_desync;
mod n12_lingering;
mod n13_long_streams;
mod n14_targets;
mod n15_interim;
mod n16_forwarded;
mod n17_control_frames;
mod n18_admin_door;
mod n19_weak_setups;
mod n20_state_files;
mod n21_log_levels;
mod n22_import_closed;
mod n23_import_tries;
mod n24_import_report;

mod versions;
