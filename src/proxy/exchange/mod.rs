//! One request as data, in four parts with one owner each.
//!
//! | part | says | owner |
//! |---|---|---|
//! | [`Inbound`] | who sent what, over which listener, and how much of its body has come | the lane |
//! | [`RoutePlan`] | the route, what it made of the target, the pool | `decide` |
//! | [`Attempts`] | which upstreams were tried, and what came of it | `measure` |
//! | [`Delivery`] | the answer on its way to the client | the lane |

mod attempts;
mod delivery;
mod inbound;
mod original;
mod replaced;
pub(in crate::proxy) mod request;
mod route_plan;

pub(in crate::proxy) use attempts::{Attempt, AttemptPhase, Attempts, CountedGroup, Ended};
pub(in crate::proxy) use delivery::Delivery;
pub(in crate::proxy) use inbound::{Inbound, InboundBody};
pub(in crate::proxy) use original::{Collected, Original};
pub(in crate::proxy) use replaced::Replaced;
pub(in crate::proxy) use request::Request;
pub(in crate::proxy) use route_plan::{Chosen, ChosenBy, Cookies, Granted, PlanTarget, RoutePlan};
