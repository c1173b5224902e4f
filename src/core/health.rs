//! Active checks: how many results it takes to believe that an upstream is up or down.

/// What is believed of one upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    rise: u32,
    fall: u32,
    up: bool,
    /// Results in a row that speak against what is believed.
    against: u32,
    /// Whether any result has come.
    proven: bool,
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
        Health { rise: rise.max(1), fall: fall.max(1), up: false, against: 0, proven: false, bad: 0 }
    }

    /// The same, but believed up until its first result: for the upstreams a process starts with, so
    /// that a restart does not refuse everybody until the checks have been made.
    pub fn presumed(rise: u32, fall: u32) -> Self {
        Health { up: true, ..Health::new(rise, fall) }
    }

    /// With nothing known of it yet, but what it is believed until the next result.
    pub fn begun_anew(self, up: bool) -> Self {
        Health { up, ..Health::new(self.rise, self.fall) }
    }

    pub fn is_up(&self) -> bool {
        self.up
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
        let first = !std::mem::replace(&mut self.proven, true);
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
        (self.up, self.against) = (ok, 0);
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
