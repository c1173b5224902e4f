//! Which of two documents goes on: the one that the store has, or the one that a member has had.
//!
//! A store that was wiped, or restored from a backup, has lost changes that members have in effect. Nobody can go back
//! to what it has: weights would move by themselves. So what a member has is put back under the next epoch, which
//! wins over all numbers of the former one. Several members may try, and the first of them need not be the one that has the
//! latest; so the document says what was put back, and a member that had more puts that back, as long as nobody has
//! written since.

use super::documents::ServiceDocument;

/// What a member does about a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lineage {
    /// Nobody knows the service yet.
    Begin,
    /// The store's document is as good as what the member has, or better.
    Follow,
    /// What the member has goes into the store, under this epoch.
    PutBack(u64),
}

/// Of what a member `had` last and what the store `has` now.
pub fn lineage(had: Option<&ServiceDocument>, has: Option<&ServiceDocument>) -> Lineage {
    match (had, has) {
        (None, None) => Lineage::Begin,
        (None, Some(_)) => Lineage::Follow,
        (Some(had), None) => Lineage::PutBack(had.epoch + 1),
        (Some(had), Some(has)) if had_more(had, has) => Lineage::PutBack(has.epoch.max(had.epoch) + 1),
        (Some(_), Some(_)) => Lineage::Follow,
    }
}

fn had_more(had: &ServiceDocument, has: &ServiceDocument) -> bool {
    // A store that is restored twice may have two epochs of one number.
    if (had.epoch, had.put_back) == (has.epoch, has.put_back) {
        return has.stand() < had.stand();
    }
    let is_written_since = has.epoch >= had.epoch && !has.is_untouched();
    !is_written_since && has.content() < had.content()
}

/// The rollout whose abort a member `had` in a document, where what the store `has` shows none of it: the store was
/// restored, and somebody who did not know of the abort has written since.
pub fn lost_abort<'a>(had: Option<&'a ServiceDocument>, has: &ServiceDocument) -> Option<&'a String> {
    let undone = had?.undone.as_ref()?;
    let last = has.state.rollout.as_ref()?;
    (last.id == *undone && has.undone.as_ref() != Some(undone)).then_some(undone)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::fleet::documents::Stand;
    use crate::core::service::ServiceState;

    fn document(epoch: u64, seq: u64, put_back: Option<(u64, u64)>) -> ServiceDocument {
        let state = ServiceState { seq, ..ServiceState::new("blue", ["blue"]) };
        let put_back = put_back.map(|(epoch, seq)| Stand { epoch, seq });
        ServiceDocument { format: 1, epoch, txn: String::new(), state, undone: None, put_back }
    }

    #[test]
    fn what_a_store_has_lost_is_put_back_by_the_one_that_has_the_latest() {
        let had = |epoch, seq| Some(document(epoch, seq, None));
        for (had, has, then) in [
            (None, None, Lineage::Begin),
            (None, Some(document(1, 5, None)), Lineage::Follow),
            (had(1, 5), Some(document(1, 5, None)), Lineage::Follow),
            (had(1, 5), Some(document(1, 9, None)), Lineage::Follow),
            (had(1, 5), None, Lineage::PutBack(2)),
            (had(1, 5), Some(document(1, 3, None)), Lineage::PutBack(2)),
            (had(2, 5), Some(document(1, 90, None)), Lineage::PutBack(3)),
            // Somebody who had less was quicker, and nothing has followed.
            (had(1, 5), Some(document(2, 3, Some((1, 3)))), Lineage::PutBack(3)),
            (had(1, 3), Some(document(3, 5, Some((1, 5)))), Lineage::Follow),
            // Both were put back: what counts is what they were made of.
            (Some(document(2, 5, Some((1, 5)))), Some(document(4, 7, Some((1, 7)))), Lineage::Follow),
            (Some(document(2, 8, Some((1, 5)))), Some(document(4, 7, Some((1, 7)))), Lineage::PutBack(5)),
            // The store was restored once more: another epoch of the same number, or the one before it.
            (Some(document(2, 7, Some((1, 7)))), Some(document(2, 6, Some((1, 5)))), Lineage::Follow),
            (Some(document(2, 7, Some((1, 7)))), Some(document(2, 5, Some((1, 5)))), Lineage::PutBack(3)),
            (Some(document(2, 7, Some((1, 7)))), Some(document(1, 9, None)), Lineage::Follow),
            (Some(document(2, 7, Some((1, 7)))), Some(document(1, 6, None)), Lineage::PutBack(3)),
            (Some(document(2, 8, Some((1, 7)))), Some(document(1, 9, None)), Lineage::PutBack(3)),
            // Something has followed: who comes back too late follows it.
            (had(1, 5), Some(document(2, 4, Some((1, 3)))), Lineage::Follow),
        ] {
            assert_eq!(lineage(had.as_ref(), has.as_ref()), then, "{had:?} and {has:?}");
        }
    }
}
