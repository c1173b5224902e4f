//! How many answers the clients of a route got, by listener and status.
//!
//! The counts of a route outlive the tables that it stands in: the maker of a table hands on those of every route that
//! goes by the same name. Statuses that are registered count one by one, others by their class, so that no upstream can
//! make the counters grow.

use crate::core::counter::Counter;
use std::sync::OnceLock;

/// The statuses that count one by one: those of IANA's register, and 499, by which nginx's logs name a client that left.
const KNOWN: [u16; 64] = [
    100, 101, 102, 103, 200, 201, 202, 203, 204, 205, 206, 207, 208, 226, 300, 301, 302, 303, 304, 305, 306,
    307, 308, 400, 401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 411, 412, 413, 414, 415, 416, 417, 418,
    421, 422, 423, 424, 425, 426, 428, 429, 431, 451, 499, 500, 501, 502, 503, 504, 505, 506, 507, 508, 510,
    511,
];
/// After them: requests without an answer, and the classes.
const REST: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];
const SLOTS: usize = KNOWN.len() + REST.len();
/// Where each status counts, by its number less 100.
const PLACES: [u8; 500] = places();

const fn places() -> [u8; 500] {
    let (mut places, mut status) = ([0; 500], 0);
    while status < 500 {
        places[status] = (KNOWN.len() + 1 + status / 100) as u8;
        status += 1;
    }
    let mut known = 0;
    while known < KNOWN.len() {
        places[KNOWN[known] as usize - 100] = known as u8;
        known += 1;
    }
    places
}

/// The answers of one route. A worker's part is made when it has its first answer, and written by that worker alone.
#[derive(Debug)]
pub struct RouteAnswers {
    workers: usize,
    /// By listener, and there by worker.
    parts: Box<[OnceLock<Box<Statuses>>]>,
}

#[derive(Debug)]
struct Statuses([Counter; SLOTS]);

impl RouteAnswers {
    pub fn new(listeners: usize, workers: usize) -> Self {
        RouteAnswers { workers, parts: (0..listeners * workers).map(|_| OnceLock::new()).collect() }
    }

    /// Counts an answer, or with status 0 a request that got none. To be called by the worker's own thread.
    #[inline]
    pub fn count(&self, listener: usize, worker: usize, status: u16) {
        let Some(part) = self.parts.get(listener * self.workers + worker) else { return };
        if let Some(counter) = part.get_or_init(Statuses::new).0.get(place_of(status)) {
            counter.add(1);
        }
    }

    /// Adds up what came to the clients of a listener: each status, or its class, with its count.
    pub fn at(&self, listener: usize) -> impl Iterator<Item = (String, u64)> {
        let parts = self.parts.iter().skip(listener * self.workers).take(self.workers);
        let mut counts = [0; SLOTS];
        for part in parts.filter_map(OnceLock::get) {
            crate::core::counter::sum(&mut counts, &part.0);
        }
        let names = KNOWN.iter().map(u16::to_string).chain(REST.map(str::to_owned));
        names.zip(counts).filter(|(_, count)| *count > 0)
    }
}

impl Statuses {
    fn new() -> Box<Self> {
        Box::new(Statuses(std::array::from_fn(|_| Counter::default())))
    }
}

fn place_of(status: u16) -> usize {
    const NONE: usize = KNOWN.len();
    const LAST: usize = SLOTS - 1;
    match status {
        0 => NONE,
        // A status that is no number of HTTP's is as bad as any.
        _ => PLACES.get(usize::from(status.wrapping_sub(100))).map_or(LAST, |place| usize::from(*place)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_count_by_listener_and_status_over_all_workers() {
        let answers = RouteAnswers::new(2, 2);
        for (listener, worker, status) in [
            (0, 0, 200),
            (0, 1, 200),
            (0, 1, 404),
            (1, 0, 301),
            (0, 0, 0),
            (0, 0, 299),
            (1, 1, 599),
            (1, 1, 999),
        ] {
            answers.count(listener, worker, status);
        }
        answers.count(2, 0, 200);
        let at = |listener| answers.at(listener).collect::<Vec<_>>();
        let named = |counts: &[(&str, u64)]| {
            counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect::<Vec<_>>()
        };
        assert_eq!(at(0), named(&[("200", 2), ("404", 1), ("none", 1), ("2xx", 1)]));
        assert_eq!(at(1), named(&[("301", 1), ("5xx", 2)]));
    }

    #[test]
    fn every_status_counts_under_its_name_or_its_class() {
        for status in 100..600 {
            let answers = RouteAnswers::new(1, 1);
            answers.count(0, 0, status);
            let (name, count) = answers.at(0).next().expect("a count");
            let is_its = name == status.to_string() || name == format!("{}xx", status / 100);
            assert!(is_its && count == 1, "{status} counts as {name}");
        }
    }
}
