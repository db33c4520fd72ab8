//! Interruption of what runs in a pool, and what becomes of what does not stop: it is lost, and a new worker takes its seat.

use super::Shared;
use crate::registry;
use crate::slot::Slot;
use crate::worker;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

impl Shared {
    /// Interrupts `job` (everything, for `None`), and gives up what does not stop within the grace.
    pub(crate) fn interrupt(self: &Arc<Self>, job: Option<u64>) {
        if !self.process.is_this() {
            return;
        }
        let slots = self.slots().clone();
        for slot in slots {
            let Some(turn) = slot.turn_of(job) else {
                continue;
            };
            if !slot.is_being_interrupted() {
                // It waits for the GIL of the interpreter, which a C function may keep for long: nobody waits with it.
                let target = Arc::clone(&slot);
                let _ = std::thread::Builder::new()
                    .name("covet-interrupt".to_owned())
                    .spawn(move || target.interrupt(job));
            }
            if slot.watch(turn) {
                let shared = Arc::clone(self);
                let _ = std::thread::Builder::new()
                    .name("covet-grace".to_owned())
                    .spawn(move || shared.watch(&slot, turn));
            }
        }
    }

    /// Gives up what runs in the slot unless it stops within the grace.
    fn watch(self: &Arc<Self>, slot: &Arc<Slot>, turn: u64) {
        let deadline = Instant::now().checked_add(self.options.grace);
        let mut pause = Duration::from_millis(1);
        while slot.still_runs(turn) {
            let left = deadline.map_or(pause, |deadline| {
                deadline.saturating_duration_since(Instant::now())
            });
            if left.is_zero() {
                self.lose(slot, turn);
                return;
            }
            std::thread::sleep(pause.min(left));
            pause = (2 * pause).min(Duration::from_millis(50));
        }
    }

    fn lose(self: &Arc<Self>, slot: &Arc<Slot>, turn: u64) {
        let Some(stuck) = slot.running_job(turn) else {
            return;
        };
        self.lost.fetch_add(1, Ordering::Relaxed);
        // The worker that runs it may be another than the one that owns the interpreter: then neither comes back.
        let runner = self
            .seats()
            .iter()
            .filter(|seat| seat.is_thread(stuck.thread))
            .find_map(|seat| seat.slot());
        for slot in [Some(slot), runner.as_ref()].into_iter().flatten() {
            if slot.give_up() {
                self.replace(slot);
            }
        }
        // It was interrupted that long ago, whether its function was called by then or not.
        let ran = stuck.ran.max(self.options.grace);
        stuck.job.lose(ran);
    }

    /// Has a new worker take the seat of one that is lost.
    fn replace(self: &Arc<Self>, lost: &Arc<Slot>) {
        let was_ready = lost.is_ready();
        self.leave_slot(lost);
        registry::worker_lost();
        let seat = lost.seat();
        if !was_ready {
            self.break_down(
                "a worker did not become ready, and did not stop when it was interrupted: \
                 the initializer or a module to preload is blocked in C code",
            );
        }
        // The new one is counted in the place of the lost one.
        if seat.is_dismissed() || self.failure().is_some() || worker::spawn(self, seat).is_err() {
            self.worker_ended();
        }
        // The owner, if it is not the one that is stuck, waits for a job or for a slot: it is to leave.
        self.work.notify_all();
        self.idle.notify_all();
    }
}
