//! How many tasks may wait, and who may have the next place.

use super::Lane;
use crate::attach::Detached;
use crate::error::Error;
use covet_queue::EventCount;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// The places in the queue, and the tasks that are not over.
///
/// Each lane keeps `kept` places for itself, and takes from the shared rest when those are gone. Whoever waits for a place is
/// woken in the order of coming.
#[derive(Debug)]
pub(super) struct Admission {
    size: usize,
    kept: usize,
    places: Mutex<Places>,
    /// Tells the submitters of a lane that it may have room.
    room: [EventCount; Lane::COUNT],
    /// Tells that the last task is over.
    settled: EventCount,
    cancelled: AtomicBool,
}

#[derive(Debug, Default)]
struct Places {
    closed: bool,
    /// Tasks of each lane that wait to begin.
    waiting: [usize; Lane::COUNT],
    /// Tasks admitted and not over.
    unfinished: usize,
}

/// What a submitter does while there is no place.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wait {
    No,
    Until(Option<Instant>),
}

impl Admission {
    pub(super) fn new(size: usize) -> Arc<Self> {
        Arc::new(Self {
            size,
            // A quarter of the places is shared.
            kept: size * 3 / 4 / Lane::COUNT,
            places: Mutex::default(),
            room: [const { EventCount::new() }; Lane::COUNT],
            settled: EventCount::new(),
            cancelled: AtomicBool::new(false),
        })
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a task of `lane`.
    pub(super) fn admit(self: &Arc<Self>, lane: Lane, wait: Wait) -> Result<Admitted, Error> {
        if let Some(answer) = self.try_admit(lane) {
            return answer;
        }
        let Wait::Until(deadline) = wait else {
            return Err(Error::Full(self.size));
        };
        let began = Instant::now();
        let _detached = Detached::new();
        self.room[lane as usize]
            .wait_until(deadline, || self.try_admit(lane))
            .unwrap_or_else(|| Err(Error::TimedOut(began.elapsed())))
    }

    /// `None` when there is no place.
    fn try_admit(self: &Arc<Self>, lane: Lane) -> Option<Result<Admitted, Error>> {
        let mut places = self.places();
        if places.closed {
            return Some(Err(Error::Closed));
        }
        let mine = places.waiting[lane as usize];
        let beyond: usize = places
            .waiting
            .iter()
            .map(|waiting| waiting.saturating_sub(self.kept))
            .sum();
        if mine >= self.kept && beyond >= self.size - self.kept * Lane::COUNT {
            return None;
        }
        places.waiting[lane as usize] += 1;
        places.unfinished += 1;
        Some(Ok(Admitted {
            admission: Arc::clone(self),
            lane,
            waits: true,
        }))
    }

    fn leave(&self, lane: Lane) {
        let mut places = self.places();
        let waiting = &mut places.waiting[lane as usize];
        *waiting -= 1;
        let was_shared = *waiting >= self.kept;
        drop(places);
        if was_shared {
            self.room.iter().for_each(EventCount::notify_one);
        } else {
            self.room[lane as usize].notify_one();
        }
    }

    fn finish(&self) {
        let mut places = self.places();
        places.unfinished -= 1;
        let settled = places.unfinished == 0;
        drop(places);
        if settled {
            self.settled.notify_all();
        }
    }

    pub(super) fn waiting(&self, lane: Lane) -> usize {
        self.places().waiting[lane as usize]
    }

    pub(super) fn close(&self) {
        self.places().closed = true;
        self.room.iter().for_each(EventCount::notify_all);
    }

    /// Nothing that has not begun shall begin.
    pub(super) fn cancel(&self) {
        // Release pairs with the acquire in `is_cancelled`; a task that begins at this very moment runs.
        self.cancelled.store(true, Ordering::Release);
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }

    pub(super) fn wait_settled(&self, deadline: Option<Instant>) -> bool {
        let settled = || (self.places().unfinished == 0).then_some(());
        if settled().is_some() {
            return true;
        }
        let _detached = Detached::new();
        self.settled.wait_until(deadline, settled).is_some()
    }
}

/// A task's place in the queue until it begins, and its share in what has to be over before a drain ends.
#[derive(Debug)]
pub(super) struct Admitted {
    admission: Arc<Admission>,
    lane: Lane,
    waits: bool,
}

impl Admitted {
    /// Gives the place in the queue back.
    pub(super) fn leave_queue(&mut self) {
        if std::mem::take(&mut self.waits) {
            self.admission.leave(self.lane);
        }
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.leave_queue();
        self.admission.finish();
    }
}
