//! Blocking round trips with the system's own fence and parking, which no model contains: not one may get stuck.
//!
//! `COVET_QUEUE_ROUND_TRIPS` says how many for each test, 100000 if it is not set. The real-time class needs a right that few
//! users have: `cargo test --release -p covet-queue --test round_trips -- --include-ignored --test-threads=1 --nocapture`.
#![cfg(target_os = "linux")]

use std::env;
use std::io;
use std::process;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use covet_queue::{Consumer, Producer, mpmc, spsc};

/// A trip that takes this long is stuck.
const STUCK: Duration = Duration::from_secs(20);
/// Every so many trips the answer takes about as long as the other side spins, so that it falls asleep just then.
const LATE: usize = 64;
/// Every so many trips it takes longer than anybody spins, however slowly this machine yields.
const LATEST: usize = 8 * LATE;

#[derive(Clone, Copy, Debug)]
enum Class {
    Normal,
    RealTime,
}

impl Class {
    /// Puts the calling thread into the class.
    fn enter(self) -> io::Result<()> {
        if let Self::Normal = self {
            return Ok(());
        }
        let parameters = libc::sched_param { sched_priority: 1 };
        // SAFETY: the pointer is to a live parameter; 0 is the calling thread.
        match unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &parameters) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

#[test]
fn spsc_normal() {
    go(Class::Normal, spsc::bounded(1), spsc::bounded(1));
}

#[test]
fn mpmc_normal() {
    go(Class::Normal, mpmc::bounded(1), mpmc::bounded(1));
}

#[test]
#[ignore = "needs the right to the real-time class"]
fn spsc_real_time() {
    go(Class::RealTime, spsc::bounded(1), spsc::bounded(1));
}

#[test]
#[ignore = "needs the right to the real-time class"]
fn mpmc_real_time() {
    go(Class::RealTime, mpmc::bounded(1), mpmc::bounded(1));
}

/// What each of the two threads has done last, for the watchdog.
#[derive(Default)]
struct Progress {
    sent: AtomicUsize,
    answered: AtomicUsize,
    returned: AtomicUsize,
    over: AtomicBool,
}

fn go<P, C>(class: Class, (mut to, mut from_here): (P, C), (mut back, mut from_there): (P, C))
where
    P: Producer<usize> + Send,
    C: Consumer<usize> + Send,
{
    let trips = env::var("COVET_QUEUE_ROUND_TRIPS");
    let trips = trips.map_or(100_000, |text| text.parse().unwrap());
    let progress = Progress::default();
    let start = Instant::now();
    let slept = thread::scope(|scope| {
        scope.spawn(|| watch(&progress));
        let answering = scope.spawn(|| {
            class.enter().expect("the right to the real-time class");
            while let Ok(value) = from_here.pop() {
                if value % LATE == 0 {
                    let shortest = if value % LATEST == 0 { 980_000 } else { 20_000 };
                    let scattered = (value * 7919) as u64 % 60_000;
                    spin(Duration::from_nanos(shortest + scattered));
                }
                back.push(value).unwrap();
                progress.answered.store(value, Relaxed);
            }
            sleeps()
        });
        let asking = scope.spawn(|| {
            class.enter().expect("the right to the real-time class");
            for value in 1..=trips {
                to.push(value).unwrap();
                progress.sent.store(value, Relaxed);
                assert_eq!(from_there.pop(), Ok(value));
                progress.returned.store(value, Relaxed);
            }
            drop(to);
            sleeps()
        });
        let slept = asking.join().unwrap() + answering.join().unwrap();
        progress.over.store(true, Relaxed);
        slept
    });
    println!(
        "{trips} round trips, class {class:?}: {slept} sleeps, {:.1} s",
        start.elapsed().as_secs_f64()
    );
    assert!(slept > 0, "what is tested is the sleeping");
}

fn spin(time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        std::hint::spin_loop();
    }
}

/// How often the calling thread has given its core up to wait for something.
fn sleeps() -> i64 {
    // SAFETY: an all-zero `rusage` is a valid one.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a live structure of the right type.
    let result = unsafe { libc::getrusage(libc::RUSAGE_THREAD, &mut usage) };
    assert_eq!(result, 0);
    usage.ru_nvcsw
}

/// Ends the process with a report of where it stands if a trip gets stuck.
fn watch(progress: &Progress) {
    let mut last = (0, Instant::now());
    while !progress.over.load(Relaxed) {
        thread::sleep(Duration::from_millis(20));
        let returned = progress.returned.load(Relaxed);
        if returned != last.0 {
            last = (returned, Instant::now());
        } else if last.1.elapsed() > STUCK {
            eprintln!(
                "stuck after {returned} round trips: {} sent, {} answered",
                progress.sent.load(Relaxed),
                progress.answered.load(Relaxed)
            );
            process::exit(1);
        }
    }
}
