//! Every call of the API: the one table that requests are routed by and that `openapi.json` is made of.

mod call;
mod fleet;
mod process;
mod services;
mod sets;
mod shape;

pub(super) use call::Call;
pub(super) use shape::Shape;

/// All calls, those of one path together.
pub(super) fn all() -> Vec<Call> {
    let parts = [process::calls(), services::calls(), services::rollouts(), sets::calls(), fleet::calls()];
    parts.into_iter().flatten().collect()
}
