//! Time limits of tasks: one thread of the process interrupts what runs for too long.
//!
//! It knows the tasks with a limit that run now, by deadline, and sleeps until the first. A task that begins wakes it only if its
//! deadline comes before the others, and one that ends never does: most of the time a limit costs a lock and no system call.

use crate::error::Error;
use crate::fork::PerProcess;
use crate::handle::Core;
use crate::job::Job;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::{self, Thread};
use std::time::Instant;

/// A deadline, and the number of its task.
type Key = (Instant, u64);

#[derive(Default)]
struct Limits {
    running: BTreeMap<Key, Arc<Core>>,
    watcher: Option<Thread>,
    /// When the watcher looks again, if it does not sleep for good.
    wakes: Option<Instant>,
}

static LIMITS: PerProcess<Limits> = PerProcess::new();

/// Makes sure that somebody watches.
///
/// # Errors
/// [`Error::Thread`] when there is no thread to be had.
pub(crate) fn start() -> Result<(), Error> {
    let mut limits = LIMITS.lock();
    if limits.watcher.is_none() {
        let watcher = thread::Builder::new()
            .name("covet-limits".to_owned())
            .spawn(interrupt_overdue)
            .map_err(|error| Error::Thread(error.to_string()))?;
        limits.watcher = Some(watcher.thread().clone());
    }
    Ok(())
}

/// A task that is interrupted at its deadline, as long as this lives.
pub(crate) struct Limited(Key);

impl Limited {
    pub(crate) fn new(task: &Arc<Core>, deadline: Instant) -> Self {
        let key = (deadline, task.number());
        let mut limits = LIMITS.lock();
        limits.running.insert(key, Arc::clone(task));
        if limits.wakes.is_none_or(|wakes| deadline < wakes) {
            limits.wakes = Some(deadline);
            if let Some(watcher) = &limits.watcher {
                watcher.unpark();
            }
        }
        Self(key)
    }
}

impl Drop for Limited {
    fn drop(&mut self) {
        let task = LIMITS.lock().running.remove(&self.0);
        // Not under the lock: what the task keeps alive may end with it.
        drop(task);
    }
}

fn interrupt_overdue() {
    loop {
        let now = Instant::now();
        let mut limits = LIMITS.lock();
        let later = limits.running.split_off(&(now, u64::MAX));
        let overdue = std::mem::replace(&mut limits.running, later);
        let next = limits.running.keys().next().map(|&(deadline, _)| deadline);
        limits.wakes = next;
        drop(limits);
        overdue.values().for_each(|task| task.run_out_of_time());
        drop(overdue);
        match next {
            Some(deadline) => {
                thread::park_timeout(deadline.saturating_duration_since(Instant::now()))
            }
            None => thread::park(),
        }
    }
}
