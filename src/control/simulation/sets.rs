//! Random runs of several services that are deployed as one: each its own world, with its own disk, verdicts, commands
//! and upstreams, and crashes of all at once. What keeps them together is asked after every step, as the controller
//! asks it.

use super::*;
use crate::core::service::{Member, SetMove, SetPart, Standing, set_moves};

const SERVICES: [&str; 3] = ["web", "signaling", "worker"];

impl Met {
    fn and(self, other: Met) -> Met {
        Met {
            begun: self.begun + other.begun,
            promoted: self.promoted + other.promoted,
            aborted_together: self.aborted_together + other.aborted_together,
            back_together: self.back_together + other.back_together,
            steps: self.steps + other.steps,
            crashes: self.crashes + other.crashes,
        }
    }
}

/// Several services of one process.
struct Site {
    rng: SmallRng,
    worlds: Vec<World>,
    /// The last rollout of all of them.
    part: Option<SetPart>,
    begun: u32,
    /// Whether somebody has promoted them, which skips what is left.
    is_hurried: bool,
    met: Met,
}

/// What the runs met.
#[derive(Clone, Copy, Debug, Default)]
struct Met {
    begun: u64,
    promoted: u64,
    aborted_together: u64,
    back_together: u64,
    /// Services that were told to go on.
    steps: u64,
    crashes: u64,
}

impl Site {
    fn new(seed: u64) -> Self {
        let worlds = (0..SERVICES.len() as u64).map(|at| World::new(seed * 8 + at)).collect();
        let rng = SmallRng::seed_from_u64(seed);
        Site { rng, worlds, part: None, begun: 0, is_hurried: false, met: Met::default() }
    }

    fn step(&mut self) {
        match self.rng.random_range(0..20) {
            0 => self.start(),
            1 => {
                // All or none: the process dies.
                self.worlds.iter_mut().for_each(World::crash);
                self.met.crashes += 1;
            }
            2 => self.promote(),
            _ => {
                let at = self.rng.random_range(0..self.worlds.len());
                self.worlds[at].step();
            }
        }
        self.keep_together();
        self.worlds.iter_mut().for_each(World::check);
    }

    /// Each by itself: a slow or full disk may refuse one of them.
    fn start(&mut self) {
        let is_free = |world: &World| !world.saver.is_pending() && world.live().running().is_none();
        if !self.worlds.iter().all(is_free) {
            return;
        }
        self.begun += 1;
        let services = SERVICES.map(str::to_owned).to_vec();
        let part = SetPart { name: "site".into(), rollout: format!("site-{}", self.begun), services };
        let plan = loop {
            let plan = self.worlds[0].plan();
            if !plan.is_rolling() && plan.faults().is_empty() {
                break plan;
            }
        };
        let to = POOLS[self.rng.random_range(0..3)];
        for (at, world) in self.worlds.iter_mut().enumerate() {
            let own = Plan { gate: plan.gate && at == 0, hooks: world.plan().hooks, ..plan.clone() };
            let Change::Start { id, to, version, policy, plan, upstreams, who, .. } =
                start(&format!("{}-{}", SERVICES[at], self.begun), to, own)
            else {
                unreachable!("a start")
            };
            let set = Some(part.clone());
            world.change(Change::Start { id, to, version, policy, plan, upstreams, set, who });
        }
        self.met.begun += 1;
        (self.part, self.is_hurried) = (Some(part), false);
    }

    /// All of them, where none would refuse; a full disk may keep it from some.
    fn promote(&mut self) {
        let Some(part) = &self.part else { return };
        let runs = |world: &World| match world.live().running() {
            Some(running) if !world.saver.is_pending() => {
                let is_part = running.set.as_ref().is_some_and(|set| set.rollout == part.rollout);
                is_part && running.rollout.promotion_denied().is_none()
            }
            _ => false,
        };
        if !self.worlds.iter().all(runs) || self.rng.random_bool(0.7) {
            return;
        }
        self.is_hurried = true;
        for world in &mut self.worlds {
            let id = world.live().running().map(|running| running.id.clone()).unwrap_or_default();
            world.change(Change::Asked { id: &id, action: Action::Promote, who: "sim" });
        }
    }

    fn members<'a>(&self, part: &'a SetPart) -> Vec<Member<'a>> {
        let of = |(service, world): (&'a String, &World)| Member {
            service,
            standing: world.live().standing(&part.rollout),
            is_changing: world.saver.is_pending(),
        };
        part.services.iter().zip(&self.worlds).map(of).collect()
    }

    fn keep_together(&mut self) {
        let Some(part) = self.part.clone() else { return };
        for _ in SERVICES {
            for (at, next) in set_moves(&self.members(&part)) {
                self.carry_out(at, &next);
            }
        }
        self.check(&part);
    }

    fn carry_out(&mut self, at: usize, next: &SetMove) {
        let down = BTreeMap::new();
        let caution = Caution { down: &down, force: false };
        let has_run = self.worlds[at].live().running().is_some();
        match next {
            SetMove::GoOn => self.worlds[at].change(Change::GoOn),
            SetMove::Undo(by) => self.worlds[at].change(Change::Undone { by, caution }),
        }
        let count = match next {
            SetMove::GoOn => &mut self.met.steps,
            SetMove::Undo(_) if has_run => &mut self.met.aborted_together,
            SetMove::Undo(_) => &mut self.met.back_together,
        };
        *count += 1;
    }

    fn check(&self, part: &SetPart) {
        let members = self.members(part);
        let is_undone = |member: &Member<'_>| matches!(member.standing, Standing::Undone { .. });
        if members.iter().any(is_undone) {
            let left = |member: &&Member<'_>| match member.standing {
                Standing::Runs { .. } => true,
                Standing::Promoted => !member.is_changing,
                Standing::Absent | Standing::Undone { .. } => false,
            };
            let left = members.iter().find(left);
            assert!(left.is_none(), "one was undone, and {left:?} was not: {members:?}");
            return;
        }
        let progress = |member: &Member<'_>| match member.standing {
            Standing::Runs { place, .. } => Some(place),
            _ => None,
        };
        let places: Vec<_> = members.iter().filter_map(progress).collect();
        // A service whose upstreams were replaced before it had traffic begins again: then all are at the beginning.
        let (least, most) = (places.iter().min(), places.iter().max());
        if self.is_hurried {
            return;
        }
        if let (Some(least), Some(most)) = (least, most) {
            assert!(most - least <= 1, "one is two steps ahead: {members:?}");
            assert!(places.is_sorted_by(|one, next| one >= next), "they go on in their order: {members:?}");
        }
    }

    /// With everything up, passing verdicts and willing hooks, all of them end, in one way.
    fn drive_to_the_end(&mut self) {
        self.worlds.iter_mut().for_each(World::mend);
        for _ in 0..4000 {
            let running = self.worlds.iter_mut().filter_map(|world| world.drive().then_some(())).count();
            self.keep_together();
            if running == 0 {
                let Some(part) = &self.part else { return };
                let promoted = |world: &&World| world.live().standing(&part.rollout) == Standing::Promoted;
                let count = self.worlds.iter().filter(promoted).count();
                self.met.promoted += u64::from(count == SERVICES.len());
                return;
            }
        }
        panic!("they never end: {:?}", self.worlds.iter().map(|w| &w.live().rollout).collect::<Vec<_>>());
    }
}

fn run(seed: u64) -> Met {
    let mut site = Site::new(seed);
    for _ in 0..STEPS * 3 {
        site.step();
    }
    site.drive_to_the_end();
    site.met
}

#[test]
fn services_of_a_set_go_on_and_are_undone_together() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let only = number("POINTSMAN_SEED");
    let runs = number("POINTSMAN_SEEDS").unwrap_or(RUNS / 25);
    let seeds = only.map_or(0..runs, |seed| seed..seed + 1);
    let count = seeds.end - seeds.start;
    let met = on_all_threads(seeds, run, Met::and);
    println!("{count} random runs of three services as one; they met {met:?}");
    let all = [met.begun, met.promoted, met.aborted_together, met.back_together, met.steps, met.crashes];
    assert!(only.is_some() || count < 500 || all.iter().all(|count| *count > 0), "{met:?}");
}
