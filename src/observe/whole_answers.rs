//! What is counted of one arm on one worker only while somebody asks how long whole answers take, or compares the
//! arm with another. It is made when the first answer is counted, so that arms nobody asks about need no memory.

use super::clients::Clients;
use crate::core::client::ClientKey;
use crate::core::counter::Counter;
use crate::core::latency::BUCKETS;
use crate::core::outcome::MAX_LIMITS;

/// Answers whose clients are remembered.
const KEPT: usize = 256;
/// Lower bits of an entry: the bucket, and above it whether it is of a whole answer.
const BUCKET_BITS: u32 = 8;
const BUCKET: u64 = (1 << BUCKET_BITS) - 1;

const _: () = assert!(BUCKETS <= 1 << BUCKET_BITS);

/// Written by the worker's own thread alone, as everything in a shard.
#[derive(Debug)]
pub(super) struct WholeAnswers {
    /// By bucket: heads of answers, without the time that a connection took.
    pub heads: [Counter; BUCKETS],
    /// Answers that came whole, and those that were cut short.
    pub whole: [Counter; BUCKETS],
    pub cut: [Counter; BUCKETS],
    /// Of these, those longer than each limit.
    pub long: [Counter; MAX_LIMITS],
    pub cut_long: [Counter; MAX_LIMITS],
    pub long_clients: [Clients; MAX_LIMITS],
    pub empty: Counter,
    pub declined: Counter,
    pub recent: Recent,
}

/// Who took how long lately. How many clients slow answers came to, by a threshold that follows stable, cannot be
/// counted beforehand.
#[derive(Debug)]
pub(super) struct Recent {
    entries: [Entry; KEPT],
    next: Counter,
}

#[derive(Debug, Default)]
struct Entry {
    client: Counter,
    /// When it was, in µs, and below it what was measured and its bucket.
    what: Counter,
}

/// What was measured, as the bucket of its latency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Took {
    ToHead(usize),
    ToEnd(usize),
}

impl Took {
    fn bits(self) -> u64 {
        match self {
            Took::ToHead(bucket) => bucket as u64,
            Took::ToEnd(bucket) => bucket as u64 | 1 << BUCKET_BITS,
        }
    }
}

impl WholeAnswers {
    pub(super) fn new() -> Self {
        fn zeros<const N: usize>() -> [Counter; N] {
            std::array::from_fn(|_| Counter::default())
        }
        WholeAnswers {
            heads: zeros(),
            whole: zeros(),
            cut: zeros(),
            long: zeros(),
            cut_long: zeros(),
            long_clients: std::array::from_fn(|_| Clients::default()),
            empty: Counter::default(),
            declined: Counter::default(),
            recent: Recent { entries: std::array::from_fn(|_| Entry::default()), next: Counter::default() },
        }
    }

    /// Counts the head of an answer.
    #[inline]
    pub(super) fn head(&self, client: ClientKey, now_us: u64, bucket: usize) {
        self.recent.note(client, now_us, Took::ToHead(bucket));
        if let Some(count) = self.heads.get(bucket) {
            count.add(1);
        }
    }
}

impl Recent {
    #[inline]
    pub(super) fn note(&self, client: ClientKey, now_us: u64, took: Took) {
        let next = self.next.read();
        if let Some(entry) = self.entries.get(next as usize % KEPT) {
            entry.client.set(client.to_bits());
            entry.what.set(now_us << (BUCKET_BITS + 1) | took.bits());
        }
        self.next.set(next.wrapping_add(1));
    }

    /// All that took anything since a time, and when that was.
    pub(super) fn since(&self, since_us: u64) -> impl Iterator<Item = (ClientKey, Took, u64)> {
        let read = |entry: &Entry| {
            let bits = entry.what.read();
            let bucket = (bits & BUCKET) as usize;
            let is_end = bits >> BUCKET_BITS & 1 != 0;
            let took = if is_end { Took::ToEnd(bucket) } else { Took::ToHead(bucket) };
            Some((ClientKey::from_bits(entry.client.read())?, took, bits >> (BUCKET_BITS + 1)))
        };
        self.entries.iter().filter_map(read).filter(move |(.., at_us)| *at_us >= since_us)
    }

    /// The clients of what took longer than a bucket since a time.
    pub(super) fn over(&self, threshold: Took, since_us: u64) -> impl Iterator<Item = ClientKey> {
        let is_over = move |bits: u64| {
            let (at_us, took) = (bits >> (BUCKET_BITS + 1), bits & (BUCKET << 1 | 1));
            let of_its_kind = took >> BUCKET_BITS == threshold.bits() >> BUCKET_BITS;
            of_its_kind && took > threshold.bits() && at_us >= since_us
        };
        let over = self.entries.iter().filter(move |entry| is_over(entry.what.read()));
        over.filter_map(|entry| ClientKey::from_bits(entry.client.read()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_answers_tell_whom_they_came_to() {
        let recent = WholeAnswers::new().recent;
        let client = |n: u8| ClientKey::of([10, 0, 0, n].into());
        recent.note(client(1), 1_000, Took::ToHead(90));
        recent.note(client(2), 2_000, Took::ToHead(100));
        recent.note(client(3), 3_000, Took::ToEnd(183));
        let heads = |bucket, since| recent.over(Took::ToHead(bucket), since).collect::<Vec<_>>();
        assert_eq!(heads(90, 0), [client(2)], "longer than the bucket itself");
        assert_eq!(heads(89, 0), [client(1), client(2)]);
        assert_eq!(heads(89, 1_001), [client(2)]);
        assert_eq!(recent.over(Took::ToEnd(0), 0).collect::<Vec<_>>(), [client(3)]);
        for n in 0..=255 {
            recent.note(client(n), 4_000, Took::ToEnd(1));
        }
        assert_eq!(heads(0, 0), [], "only the latest are kept");
    }
}
