//! Which connections are idle, over all workers: where room is short, those that have been idle for longest end first.
//!
//! A connection marks itself by one store to memory of its own, so that a request pays for nothing more. Only who
//! finds no room looks at all marks, and asks several to end at once. Connections whose clients have said nothing yet
//! go before those that were served, which stay as long as many say nothing: a flood of connections ends itself alone.
//! None is asked to end before it was idle for a moment, since its next request may be on its way; and one that has
//! begun a request serves it first.

use super::room::{Occupied, REQUEST_BYTES};
use atomic_waker::AtomicWaker;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

/// How long a connection is idle at least before it is asked to end.
pub(in crate::proxy) const MOMENT: Duration = Duration::from_secs(1);
/// Clients that say nothing are many where they are one of so many.
const MANY_ONE_OF: usize = 8;
/// How many are asked at once: one of so many that are connected, and at most so many.
const ONE_OF: u32 = 64;
const AT_ONCE: usize = 32;

/// A request is under way, or the last one, or the connection was asked to end; else since when it is idle, in µs on the process clock,
/// above a bit that says whether it was ever asked for anything.
const BUSY: u64 = 0;
const LAST: u64 = u64::MAX - 1;
const PRESSED: u64 = u64::MAX;

/// The connections of one process.
#[derive(Debug)]
pub struct Seats(Box<[Row]>);

/// Those of one worker.
#[derive(Debug, Default)]
struct Row {
    marks: Mutex<Marks>,
    connections: AtomicU32,
    /// Requests under way; written by the worker alone.
    requests: AtomicU32,
}

#[derive(Debug, Default)]
struct Marks {
    all: Vec<Option<Arc<Mark>>>,
    free: Vec<usize>,
}

#[derive(Debug)]
struct Mark {
    state: AtomicU64,
    waker: AtomicWaker,
}

impl Seats {
    /// For so many workers.
    pub fn new(workers: usize) -> Arc<Self> {
        Arc::new(Seats((0..workers.max(1)).map(|_| Row::default()).collect()))
    }

    /// The worker with the fewest connections; `own` where no other has fewer.
    pub(in crate::proxy) fn least(&self, own: usize) -> usize {
        let connections = |row: &Row| row.connections.load(Relaxed);
        let (mut least, mut fewest) = (own, self.0.get(own).map_or(u32::MAX, connections));
        for (index, row) in self.0.iter().enumerate() {
            if connections(row) < fewest {
                (least, fewest) = (index, connections(row));
            }
        }
        least
    }

    /// A seat at a worker, for a connection that has a place; its client has said nothing yet.
    pub(in crate::proxy) fn sit(self: &Arc<Self>, worker: usize, place: Occupied, now_us: u64) -> Seat {
        let mark = Arc::new(Mark { state: AtomicU64::new(idle(now_us, false)), waker: AtomicWaker::new() });
        let index = self.0.get(worker).map_or(0, |row| row.enter(&mark));
        Seat { seats: self.clone(), worker, index, mark, place }
    }

    /// What requests under way hold, estimated.
    pub(in crate::proxy) fn by_requests(&self) -> u64 {
        let requests = self.0.iter().map(|row| u64::from(row.requests.load(Relaxed)));
        requests.sum::<u64>().saturating_mul(REQUEST_BYTES)
    }

    /// A request of a worker, under way until it is dropped.
    pub(in crate::proxy) fn request(&self, worker: usize) -> Option<ServedNow<'_>> {
        let row = self.0.get(worker)?;
        row.requests.store(row.requests.load(Relaxed).wrapping_add(1), Relaxed);
        Some(ServedNow(&row.requests))
    }

    /// Asks connections to end, those first that have been idle for longest; how many were asked.
    pub(in crate::proxy) fn press(&self, clients: u32, now_us: u64) -> usize {
        let mut idle: Vec<_> = self.0.iter().flat_map(Row::idle).collect();
        // Those that were asked are about to end: their places are not asked for twice.
        let all = idle.len();
        idle.retain(|(state, _)| *state != PRESSED);
        let count = ((clients / ONE_OF).max(1) as usize).min(AT_ONCE).saturating_sub(all - idle.len());
        idle.sort_by_key(|(state, _)| (was_asked(*state), since(*state)));
        let silent = idle.iter().filter(|(state, _)| !was_asked(*state)).count();
        let are_many = silent * MANY_ONE_OF >= clients as usize;
        let late_us = now_us.saturating_sub(MOMENT.as_micros() as u64);
        let late = idle.iter().take(if are_many { silent } else { idle.len() });
        let late = late.filter(|(state, _)| since(*state) <= late_us).take(count);
        late.filter(|(state, mark)| mark.press(*state)).count()
    }
}

impl Row {
    fn marks(&self) -> MutexGuard<'_, Marks> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, mark: &Arc<Mark>) -> usize {
        self.connections.fetch_add(1, Relaxed);
        let mut marks = self.marks();
        match marks.free.pop() {
            Some(index) => {
                if let Some(slot) = marks.all.get_mut(index) {
                    *slot = Some(mark.clone());
                }
                index
            }
            None => {
                marks.all.push(Some(mark.clone()));
                marks.all.len() - 1
            }
        }
    }

    fn leave(&self, index: usize) {
        self.connections.fetch_sub(1, Relaxed);
        let mut marks = self.marks();
        marks.all.get_mut(index).map(Option::take);
        marks.free.push(index);
        if marks.free.len() == marks.all.len() {
            *marks = Marks::default();
        }
    }

    /// Those that are idle, and those that were asked to end.
    fn idle(&self) -> Vec<(u64, Arc<Mark>)> {
        let marks = self.marks();
        let states = marks.all.iter().flatten().map(|mark| (mark.state.load(Relaxed), mark));
        let idle = states.filter(|(state, _)| ![BUSY, LAST].contains(state));
        idle.map(|(state, mark)| (state, mark.clone())).collect()
    }
}

impl Mark {
    /// Asks the connection to end, if it has been idle since.
    fn press(&self, state: u64) -> bool {
        let is_asked = self.state.compare_exchange(state, PRESSED, SeqCst, Relaxed).is_ok();
        if is_asked {
            self.waker.wake();
        }
        is_asked
    }
}

fn idle(now_us: u64, was_asked: bool) -> u64 {
    now_us.max(1) << 1 | u64::from(was_asked)
}

fn since(state: u64) -> u64 {
    state >> 1
}

fn was_asked(state: u64) -> bool {
    state & 1 == 1
}

/// The seat of one connection at its worker.
#[derive(Debug)]
pub(in crate::proxy) struct Seat {
    seats: Arc<Seats>,
    worker: usize,
    index: usize,
    mark: Arc<Mark>,
    place: Occupied,
}

impl Seat {
    /// The connection holds more from now on.
    pub(in crate::proxy) fn grow(&mut self, more: u64) {
        self.place.grow(more);
    }

    /// Nothing is asked for, for now; whether anything was before.
    pub(in crate::proxy) fn rest(&self, now_us: u64, was_asked: bool) {
        // Where it is idle already, or was asked to end, it stays so.
        let _ = self.mark.state.compare_exchange(BUSY, idle(now_us, was_asked), SeqCst, Relaxed);
    }

    /// The client asks for something; whether this has to be the last time.
    pub(in crate::proxy) fn work(&self) -> bool {
        let set = |state: u64| if state >= LAST { LAST } else { BUSY };
        let before = self.mark.state.fetch_update(SeqCst, Relaxed, |state| Some(set(state)));
        before.is_ok_and(|state| state >= LAST)
    }

    /// Whether it was asked to end while it was idle.
    pub(in crate::proxy) fn is_pressed(&self) -> bool {
        self.mark.state.load(SeqCst) == PRESSED
    }

    /// Ready once an idle connection has to end.
    pub(in crate::proxy) fn poll_pressed(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.mark.waker.register(cx.waker());
        if self.mark.state.load(SeqCst) >= LAST { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(row) = self.seats.0.get(self.worker) {
            row.leave(self.index);
        }
    }
}

/// A request under way.
#[derive(Debug)]
pub(in crate::proxy) struct ServedNow<'a>(&'a AtomicU32);

impl Drop for ServedNow<'_> {
    fn drop(&mut self) {
        self.0.store(self.0.load(Relaxed).wrapping_sub(1), Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::super::room::Room;
    use super::*;

    const SECOND_US: u64 = 1_000_000;

    fn seats(workers: usize) -> (Arc<Seats>, Arc<Room>) {
        (Seats::new(workers), Room::new(10_000, u64::MAX))
    }

    fn is_pressed(seat: &Seat) -> bool {
        seat.poll_pressed(&mut Context::from_waker(std::task::Waker::noop())).is_ready()
    }

    /// A connection that was served, and is idle since then.
    fn kept(seats: &Arc<Seats>, room: &Arc<Room>, worker: usize, since_us: u64) -> Seat {
        let seat = seats.sit(worker, room.enter(0, 0).expect("there is room"), since_us);
        assert!(!seat.work());
        seat.rest(since_us, true);
        seat
    }

    #[test]
    fn the_oldest_idle_one_ends_first_and_none_that_is_in_use() {
        let (seats, room) = seats(2);
        let all: Vec<_> = (0..4).map(|n| kept(&seats, &room, n as usize % 2, (9 - n) * SECOND_US)).collect();
        assert!(!all[3].work(), "the oldest serves a request");
        assert_eq!(seats.press(4, 20 * SECOND_US), 1);
        assert_eq!(all.iter().map(is_pressed).collect::<Vec<_>>(), [false, false, true, false]);
        assert_eq!(seats.press(4, 20 * SECOND_US), 0, "it is about to end");
        assert!(all[2].work(), "its last request is served");
        assert_eq!(seats.press(4, 20 * SECOND_US), 1, "another one has to");
        assert!(is_pressed(&all[1]) && all[1].work());
        all[2].rest(21 * SECOND_US, true);
        assert!(is_pressed(&all[2]));
        all[3].rest(19_500_000, true);
        assert_eq!(seats.press(4, 20 * SECOND_US), 1);
        assert!(all[0].work());
        assert_eq!(seats.press(4, 20 * SECOND_US), 0, "for a moment");
        assert_eq!(seats.press(4, 21 * SECOND_US), 1);
    }

    #[test]
    fn who_has_said_nothing_goes_before_those_who_were_served() {
        let (seats, room) = seats(1);
        let served: Vec<_> = (0..15).map(|n| kept(&seats, &room, 0, SECOND_US + n)).collect();
        let silent = |since_us| seats.sit(0, room.enter(0, 0).expect("there is room"), since_us);
        let many = [silent(9 * SECOND_US), silent(9 * SECOND_US)];
        assert_eq!(seats.press(16, 9_500_000), 0, "they may speak in a moment");
        assert_eq!((seats.press(16, 10 * SECOND_US), is_pressed(&many[0])), (1, true));
        assert!(!many[1].work(), "it speaks");
        assert!(many[0].work());
        let few = silent(10 * SECOND_US);
        assert_eq!(seats.press(16, 10 * SECOND_US), 1, "one keeps nobody in");
        assert!(is_pressed(&served[0]) && !is_pressed(&few) && !is_pressed(&served[1]));
        assert!(served[0].work());
        assert_eq!((seats.press(16, 11 * SECOND_US), is_pressed(&few)), (1, true));
    }

    #[test]
    fn many_are_asked_at_once_where_there_are_many() {
        let (seats, room) = seats(2);
        let all: Vec<_> = (0..1000).map(|n| kept(&seats, &room, n % 2, n as u64)).collect();
        assert_eq!(seats.press(1000, 10 * SECOND_US), 15);
        assert!(all.iter().take(15).all(is_pressed) && !is_pressed(&all[15]));
        assert_eq!(seats.press(100_000, 10 * SECOND_US), AT_ONCE - 15);
    }

    #[test]
    fn connections_go_to_the_worker_with_the_fewest() {
        let (seats, room) = seats(4);
        let all: Vec<_> = (0..64).map(|_| kept(&seats, &room, seats.least(2), 1)).collect();
        let of = |worker: usize| all.iter().filter(|seat| seat.worker == worker).count();
        assert_eq!([0, 1, 2, 3].map(of), [16; 4]);
        drop(all);
        assert_eq!((seats.least(3), room.clients()), (3, 0));
        let under_way = [seats.request(0), seats.request(3), seats.request(9)];
        assert_eq!(seats.by_requests(), 2 * REQUEST_BYTES);
        drop(under_way);
        assert_eq!(seats.by_requests(), 0);
    }
}
