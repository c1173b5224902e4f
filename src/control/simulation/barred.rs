//! No command, restart or outage ever gives traffic to a pool that was aborted, unless it is forced.
//!
//! Which pools those are is kept here from what happened, by notes and addresses alone.

use super::*;

/// Pools whose version was aborted, or taken back after its promotion.
#[derive(Debug, Default)]
pub(super) struct Barred(BTreeMap<String, Bar>);

#[derive(Debug)]
struct Bar {
    /// Where the version lies.
    addresses: BTreeSet<String>,
    /// Whether the pool has other addresses now.
    is_away: bool,
    /// What an operator has forced on it.
    forced: BasisPoints,
}

impl Barred {
    /// What a change that takes effect says.
    pub(super) fn take_in(
        &mut self,
        before: &ServiceState,
        applied: &Applied,
        sets: &BTreeMap<String, BTreeSet<String>>,
        named: bool,
    ) {
        let after = &applied.state;
        let has = |event| applied.notes.iter().any(|note| note.event == event);
        if named {
            // What has gone and is named again is a deploy of its own.
            self.0.retain(|pool, bar| {
                !bar.is_away
                    || bar.addresses.is_disjoint(&sets[pool])
                    || before.upstreams.get(pool) == after.upstreams.get(pool)
            });
        }
        self.follow(sets);
        let forced = applied.notes.iter().any(|note| note.text.contains(", forced: "));
        if has(Event::Flip) || has(Event::Rollback) {
            // An earlier check has seen that it was not barred, or it is forced.
            assert!(forced || !self.holds(&after.stable), "{} was aborted: {applied:?}", after.stable);
            self.0.remove(&after.stable);
        }
        if has(Event::Weights) {
            for (pool, bar) in &mut self.0 {
                let (was, is) = (before.weights[pool], after.weights[pool]);
                assert!(forced || bar.is_away || is <= was, "{pool} was aborted and got {is}");
                bar.forced = if is > was { is } else { bar.forced.min(is) };
            }
        }
        if has(Event::Returned) {
            self.bar(&before.stable, sets);
        }
        if has(Event::TakenBack)
            && let Some(hand) = &before.hand
        {
            self.bar(&hand.pool, sets);
        }
        let Some(last) = after.rollout.as_ref().filter(|last| !last.rollout.plan.dry_run) else { return };
        if has(Event::Promoted) && last.rollout.phase == Phase::Promoted {
            self.0.remove(&last.to);
        }
        let serves = after.stable == last.to || after.weights[&last.to] > BasisPoints::ZERO;
        if has(Event::Aborted)
            && last.rollout.phase == Phase::Aborted
            && before.running().is_some()
            && !serves
        {
            self.bar(&last.to, sets);
        }
    }

    /// The pools have these addresses now.
    pub(super) fn follow(&mut self, sets: &BTreeMap<String, BTreeSet<String>>) {
        for (pool, bar) in &mut self.0 {
            bar.is_away = bar.addresses.is_disjoint(&sets[pool]);
        }
    }

    fn bar(&mut self, pool: &str, sets: &BTreeMap<String, BTreeSet<String>>) {
        let bar = Bar { addresses: sets[pool].clone(), is_away: false, forced: BasisPoints::ZERO };
        self.0.insert(pool.to_owned(), bar);
    }

    fn holds(&self, pool: &str) -> bool {
        self.0.get(pool).is_some_and(|bar| !bar.is_away)
    }

    /// Whether a barred pool is all that could serve.
    pub(super) fn check(&self, state: &ServiceState, up: &BTreeSet<&str>, refuge: Refuge) -> bool {
        let effective = state.effective_weights(|pool| up.contains(pool), refuge);
        let tried =
            state.running().filter(|running| !running.rollout.plan.dry_run).map(|running| &running.to);
        let mut alone = false;
        for (pool, bar) in self.0.iter().filter(|(pool, bar)| Some(*pool) != tried && !bar.is_away) {
            assert_ne!(state.stable, *pool, "{pool} was aborted and is stable");
            let share = effective[pool.as_str()];
            let fine = share <= bar.forced || refuge == Refuge::Any;
            assert!(fine, "{pool} was aborted and gets {share} with {up:?} up: {bar:?} {state:?}");
            alone |=
                up.contains(pool.as_str()) && up.iter().all(|pool| state.weights[*pool] == BasisPoints::ZERO);
        }
        alone
    }
}
