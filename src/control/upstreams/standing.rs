//! Since when an upstream has the state that is shown of it.
//!
//! A state follows from checks, from failures of real traffic and from what operators drain. It is compared whenever
//! the service is shown, which each of these leads to, and not noted at each of them. A process knows it from its own
//! start on.

use crate::core::table::UpstreamState;

/// A state with its beginning.
#[derive(Debug, Default)]
pub(super) struct Standing {
    known: Option<(UpstreamState, String)>,
}

impl Standing {
    /// The upstream has this state now; `wall` is the time of day, RFC 3339.
    pub(super) fn note(&mut self, state: UpstreamState, wall: &str) {
        if self.known.as_ref().is_none_or(|(known, _)| *known != state) {
            self.known = Some((state, wall.to_owned()));
        }
    }

    /// RFC 3339; `None` before it has been shown.
    pub(super) fn since(&self) -> Option<&str> {
        self.known.as_ref().map(|(_, since)| &**since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_another_state_begins_another_time() {
        let mut standing = Standing::default();
        assert_eq!(standing.since(), None);
        let course = [(UpstreamState::Ready, "1"), (UpstreamState::Ready, "2"), (UpstreamState::Down, "3")];
        let since = course.map(|(state, wall)| {
            standing.note(state, wall);
            standing.since().map(str::to_owned)
        });
        assert_eq!(since, ["1", "1", "3"].map(|wall| Some(wall.to_owned())));
    }
}
