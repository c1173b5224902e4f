//! All services, live, and those of them that there is something to do for.
//!
//! An input is about one service, and what follows from it must cost the same beside a thousand others. So
//! nothing walks through all services: those that an input was about are touched, until what it led to is carried
//! out; those that time alone may change are awake, and looked at on every tick; the others sleep until something
//! begins on them. Sleepers are looked at as well, a few at a time, so that what is shown of them is not old and
//! nothing that was missed is missed for long.

use super::service::ServiceController;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

#[derive(Debug, Default)]
pub(super) struct Services {
    all: BTreeMap<Arc<str>, ServiceController>,
    touched: BTreeSet<Arc<str>>,
    awake: BTreeSet<Arc<str>>,
    /// Those of which something else would be shown now.
    stale: BTreeSet<Arc<str>>,
    /// Who had a turn last: at being looked at, and at being shown.
    looked_at: Option<Arc<str>>,
    shown: Option<Arc<str>>,
}

impl Services {
    pub(super) fn contains(&self, name: &str) -> bool {
        self.all.contains_key(name)
    }

    pub(super) fn names(&self) -> Vec<Arc<str>> {
        self.all.keys().cloned().collect()
    }

    /// In the order of their names.
    pub(super) fn values(&self) -> impl Iterator<Item = &ServiceController> {
        self.all.values()
    }

    pub(super) fn get(&self, name: &str) -> Option<&ServiceController> {
        self.all.get(name)
    }

    pub(super) fn insert(&mut self, name: Arc<str>, service: ServiceController) {
        self.touched.insert(name.clone());
        self.stale.insert(name.clone());
        self.all.insert(name, service);
    }

    pub(super) fn remove(&mut self, name: &str) -> Option<ServiceController> {
        for names in [&mut self.touched, &mut self.awake, &mut self.stale] {
            names.remove(name);
        }
        self.all.remove(name)
    }

    /// The service that an input is about.
    pub(super) fn touch(&mut self, name: &str) -> Option<&mut ServiceController> {
        let (name, _) = self.all.get_key_value(name)?;
        self.touched.insert(name.clone());
        self.stale.insert(name.clone());
        self.all.get_mut(&*name.clone())
    }

    /// The same, where nothing that is shown has changed by it.
    pub(super) fn visit(&mut self, name: &str) -> Option<&mut ServiceController> {
        let (name, _) = self.all.get_key_value(name)?;
        self.touched.insert(name.clone());
        self.all.get_mut(&*name.clone())
    }

    /// All of them, for what is about the whole site.
    pub(super) fn touch_all(&mut self) -> impl Iterator<Item = &mut ServiceController> {
        self.touched.extend(self.all.keys().cloned());
        self.stale.extend(self.all.keys().cloned());
        self.all.values_mut()
    }

    /// Something has begun on a service: it is looked at from now on.
    pub(super) fn rouse(&mut self, name: &str) -> Option<&mut ServiceController> {
        let (name, _) = self.all.get_key_value(name)?;
        self.awake.insert(name.clone());
        self.touch(&name.clone())
    }

    /// Those that are looked at on every tick.
    pub(super) fn awake(&self) -> impl Iterator<Item = &ServiceController> {
        self.awake.iter().filter_map(|name| self.all.get(name))
    }

    /// The next few of all, in turn.
    pub(super) fn turn(&mut self, most: usize) -> Vec<Arc<str>> {
        let after = Bound::Excluded(self.looked_at.as_deref().unwrap_or_default());
        let later = self.all.range::<str, _>((after, Bound::Unbounded)).map(|(name, _)| name);
        let names: Vec<_> = later.chain(self.all.keys()).take(most.min(self.all.len())).cloned().collect();
        self.looked_at = names.last().cloned();
        names
    }

    /// The next few of which something else would be shown now, in turn.
    pub(super) fn stale(&mut self, most: usize) -> Vec<Arc<str>> {
        let after = Bound::Excluded(self.shown.as_deref().unwrap_or_default());
        let later = self.stale.range::<str, _>((after, Bound::Unbounded));
        let names: Vec<_> = later.chain(&self.stale).take(most.min(self.stale.len())).cloned().collect();
        self.shown = names.last().cloned().or(self.shown.take());
        self.is_shown(&names);
        names
    }

    pub(super) fn has_stale(&self) -> bool {
        !self.stale.is_empty()
    }

    /// These are shown as they are now.
    pub(super) fn is_shown(&mut self, names: &[Arc<str>]) {
        for name in names {
            self.stale.remove(name);
        }
    }

    /// Those that inputs were about since the last call.
    pub(super) fn take_touched(&mut self) -> Vec<Arc<str>> {
        std::mem::take(&mut self.touched).into_iter().collect()
    }

    pub(super) fn each(&mut self, names: &[Arc<str>], mut with: impl FnMut(&mut ServiceController)) {
        for name in names {
            if let Some(live) = self.all.get_mut(name) {
                with(live);
            }
        }
    }

    /// What was to be done for these is done: whether they are looked at further on. What has come up meanwhile is
    /// done next time.
    pub(super) fn settle(&mut self, names: &[Arc<str>]) {
        for name in names {
            let Some(live) = self.all.get(name) else { continue };
            if live.is_asleep() {
                self.awake.remove(name);
            } else {
                self.awake.insert(name.clone());
            }
            if !live.outputs.is_empty() {
                self.touched.insert(name.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::service::ServiceState;

    /// Services `a` to `e` with nothing left to do.
    fn services() -> Services {
        let text = |name: char| {
            format!(
                "[[routes]]\nservice = \"{name}\"\nhosts = [\"{name}.example\"]\n\
                 [services.{name}.pools.blue]\nupstreams = [\"127.0.0.1:1\"]\n"
            )
        };
        let text = "[[listeners]]\naddress = \"127.0.0.1:0\"\n".to_owned()
            + &('a'..='e').map(text).collect::<String>();
        let config =
            crate::config::parse(&text, "test", &|_| None, "/tmp".as_ref()).expect("a configuration");
        let mut services = Services::default();
        for (slot, settings) in config.services.values().enumerate() {
            let state = ServiceState::new("blue", ["blue"]);
            services.insert(settings.name.clone(), ServiceController::new(settings.clone(), slot, state));
        }
        services.touch_all().for_each(|live| live.outputs = Default::default());
        let all = services.take_touched();
        services.settle(&all);
        services.stale(all.len());
        services
    }

    fn joined(names: Vec<Arc<str>>) -> String {
        names.concat()
    }

    #[test]
    fn only_what_inputs_were_about_is_carried_out_and_shown() {
        let mut services = services();
        assert_eq!((joined(services.take_touched()), services.has_stale()), (String::new(), false));
        assert!(
            services.touch("d").is_some() && services.visit("b").is_some() && services.touch("z").is_none()
        );
        assert_eq!((joined(services.take_touched()), joined(services.stale(9))), ("bd".into(), "d".into()));
        services.visit("c").expect("there").outputs.publish();
        let touched = services.take_touched();
        services.settle(&touched);
        assert_eq!(joined(services.take_touched()), "c", "what comes up at the end is done next time");
        assert_eq!(services.awake().map(ServiceController::name).collect::<String>(), "c");
    }

    #[test]
    fn who_was_roused_is_looked_at_until_it_can_be_left_alone() {
        let mut services = services();
        services.rouse("b").expect("there").saver.write_now();
        for (is_written, awake) in [(false, "b"), (true, "")] {
            let touched = services.take_touched();
            assert_eq!(joined(touched.clone()), "b");
            services.settle(&touched);
            assert_eq!(services.awake().map(ServiceController::name).collect::<String>(), awake);
            if !is_written {
                services.touch("b").expect("there").saver.write_later();
            }
        }
    }

    #[test]
    fn everybody_has_a_turn() {
        let mut services = services();
        let turns: Vec<_> = (0..4).map(|_| joined(services.turn(2))).collect();
        assert_eq!(turns, ["ab", "cd", "ea", "bc"]);
        assert_eq!(joined(services.turn(9)), "deabc");
        services.touch_all().for_each(drop);
        assert_eq!(joined(services.stale(2)), "ab");
        services.touch("a");
        assert_eq!([2, 2, 2].map(|most| joined(services.stale(most))), ["cd", "ea", ""]);
        services.remove("e");
        services.touch_all().for_each(drop);
        assert_eq!(joined(services.stale(9)), "bcda");
    }
}
