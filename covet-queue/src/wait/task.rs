//! Tasks among the waiters.
//!
//! A task cannot sleep in a loop as a thread does: it looks, leaves its waker in the list, looks again, and returns. What a
//! thread knows from where it is in that loop, a task keeps in a [`Place`] from poll to poll. Before it takes a place, a task
//! yields to the tasks beside it, since it may be waiting for one of them. If that is of no use, it goes on yielding for as long
//! as a thread would spin: on the way to a sleep and back lie a system call of its own and one of whoever wakes its executor.
//!
//! No waker is cloned, compared with more than its address, dropped or woken under the lock: all of that runs code of a
//! runtime, which may panic or come back here.

use std::mem;
use std::sync::PoisonError;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Instant;

use super::{EventCount, SHORT_WAIT, Waiter, shield};
use crate::sync::{fence, spinning_helps, step};

/// The place of a task among the waiters of one event count.
///
/// Whoever has one gives it to [`EventCount::leave`] in the end.
pub(crate) struct Place {
    /// The task's id in the list, where it is unless a notifier has taken it out.
    id: Option<u64>,
    /// The task was notified, and had no use for it yet.
    owes: bool,
    /// The task has let others run once, before it took a place.
    yielded: bool,
    /// When it saw that this was of no use.
    since: Option<Instant>,
}

impl Place {
    /// Returns the place of a task that does not wait yet.
    pub(crate) const fn new() -> Self {
        Self {
            id: None,
            owes: false,
            yielded: false,
            since: None,
        }
    }
}

impl EventCount {
    /// Looks whether `ready` returns a value, and returns it with whether a notification led to it. If there is none, sees
    /// to it that the task is woken when there may be; at first, at once.
    ///
    /// A task that was notified for nothing goes back to its old place, before those that came later.
    pub(crate) fn poll_until<R>(
        &self,
        place: &mut Place,
        context: &Context<'_>,
        mut ready: impl FnMut() -> Option<R>,
    ) -> Poll<(R, bool)> {
        let waker = context.waker();
        let mut listed = false;
        if let Some(id) = place.id {
            listed = self.is_listed(id, waker);
            // Said before `ready` is called: should that panic, whoever leaves the place passes the notification on.
            place.owes |= !listed;
        }
        loop {
            if let Some(value) = ready() {
                let Place {
                    id, owes, since, ..
                } = mem::replace(place, Place::new());
                if let (Some(_), Some(since)) = (id, since) {
                    self.adapt(since.elapsed());
                }
                if let Some(id) = id.filter(|_| listed) {
                    // What came after the task had begun to look is for someone else.
                    self.remove(id, false);
                }
                return Poll::Ready((value, owes));
            }
            if listed {
                return Poll::Pending;
            }
            if self.goes_on_yielding(place) {
                waker.wake_by_ref();
                return Poll::Pending;
            }
            let waiter = Waiter::Task(waker.clone());
            place.id = Some(self.with_list(|list| list.insert(place.id, waiter)));
            listed = true;
            step!("event count: task's fence", fence::heavy());
        }
    }

    /// Returns whether a task should yield once more, rather than take a place. It has let other threads run then, as a
    /// thread that spins does: its executor may have no other task, and poll it again at once.
    fn goes_on_yielding(&self, place: &mut Place) -> bool {
        if !mem::replace(&mut place.yielded, true) {
            return true;
        }
        // Who has had a place goes back to it.
        if place.id.is_some() || !spinning_helps() {
            return false;
        }
        let since = *place.since.get_or_insert_with(Instant::now);
        let goes_on = self
            .spin_time()
            .is_some_and(|budget| since.elapsed() < budget);
        if goes_on {
            thread::yield_now();
        }
        goes_on
    }

    /// Takes a task out of the list, if it ever took a place. A notification that it had no use for goes to the next.
    #[inline]
    pub(crate) fn leave(&self, place: &mut Place) {
        if let Some(id) = place.id.take() {
            // Yielding was of no use to a wait that is given up.
            self.adapt(SHORT_WAIT);
            self.remove(id, mem::take(&mut place.owes));
        }
    }

    #[cold]
    fn remove(&self, id: u64, owes: bool) {
        let waiter = self.with_list(|list| list.remove(id));
        if owes || waiter.is_none() {
            step!("event count: leaving task passes on", self.notify_one());
        }
        // The caller may hold a value, which a panic would lose.
        shield(|| drop(waiter));
    }

    /// Returns whether the task is in the list, and if so, leaves its present waker there.
    fn is_listed(&self, id: u64, waker: &Waker) -> bool {
        match self.with_waker(id, |listed| listed.will_wake(waker)) {
            Some(true) => true,
            Some(false) => {
                // The old waker is dropped after the lock.
                let mut waker = waker.clone();
                let replace = |listed: &mut Waker| {
                    step!(
                        "event count: task's new waker",
                        mem::swap(listed, &mut waker)
                    );
                };
                self.with_waker(id, replace).is_some()
            }
            None => false,
        }
    }

    fn with_waker<R>(&self, id: u64, use_it: impl FnOnce(&mut Waker) -> R) -> Option<R> {
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        let place = list.find(id)?;
        match &mut list.entries[place].waiter {
            Waiter::Task(waker) => Some(use_it(waker)),
            Waiter::Thread(_) => None,
        }
    }
}
