//! Where a rollout stands, in words, for the history after a restart.

use super::state::{Phase, Rollout, Stage};

impl Rollout {
    /// Phase, place in it, and what it waits for: "step 2 of 3, paused".
    pub fn standing(&self) -> String {
        let mut parts = vec![self.place()];
        parts.extend(self.paused.then(|| "paused".to_owned()));
        let crossing = self.crossing.as_ref();
        if self.awaits_approval() {
            let next =
                crossing.map_or_else(|| self.what_follows(), |crossing| crossing.to.label().to_owned());
            parts.push(format!("waits for approval before {next}"));
        } else if let Some(point) = crossing.and_then(|crossing| crossing.hooks.first()) {
            parts.push(format!("the hook {point} is asked again"));
        }
        let dry = if self.plan.dry_run { "a dry run, nothing moves: " } else { "" };
        format!("{dry}{}", parts.join(", "))
    }

    fn place(&self) -> String {
        match (self.phase, &self.crossing) {
            (Phase::Preparing, Some(crossing)) if crossing.to == Phase::Preparing => {
                "before preparing".to_owned()
            }
            (Phase::Preparing | Phase::Testing, Some(_)) => format!("{} is done", self.phase.label()),
            (Phase::Testing, None) => "testing, the smoke tests are run again".to_owned(),
            (Phase::Shifting, _) if self.is_rolling() => self.batch_at_hand(),
            (Phase::Shifting, _) => {
                let mirrored = self.mirrors().map(|share| format!(" ({share} mirrored)")).unwrap_or_default();
                format!("step {} of {}{mirrored}", self.step + 1, self.plan.steps.len())
            }
            (phase, _) => phase.label().to_owned(),
        }
    }

    fn batch_at_hand(&self) -> String {
        let told = self.instances.iter().filter_map(|instance| {
            let stage = match instance.stage {
                Stage::Draining => "draining",
                Stage::Updating => "updating",
                Stage::Proving => "to be proven",
                Stage::Testing => "being tested",
                Stage::Waiting | Stage::Serving | Stage::Failed => return None,
            };
            Some(format!(", {} is {stage}", instance.upstream))
        });
        format!("batch {} of {}{}", self.step + 1, self.batches(), told.collect::<String>())
    }
}
