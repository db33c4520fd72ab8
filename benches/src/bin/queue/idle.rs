//! What waiting costs when there is little to do: the share of a core that a blocked consumer takes, and how long it takes
//! until a value that comes once in a millisecond is seen.

use std::thread;
use std::time::{Duration, Instant};

use crate::driver::{Pop, Push, Queue};

pub(crate) struct Idle {
    pub(crate) name: &'static str,
    pub(crate) run: fn(Duration, usize) -> Cost,
}

pub(crate) struct Cost {
    /// Of one core.
    pub(crate) percent: f64,
    /// Median.
    pub(crate) wake_micros: f64,
}

/// Lets a consumer block for `time`, and then sends it so many values, one every millisecond.
pub(crate) fn idle<Q: Queue<u64>>(time: Duration, values: usize) -> Cost {
    let (mut producer, mut consumer) = Q::ends(1024);
    let base = Instant::now();
    let waiting = thread::spawn(move || {
        assert_eq!(consumer.pop(), 0);
        let before = cpu_time();
        assert_eq!(consumer.pop(), 1);
        let busy = cpu_time() - before;
        let mut late: Vec<Duration> = (0..values)
            .map(|_| {
                let sent = Duration::from_nanos(consumer.pop());
                base.elapsed() - sent
            })
            .collect();
        late.sort();
        (busy, late[late.len() / 2], consumer)
    });
    producer.push(0);
    thread::sleep(Duration::from_millis(5));
    let begin = Instant::now();
    thread::sleep(time);
    let blocked = begin.elapsed();
    producer.push(1);
    for _ in 0..values {
        thread::sleep(Duration::from_millis(1));
        producer.push(base.elapsed().as_nanos() as u64);
    }
    let (busy, late, _) = waiting.join().unwrap();
    Cost {
        percent: 100.0 * busy.as_secs_f64() / blocked.as_secs_f64(),
        wake_micros: late.as_secs_f64() * 1e6,
    }
}

/// Returns the time that the calling thread has spent on a core.
#[cfg(unix)]
fn cpu_time() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the result goes to a live variable of the right type.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    assert_eq!(failed, 0, "no clock for a thread's time");
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

#[cfg(not(unix))]
fn cpu_time() -> Duration {
    Duration::ZERO
}
