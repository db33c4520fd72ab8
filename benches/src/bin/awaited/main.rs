//! Awaited calls beside those of other channels: streams and ping-pongs between tasks, in one thread and in two.
//!
//! `cargo xtask bench awaited` runs this as it should be run. The executors are the same for all: that of the futures crate
//! where a thread runs one task or two, tokio's where four tasks share two threads.
//!
//! Usage: `awaited [--quick] [--json FILE] [--own-session] [WORD]`; a word leaves only the cases that contain it.

mod channels;

use std::future::Future;
use std::hint::black_box;
use std::thread;
use std::time::{Duration, Instant};

use covet_benches::measure::{self, Effort, Run};
use covet_benches::options::Options;
use covet_benches::report::{self, Row, rows};
use futures_executor::block_on;
use futures_util::join;

use channels::{
    AsyncChannel, CovetMpmc, CovetSpsc, CrossfireMpmc, CrossfireSpsc, Flume, Kanal, Tokio,
};

/// A channel to measure.
pub(crate) trait Channel {
    type Send: Send;
    type Recv: Recv;
    fn ends(capacity: usize) -> (Self::Send, Self::Recv);
}

pub(crate) trait Send: std::marker::Send + 'static {
    fn send(&mut self, value: u64) -> impl Future<Output = ()> + std::marker::Send;
}

pub(crate) trait Recv: std::marker::Send + 'static {
    fn recv(&mut self) -> impl Future<Output = u64> + std::marker::Send;
}

async fn send_all(mut to: impl Send, count: u64) {
    for value in 0..count {
        to.send(value).await;
    }
}

async fn receive_all(mut from: impl Recv, count: u64) -> u64 {
    let mut sum = 0;
    for _ in 0..count {
        sum += black_box(from.recv().await);
    }
    sum
}

/// The sum of all values below `count`.
fn sum_below(count: u64) -> u64 {
    count * (count - 1) / 2
}

fn stream_in_one_thread<C: Channel>(capacity: usize, count: u64) -> Duration {
    let (send, recv) = C::ends(capacity);
    let begin = Instant::now();
    let ((), sum) = block_on(async { join!(send_all(send, count), receive_all(recv, count)) });
    let took = begin.elapsed();
    assert_eq!(sum, sum_below(count));
    took
}

fn stream_between_threads<C: Channel>(capacity: usize, count: u64) -> Duration {
    let (send, recv) = C::ends(capacity);
    let begin = Instant::now();
    let sender = thread::spawn(move || block_on(send_all(send, count)));
    let sum = block_on(receive_all(recv, count));
    let took = begin.elapsed();
    sender.join().unwrap();
    assert_eq!(sum, sum_below(count));
    took
}

async fn ping(mut to: impl Send, mut from: impl Recv, count: u64) {
    for value in 0..count {
        to.send(value).await;
        assert_eq!(from.recv().await, value);
    }
}

async fn pong(mut to: impl Send, mut from: impl Recv, count: u64) {
    for _ in 0..count {
        let value = from.recv().await;
        to.send(value).await;
    }
}

fn ping_pong_in_one_thread<C: Channel>(capacity: usize, count: u64) -> Duration {
    let (there, from_there) = C::ends(capacity);
    let (back, from_back) = C::ends(capacity);
    let begin = Instant::now();
    block_on(async { join!(ping(there, from_back, count), pong(back, from_there, count)) });
    begin.elapsed()
}

fn ping_pong_between_threads<C: Channel>(capacity: usize, count: u64) -> Duration {
    let (there, from_there) = C::ends(capacity);
    let (back, from_back) = C::ends(capacity);
    let begin = Instant::now();
    let other = thread::spawn(move || block_on(pong(back, from_there, count)));
    block_on(ping(there, from_back, count));
    let took = begin.elapsed();
    other.join().unwrap();
    took
}

fn two_by_two<C: Channel<Send: Clone, Recv: Clone>>(capacity: usize, count: u64) -> Duration {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    let (send, recv) = C::ends(capacity);
    let begin = Instant::now();
    let senders = [0, 1].map(|_| runtime.spawn(send_all(send.clone(), count / 2)));
    let receivers = [0, 1].map(|_| runtime.spawn(receive_all(recv.clone(), count / 2)));
    let sum = block_on(async {
        let mut sum = 0;
        for receiver in receivers {
            sum += receiver.await.unwrap();
        }
        for sender in senders {
            sender.await.unwrap();
        }
        sum
    });
    let took = begin.elapsed();
    assert_eq!(sum, 2 * sum_below(count / 2));
    took
}

struct Case {
    name: &'static str,
    contenders: Vec<(&'static str, Run)>,
}

macro_rules! case {
    ($name:literal, $run:ident($capacity:literal), $($who:literal: $channel:ty,)*) => {
        Case {
            name: $name,
            contenders: vec![$((
                $who,
                Box::new(|count| $run::<$channel>($capacity, count)) as Run,
            )),*],
        }
    };
}

fn cases() -> Vec<Case> {
    macro_rules! one_to_one {
        ($name:literal, $run:ident($capacity:literal)) => {
            case! { $name, $run($capacity),
                "covet spsc": CovetSpsc,
                "covet mpmc": CovetMpmc,
                "crossfire spsc": CrossfireSpsc,
                "tokio mpsc": Tokio,
                "async-channel": AsyncChannel,
                "kanal": Kanal,
                "flume": Flume,
            }
        };
    }
    vec![
        one_to_one!(
            "stream u64, two tasks of a thread, 1024",
            stream_in_one_thread(1024)
        ),
        one_to_one!(
            "stream u64, a task in each thread, 1024",
            stream_between_threads(1024)
        ),
        one_to_one!(
            "ping-pong, two tasks of a thread",
            ping_pong_in_one_thread(1)
        ),
        one_to_one!(
            "ping-pong, a task in each thread",
            ping_pong_between_threads(1)
        ),
        case! { "stream u64, 2x2 tasks of two tokio threads, 1024", two_by_two(1024),
            "covet mpmc": CovetMpmc,
            "crossfire mpmc": CrossfireMpmc,
            "async-channel": AsyncChannel,
            "kanal": Kanal,
            "flume": Flume,
        },
    ]
}

fn main() {
    let options = Options::from_command_line();
    options.measure("awaited", || {
        println!(
            "nanoseconds per value or round trip, lower quartile; x = how many times longer than Covet"
        );
        let wanted = cases().into_iter().filter(|case| options.wants(case.name));
        wanted
            .flat_map(|case| time(case, options.effort))
            .collect()
    });
}

fn time(case: Case, effort: Effort) -> Vec<Row> {
    let (names, runs): (Vec<_>, Vec<_>) = case.contenders.into_iter().unzip();
    let values = measure::quartiles(&runs, effort);
    let rows = rows(case.name, "ns", &names, &values, effort.rounds);
    report::print_case(&rows);
    rows
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_contender_delivers_all_values() {
        for case in super::cases() {
            for (_, run) in case.contenders {
                run(1 << 10);
            }
        }
    }
}
