pub mod plan;
pub use plan::{Idle, Plan, Step, Strategy};
