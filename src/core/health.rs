//! Active checks: how many results it takes to believe that an upstream is up or down.

/// What is believed of one upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    rise: u32,
    fall: u32,
    up: bool,
    /// Results in a row that speak against what is believed.
    against: u32,
    /// Whether a result has decided what is believed.
    proven: bool,
    /// Whether a first bad result decides nothing.
    is_trusted: bool,
    /// Bad results since it was last believed up and answered well.
    bad: u32,
}

/// What one result changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transition {
    Up,
    Down,
}

impl Health {
    /// Not proven yet, and down until it is: the first result decides at once. Later it takes `rise`
    /// good results in a row to come up, `fall` bad ones to go down.
    pub fn new(rise: u32, fall: u32) -> Self {
        Health {
            rise: rise.max(1),
            fall: fall.max(1),
            up: false,
            against: 0,
            proven: false,
            is_trusted: false,
            bad: 0,
        }
    }

    /// The same, but believed up until its first result: for the upstreams a process starts with, so
    /// that a restart does not refuse everybody until the checks have been made.
    pub fn presumed(rise: u32, fall: u32) -> Self {
        Health { up: true, ..Health::new(rise, fall) }
    }

    /// Believed up until `fall` results in a row say otherwise, from the first one on: for checks that nobody has
    /// asked for. A good result proves it; bad ones do once they have brought it down.
    pub fn trusted(rise: u32, fall: u32) -> Self {
        Health { up: true, is_trusted: true, ..Health::new(rise, fall) }
    }

    /// With nothing known of it yet, but what it is believed until the next result. What nobody has asked for says
    /// nothing of a version: where it was passed, a rollout waits for no other.
    pub fn begun_anew(self, up: bool) -> Self {
        let proven = self.is_trusted && self.proven && up;
        Health { up, proven, is_trusted: self.is_trusted, ..Health::new(self.rise, self.fall) }
    }

    pub fn is_up(&self) -> bool {
        self.up
    }

    /// Whether it is up, and a first result is waited for by nobody.
    pub fn is_trusted(&self) -> bool {
        self.up && self.is_trusted
    }

    pub fn is_proven(&self) -> bool {
        self.proven
    }

    /// Whether it is down after `fall` bad results: the first result alone may only say that it has not
    /// started yet.
    pub fn is_found_down(&self) -> bool {
        !self.up && self.bad >= self.fall
    }

    /// Takes in one result.
    pub fn observe(&mut self, ok: bool) -> Option<Transition> {
        let first = !self.proven && !self.is_trusted();
        self.proven |= ok || first;
        self.bad = match (ok, self.up) {
            (false, _) => self.bad.saturating_add(1),
            (true, true) => 0,
            (true, false) => self.bad,
        };
        if ok == self.up {
            self.against = 0;
            return None;
        }
        self.against += 1;
        let enough = if ok { self.rise } else { self.fall };
        if !first && self.against < enough {
            return None;
        }
        (self.up, self.against, self.proven) = (ok, 0, true);
        if ok {
            self.bad = 0;
        }
        Some(if ok { Transition::Up } else { Transition::Down })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_first_result_decides_at_once_the_others_need_a_row() {
        let mut health = Health::new(2, 3);
        assert!(!health.is_up() && !health.is_proven());
        assert_eq!(health.observe(true), Some(Transition::Up));
        let course: Vec<_> = [false, false, true, false, false, false].map(|ok| health.observe(ok)).into();
        assert_eq!(course, [None, None, None, None, None, Some(Transition::Down)]);
        assert_eq!(
            [true, false, true, true].map(|ok| health.observe(ok)),
            [None, None, None, Some(Transition::Up)]
        );
        let mut presumed = Health::presumed(2, 3);
        assert!(presumed.is_up());
        assert_eq!(presumed.observe(false), Some(Transition::Down), "its first result decides, too");
    }

    #[test]
    fn it_is_found_down_after_a_row_not_by_the_first_result() {
        let mut health = Health::new(2, 3);
        let mut course = |ok| {
            health.observe(ok);
            health.is_found_down()
        };
        assert_eq!([false, false, false].map(&mut course), [false, false, true]);
        assert_eq!([true, true].map(&mut course), [true, false], "until it is up again");
        assert_eq!([false, true, false, false, false].map(&mut course), [false, false, false, false, true]);
    }

    #[test]
    fn what_nobody_asked_to_be_checked_goes_down_after_a_row_only() {
        let mut health = Health::trusted(1, 3);
        let mut course = |ok| {
            health.observe(ok);
            (health.is_up(), health.is_proven(), health.is_found_down())
        };
        assert_eq!(course(false), (true, false, false), "one bad result says nothing yet");
        assert_eq!(course(true), (true, true, false));
        let down = [false, false, false].map(&mut course);
        assert_eq!(down, [(true, true, false), (true, true, false), (false, true, true)]);
        assert_eq!(course(true), (true, true, false));
        let again = health.begun_anew(true);
        assert!(again.is_up() && again.is_proven(), "another version is not held up by it");
        let mut never_reached = Health::trusted(1, 2);
        let course = [false, false].map(|ok| never_reached.observe(ok));
        assert_eq!((course, never_reached.is_proven()), ([None, Some(Transition::Down)], true));
        let mut again = never_reached.begun_anew(false);
        assert_eq!((again.is_up(), again.is_proven()), (false, false));
        assert_eq!(again.observe(true), Some(Transition::Up), "one result decides for what is down");
    }

    proptest! {
        #[test]
        fn what_is_believed_is_what_the_last_row_said(results in prop::collection::vec(any::<bool>(), 1..60)) {
            let mut health = Health::new(2, 3);
            for ok in &results {
                health.observe(*ok);
            }
            let last = results[results.len() - 1];
            let row = results.iter().rev().take_while(|ok| **ok == last).count();
            if row >= if last { 2 } else { 3 } {
                prop_assert_eq!(health.is_up(), last);
            }
        }
    }
}
