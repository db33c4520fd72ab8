//! How a case is timed.
//!
//! All queues of a case run in turn, round after round, each round beginning with another one, so that a slow minute of the
//! machine meets them all. What counts is the lower quartile: the machine disturbs a sample only upwards.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// Does `count` operations, checks that they did what they should, and returns how long they took.
pub type Run = Box<dyn Fn(u64) -> Duration>;

/// How much time to spend.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// How many times each contender of a case runs.
    pub rounds: usize,
    /// How long one run should take.
    pub sample: Duration,
}

impl Effort {
    /// For figures that are published.
    pub const FULL: Self = Self {
        rounds: 15,
        sample: Duration::from_millis(10),
    };
    /// To see that everything works, and whether something is far off.
    pub const QUICK: Self = Self {
        rounds: 3,
        sample: Duration::from_millis(4),
    };
}

/// Operations of the run that checks a contender and tells how many fill a sample.
const TRIAL: u64 = 1 << 14;
/// Counts are multiples of this, so that threads share them evenly, in whole batches.
const GRAIN: u64 = 1 << 10;

/// Returns the nanoseconds that one operation of each contender takes, as the lower quartile over all rounds.
pub fn quartiles(contenders: &[Run], effort: Effort) -> Vec<f64> {
    let counts: Vec<u64> = contenders
        .iter()
        .map(|run| {
            let nanos = run(TRIAL).as_nanos().max(1) as f64 / TRIAL as f64;
            let fitting = effort.sample.as_nanos() as f64 / nanos;
            (fitting as u64).clamp(GRAIN, 1 << 24) / GRAIN * GRAIN
        })
        .collect();
    let mut samples = vec![Vec::new(); contenders.len()];
    for round in 0..effort.rounds {
        for place in 0..contenders.len() {
            let which = (place + round) % contenders.len();
            let took = contenders[which](counts[which]);
            samples[which].push(took.as_nanos() as f64 / counts[which] as f64);
        }
    }
    samples.into_iter().map(lower_quartile).collect()
}

/// Returns the lower quartile.
///
/// # Panics
///
/// If there is no sample.
pub fn lower_quartile(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 4]
}

/// Returns how long a fixed amount of arithmetic takes on one core now, in milliseconds; the best of five.
///
/// The same before and after a run means that the machine was the same.
pub fn calibrate() -> f64 {
    let once = || {
        let begin = Instant::now();
        let mut x = 1_u64;
        for n in 0..4_000_000_u64 {
            x = black_box(x.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ n);
        }
        begin.elapsed().as_secs_f64() * 1e3
    };
    (0..5).map(|_| once()).fold(f64::INFINITY, f64::min)
}
