//! May the leader go on? Asked here, and nowhere else.
//!
//! What a candidate has proven it has proven at every member: each must be there, with the same configuration and the same
//! secret, know the format, show the weights that are judged, and have answered the leader's roll call: what it knows
//! of aborts is in the store then, even if that was restored from a backup. If one is missing, nothing advances and
//! nothing is promoted; everything serves on, and an abort needs none of this.

use super::documents::{AliveDocument, FORMAT, Stand};
use super::roll_call::RollCall;
use super::store::StoreRevision;
use super::transactions::AdvanceGround;
use super::view::StoreView;
use std::collections::BTreeMap;

/// What becomes of a rollout while a member is missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Missing {
    /// It stands still.
    #[default]
    Hold,
    /// It goes on with those that are there.
    GoOn,
}

/// What all members must have the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alike<'a> {
    pub config: &'a str,
    pub secret: &'a str,
    /// The answer to the leader's roll call.
    pub answers: &'a RollCall,
}

/// What an advance of a service rests on; `stand` is what all must show, `fence` the leader's own. `gone` has when
/// members were heard of last, for people.
///
/// # Errors
/// A sentence for each reason to stand still.
pub fn ground(
    view: &StoreView,
    (service, stand): (&str, Stand),
    fence: StoreRevision,
    alike: &Alike<'_>,
    (missing, gone): (Missing, &BTreeMap<String, String>),
) -> Result<AdvanceGround, Vec<String>> {
    let unread = |fault: super::documents::DocumentFault| vec![fault.to_string()];
    let (roster, members) = view.roster().map_err(unread)?;
    let Some(members) = members else { return Err(vec!["the list of members is gone".to_owned()]) };
    let (mut alive, mut why) = (Vec::new(), Vec::new());
    for name in roster.members.keys() {
        match view.alive(name) {
            Err(fault) => why.push(fault.to_string()),
            Ok(None) if missing == Missing::GoOn => {}
            Ok(None) => why.push(match gone.get(name) {
                Some(since) => format!("{name} has not been heard of since {since}"),
                None => format!("{name} has not been heard of"),
            }),
            Ok(Some((document, created))) => {
                why.extend(differs(name, document, service, stand, alike));
                alive.push((name.clone(), *created));
            }
        }
    }
    if why.is_empty() { Ok(AdvanceGround { fence, members, alive }) } else { Err(why) }
}

/// What of a member is not as it must be.
fn differs(
    name: &str,
    alive: &AliveDocument,
    service: &str,
    stand: Stand,
    alike: &Alike<'_>,
) -> Option<String> {
    if alive.secret != alike.secret {
        return Some(format!("{name} has another secret: give all members the same"));
    }
    if alive.config != alike.config {
        return Some(format!("{name} has another configuration: `pointsman fleet status` compares them"));
    }
    if alive.knows < FORMAT {
        return Some(format!(
            "{name} runs {}, which does not know format {FORMAT}: update it",
            alive.version
        ));
    }
    let shows = alive.applied.get(service).copied().unwrap_or_default();
    if shows < stand {
        return Some(format!("{name} does not show the current weights yet"));
    }
    let has_answered = alive.answers.as_ref() == Some(alike.answers);
    (!has_answered).then(|| format!("{name} has not read the store since the leader connected to it"))
}
