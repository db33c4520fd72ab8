//! What makes a function a model, and what models share.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use covet_queue::{fence, weaken};
use loom::cell::UnsafeCell;
use loom::thread::{self, JoinHandle};

pub(crate) struct Model {
    pub(crate) name: &'static str,
    pub(crate) run: fn(),
    /// The most preemptions in one schedule.
    pub(crate) preemptions: usize,
    /// Fewer schedules than this mean that the model has gone blind.
    pub(crate) at_least: usize,
}

impl Model {
    pub(crate) fn check(self) {
        let schedules = self.explore();
        if weaken::weakened().is_some() {
            return;
        }
        println!(
            "{}: {schedules} schedules, at most {} preemptions",
            self.name, self.preemptions
        );
        assert!(
            schedules >= self.at_least,
            "{} explored {schedules} schedules, expected at least {}",
            self.name,
            self.at_least
        );
    }

    fn explore(&self) -> usize {
        let schedules = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&schedules);
        let run = self.run;
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(self.preemptions);
        builder.max_branches = 10_000;
        builder.check(move || {
            counter.fetch_add(1, Relaxed);
            fence::set_bare(false);
            run();
        });
        schedules.load(Relaxed)
    }
}

/// Declares each model as a test.
macro_rules! models {
    ($($name:ident, $preemptions:literal preemptions, at least $at_least:literal: $run:expr;)*) => {
        $(
            #[test]
            fn $name() {
                let model = $crate::harness::Model {
                    name: concat!(module_path!(), "::", stringify!($name)).trim_start_matches("loom::"),
                    run: $run,
                    preemptions: $preemptions,
                    at_least: $at_least,
                };
                model.check();
            }
        )*
    };
}

pub(crate) use models;

pub(crate) fn join_all(threads: impl IntoIterator<Item = JoinHandle<()>>) {
    for thread in threads {
        thread.join().unwrap();
    }
}

/// Runs `step` until it says that it is done, letting others run in between.
pub(crate) fn until(mut step: impl FnMut() -> bool) {
    while !step() {
        thread::yield_now();
    }
}

/// A value that orders nothing by itself: loom fails unless something else puts the write before the read. Loom's threads
/// take turns on one, so `Rc` can share it.
pub(crate) struct Plain(UnsafeCell<bool>);

impl Plain {
    pub(crate) fn new() -> Rc<Self> {
        Rc::new(Self(UnsafeCell::new(false)))
    }

    pub(crate) fn write(&self) {
        // SAFETY: the pointer comes from a live cell; loom fails on a concurrent access.
        self.0.with_mut(|written| unsafe { *written = true });
    }

    pub(crate) fn assert_written(&self) {
        // SAFETY: as in `write`.
        self.0.with(|written| assert!(unsafe { *written }));
    }
}
