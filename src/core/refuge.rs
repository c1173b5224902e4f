//! Which pools may serve while no pool with weight can; `core::service` says which one does.

/// Which pools may stand in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Refuge {
    /// Those that nothing is held against.
    #[default]
    Healthy,
    None,
    /// Every one that is up, those last that something is held against.
    Any,
}
