//! Waiting for something that other threads make true, without a lost wake-up.
//!
//! An [`EventCount`] puts threads to sleep on *any* condition: the condition is a closure, its data lives wherever it
//! likes, and the event count only knows who sleeps. With the feature `async` the waiters can be tasks as well, in one
//! list with the threads: notifiers do not care which. The idea is old (Reed and Kanodia, "Synchronization with eventcounts
//! and sequencers", 1979); the form used here is: register, look once more, sleep.
//!
//! ```text
//!   waiter                              notifier
//!   enter the list, waiters += 1        make the condition true
//!   fence (heavy)                       fence (light)
//!   look at the condition again         waiters == 0 ?  done
//!   sleep until out of the list         take the first out of the list, wake it
//! ```
//!
//! Of the two looks at least one succeeds: either the notifier sees the waiter, or the waiter sees the condition. Since
//! notifiers are common and sleepers rare, the fence is asymmetric: the light half is a compiler fence, the heavy half a
//! `membarrier` call on Linux. Elsewhere both are full fences.
//!
//! A thread spins before it sleeps, for a bounded time that adapts to how long its event count's waits usually take, and
//! not at all on a machine with one core. It gives its core to others meanwhile, and what they take is not counted: where
//! threads outnumber cores it is they who end the wait, and soon. This is the only file of the crate that blocks.

#[cfg(feature = "async")]
mod task;

use std::collections::VecDeque;
use std::fmt;
use std::hint;
#[cfg(feature = "async")]
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU32, Ordering};
#[cfg(feature = "async")]
use std::task::Waker;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_utils::CachePadded;

use crate::sync::{AtomicUsize, Mutex, Parker, const_fn, fence, spinning_helps, step};

#[cfg(feature = "async")]
pub(crate) use self::task::Place;

/// The longest time to spin before sleeping: sleeping and being woken cost much the same. And the shortest, at which nobody
/// spins at all.
const SPIN_MAX_NANOS: u32 = 40_000;
const SPIN_MIN_NANOS: u32 = 2_000;
/// A wait that took less than this, sleep included, would have been better spent spinning.
const SHORT_WAIT: Duration = Duration::from_nanos(3 * SPIN_MAX_NANOS as u64);
/// A yield counts for no more than this: if it took longer, others ran meanwhile.
const YIELD_MAX: Duration = Duration::from_micros(1);
/// The longest time to yield before sleeping, with all that others run meanwhile: if they are not this ring's threads, they
/// keep the core for longer.
const SPIN_LONGEST: Duration = Duration::from_millis(1);
/// Where waits have been long, one in so many looks whether they still are.
const PROBE: u32 = 16;

/// In the number of waiters: one of them is a task. The others count from the next bit on.
const HAS_TASK: usize = 1;

/// A list of threads, and of tasks, that sleep until a condition may hold; conditions are closures.
///
/// Whoever makes a condition true calls [`notify_one`](Self::notify_one) or [`notify_all`](Self::notify_all) afterwards.
/// With nobody asleep that costs a load of one word (and, outside Linux, a full fence). A notification never arrives too
/// early: if what the notifier wrote before makes `ready` succeed, no waiter stays asleep because of timing.
///
/// All waiters of one event count should wait for the same kind of thing. `notify_one` wakes the one that waits longest, and
/// if that one has no use for it, the notification is spent; it is passed on only by a waiter that leaves without having
/// needed it.
///
/// # Examples
///
/// ```
/// use covet_queue::EventCount;
/// use std::sync::atomic::{AtomicU32, Ordering};
///
/// static TICKETS: AtomicU32 = AtomicU32::new(0);
/// static CHANGED: EventCount = EventCount::new();
///
/// let waiter = std::thread::spawn(|| {
///     CHANGED.wait_until(None, || {
///         TICKETS.fetch_update(Ordering::Acquire, Ordering::Relaxed, |n| n.checked_sub(1)).ok()
///     })
/// });
///
/// TICKETS.fetch_add(1, Ordering::Release);
/// CHANGED.notify_one();
/// assert_eq!(waiter.join().unwrap(), Some(1));
/// ```
pub struct EventCount {
    /// How many waiters are in the list, times two, and whether a task is among them. Written under the lock only; padded
    /// because every notifier reads it.
    waiters: CachePadded<AtomicUsize>,
    list: Mutex<List>,
    /// How long the next waiter spins. A guess that may be stale or lost, so loom need not see it.
    spin_nanos: AtomicU32,
    /// How many waits found that spinning does not help. As much a guess.
    long_waits: AtomicU32,
}

struct List {
    next_id: u64,
    /// Longest waiting first, which is by rising id.
    entries: VecDeque<Entry>,
    /// How many of them are tasks.
    tasks: usize,
}

struct Entry {
    id: u64,
    waiter: Waiter,
}

/// Who is to be woken.
enum Waiter {
    Thread(Parker),
    #[cfg(feature = "async")]
    Task(Waker),
}

impl EventCount {
    const_fn! {
        /// Makes an event count with nobody waiting. Allocates nothing until a thread sleeps.
        pub const fn new() -> Self {
            Self {
                waiters: CachePadded::new(AtomicUsize::new(0)),
                list: Mutex::new(List {
                    next_id: 0,
                    entries: VecDeque::new(),
                    tasks: 0,
                }),
                spin_nanos: AtomicU32::new(SPIN_MAX_NANOS),
                long_waits: AtomicU32::new(0),
            }
        }
    }

    /// Wakes the waiter that has slept longest, if any sleeps.
    ///
    /// Costs one load when nobody is registered; otherwise takes a lock, and makes a system call if it wakes a thread.
    #[inline]
    pub fn notify_one(&self) {
        if self.has_waiters() {
            self.wake_one();
        }
    }

    /// Wakes every waiter that is registered now.
    ///
    /// Costs one load when nobody is registered; otherwise takes a lock, and makes a system call for each thread.
    #[inline]
    pub fn notify_all(&self) {
        if self.has_waiters() {
            self.wake_all();
        }
    }

    /// Waits until `ready` returns a value, and returns it; returns `None` if `deadline` passes first.
    ///
    /// `ready` is called at least once, then while spinning, after registering and after each wake-up, always on the calling
    /// thread and outside any lock. It decides and takes at once: a ticket, an element, a state. It should be quick, and it
    /// may panic: the panic goes to the caller, and no notification is lost by it. A deadline in the past means one look.
    ///
    /// The first wait of a process registers it with the kernel, once.
    pub fn wait_until<R>(
        &self,
        deadline: Option<Instant>,
        mut ready: impl FnMut() -> Option<R>,
    ) -> Option<R> {
        if let Some(value) = ready() {
            return Some(value);
        }
        if !spinning_helps() {
            return self.sleep(deadline, &mut ready);
        }
        match self.spin(deadline, &mut ready) {
            Ok(value) => Some(value),
            Err(start) => {
                let value = self.sleep(deadline, &mut ready);
                self.adapt(start.elapsed());
                value
            }
        }
    }

    /// Passes a wake-up on if `more` says that there is still something to take.
    #[inline]
    pub(crate) fn pass_on_if(&self, more: impl FnOnce() -> bool) {
        if self.has_waiters() && more() {
            self.wake_one();
        }
    }

    /// Notifies one waiter if the news are `enough` for whoever is patient; else a task. For waiters that look again by
    /// themselves after a while, unless they are tasks, which cannot.
    #[inline(always)]
    pub(crate) fn notify_one_if(&self, enough: impl FnOnce() -> bool) {
        if self.has_waiters() {
            if enough() {
                self.wake_one();
            } else if self.has_task() {
                step!("event count: task is told of little", self.wake_task());
            }
        }
    }

    /// Whether someone is registered to be woken.
    #[inline(always)]
    pub fn has_waiters(&self) -> bool {
        step!("event count: notifier's fence", fence::light());
        // Relaxed: the fence orders this load after whatever the caller wrote; the lock orders the rest.
        self.waiters.load(Ordering::Relaxed) != 0
    }

    /// Whether a task is registered to be woken.
    #[inline]
    fn has_task(&self) -> bool {
        // Relaxed: the caller has found that someone is registered; this says more about the same.
        self.waiters.load(Ordering::Relaxed) & HAS_TASK != 0
    }

    #[cold]
    fn wake_one(&self) {
        let first = self.with_list(|list| list.remove_at(0));
        if let Some(waiter) = first {
            waiter.wake();
        }
    }

    #[cold]
    fn wake_task(&self) {
        let first = self.with_list(|list| {
            let is_task = |entry: &Entry| entry.waiter.is_task();
            list.remove_at(list.entries.iter().position(is_task)?)
        });
        if let Some(waiter) = first {
            waiter.wake();
        }
    }

    #[cold]
    fn wake_all(&self) {
        let all = self.with_list(|list| {
            list.tasks = 0;
            std::mem::take(&mut list.entries)
        });
        all.into_iter().for_each(|entry| entry.waiter.wake());
    }

    /// Spins for the adapted time. Returns when the wait began if that was not enough.
    fn spin<R>(
        &self,
        deadline: Option<Instant>,
        ready: &mut impl FnMut() -> Option<R>,
    ) -> Result<R, Instant> {
        // A partner that is running answers within these pauses, so the clock is not read before them.
        for pauses in [1, 1, 1, 1, 2, 2, 4, 4, 8] {
            for _ in 0..pauses {
                hint::spin_loop();
            }
            if let Some(value) = ready() {
                return Ok(value);
            }
        }
        let start = Instant::now();
        let Some(mut budget) = self.spin_time() else {
            return Err(start);
        };
        let longest = start + SPIN_LONGEST;
        let end = deadline.map_or(longest, |deadline| deadline.min(longest));
        let mut before = start;
        loop {
            // The core goes to whoever else wants it: perhaps to the thread that this one waits for.
            thread::yield_now();
            if let Some(value) = ready() {
                self.adapt(start.elapsed());
                return Ok(value);
            }
            let now = Instant::now();
            budget = budget.saturating_sub(YIELD_MAX.min(now - before));
            if budget.is_zero() || now >= end {
                return Err(start);
            }
            before = now;
        }
    }

    /// Returns for how long to yield before a sleep, not counting what others ran meanwhile. Not at all if waits have been
    /// long: to yield before this one would only make it longer, as the scheduler lets a thread that has given up its turn
    /// run later after it is woken.
    fn spin_time(&self) -> Option<Duration> {
        // Relaxed: a guess.
        let nanos = self.spin_nanos.load(Ordering::Relaxed);
        if nanos == SPIN_MIN_NANOS {
            let waits = self.long_waits.load(Ordering::Relaxed).wrapping_add(1);
            self.long_waits.store(waits, Ordering::Relaxed);
            if !waits.is_multiple_of(PROBE) {
                return None;
            }
        }
        Some(Duration::from_nanos(nanos.into()))
    }

    /// Learns from a wait that took more than some pauses.
    fn adapt(&self, waited: Duration) {
        // Relaxed, and not one step: a lost update costs one wait of the wrong length.
        let nanos = self.spin_nanos.load(Ordering::Relaxed);
        let next = if waited < SHORT_WAIT {
            nanos * 2
        } else {
            nanos / 2
        };
        let next = next.clamp(SPIN_MIN_NANOS, SPIN_MAX_NANOS);
        if next != nanos {
            self.spin_nanos.store(next, Ordering::Relaxed);
        }
    }

    #[cold]
    fn sleep<R>(
        &self,
        deadline: Option<Instant>,
        ready: &mut impl FnMut() -> Option<R>,
    ) -> Option<R> {
        let mut unused_notification = false;
        loop {
            let registration = Registration::enter(self);
            step!("event count: waiter's fence", fence::heavy());
            if let Some(value) = ready() {
                return Some(value);
            }
            let notified = registration.sleep(deadline);
            // Until `ready` has said no, this thread owes the notification to someone, even if `ready` panics.
            let owed = notified.then(|| PassOn(self));
            let value = ready();
            std::mem::forget(owed);
            if value.is_some() {
                return value;
            }
            unused_notification |= notified;
            if !notified {
                if unused_notification {
                    self.notify_one();
                }
                return None;
            }
        }
    }

    /// Changes the list, and lets notifiers see its new length.
    fn with_list<R>(&self, change: impl FnOnce(&mut List) -> R) -> R {
        // Nothing can panic under the lock and leave the list half changed, so a poisoned lock is as good as any.
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        let result = change(&mut list);
        let has_task = if list.tasks > 0 { HAS_TASK } else { 0 };
        // Relaxed: a waiter's store is ordered before its second look by the heavy fence, a notifier's by the lock.
        self.waiters
            .store(list.entries.len() << 1 | has_task, Ordering::Relaxed);
        result
    }
}

impl List {
    /// Enters `waiter` behind those whose ids are lower than its own; without one, it gets the next. Returns its id.
    fn insert(&mut self, id: Option<u64>, waiter: Waiter) -> u64 {
        let id = id.unwrap_or_else(|| {
            self.next_id += 1;
            self.next_id
        });
        let place = self.entries.partition_point(|entry| entry.id < id);
        self.tasks += usize::from(waiter.is_task());
        self.entries.insert(place, Entry { id, waiter });
        id
    }

    fn find(&self, id: u64) -> Option<usize> {
        self.entries
            .binary_search_by_key(&id, |entry| entry.id)
            .ok()
    }

    fn remove(&mut self, id: u64) -> Option<Waiter> {
        self.remove_at(self.find(id)?)
    }

    fn remove_at(&mut self, place: usize) -> Option<Waiter> {
        let waiter = self.entries.remove(place)?.waiter;
        self.tasks -= usize::from(waiter.is_task());
        Some(waiter)
    }
}

impl Waiter {
    fn is_task(&self) -> bool {
        !matches!(self, Self::Thread(_))
    }

    /// Wakes it. Never called under the lock, as a waker may do anything.
    fn wake(self) {
        match self {
            Self::Thread(parker) => parker.unpark(),
            #[cfg(feature = "async")]
            Self::Task(waker) => shield(|| waker.wake()),
        }
    }
}

/// Runs what a waker does, and goes on if it panics: the panic hook has reported it, and it is no matter of whoever pushes or
/// pops, nor of other waiters.
#[cfg(feature = "async")]
fn shield(run: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(run)) {
        // Its destructor could panic in turn.
        std::mem::forget(payload);
    }
}

impl Default for EventCount {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for EventCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventCount").finish_non_exhaustive()
    }
}

/// A thread's place in the list. Leaving it early hands a notification that came meanwhile to the next.
struct Registration<'a> {
    events: &'a EventCount,
    parker: Parker,
    id: u64,
    /// The thread has left the list and has answered for it.
    over: bool,
}

impl<'a> Registration<'a> {
    fn enter(events: &'a EventCount) -> Self {
        let parker = Parker::current();
        let waiter = Waiter::Thread(parker.clone());
        let id = events.with_list(|list| list.insert(None, waiter));
        Self {
            events,
            parker,
            id,
            over: false,
        }
    }

    /// Sleeps until notified or until the deadline, and leaves the list. Returns whether it was notified.
    fn sleep(mut self, deadline: Option<Instant>) -> bool {
        let notified = loop {
            let too_late = self.parker.park(deadline);
            // The list tells a notification from a wake-up for no reason, and decides a tie with the deadline.
            let waiting = if too_late {
                self.leave()
            } else {
                self.is_waiting()
            };
            if !waiting {
                break true;
            }
            if too_late {
                break false;
            }
        };
        self.over = true;
        notified
    }

    fn is_waiting(&self) -> bool {
        let list = self.events.list.lock();
        let list = list.unwrap_or_else(PoisonError::into_inner);
        list.find(self.id).is_some()
    }

    /// Leaves the list. Returns false if a notifier has already taken this thread out.
    fn leave(&self) -> bool {
        self.events.with_list(|list| list.remove(self.id)).is_some()
    }
}

impl Drop for Registration<'_> {
    fn drop(&mut self) {
        if !self.over && !self.leave() {
            step!(
                "event count: early leaver passes on",
                self.events.notify_one()
            );
        }
    }
}

/// Notifies someone else when dropped.
struct PassOn<'a>(&'a EventCount);

impl Drop for PassOn<'_> {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}
