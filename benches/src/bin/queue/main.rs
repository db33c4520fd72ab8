//! covet-queue beside its peers. `cargo xtask bench queue` runs this as it should be run.
//!
//! Usage: `queue [--quick] [--json FILE] [--own-session] [WORD]`; a word leaves only the cases that contain it.
//!
//! Every contender of a case does the same in the same process: numbers are sent and received, order (one producer, one
//! consumer) or sum is checked in every run, timed or not. `spin` cases retry with 32 pauses and then yields, whatever the
//! queue; `blocking` cases use the queue's own waiting.

mod driver;
mod floor;
mod idle;
mod peers;

use std::time::Duration;

use covet_benches::measure::{self, Effort, Run, lower_quartile};
use covet_benches::options::Options;
use covet_benches::report::{self, Row, rows};

use driver::{Batch, Block, Spin, many_to_many, many_to_one, one_to_one, ping_pong};
use floor::{Bare, TwoLines};
use idle::{Idle, idle};
use peers::{
    concurrent, covet, crossbeam, crossfire, disruptor, flume, gil, heapless, kanal, locked, nexus,
    ringbuf, rtrb, standard,
};

/// Some 64-byte items, so that the ring is as large as one of 8-byte ones.
type Wide = [u64; 8];

struct Case {
    name: &'static str,
    /// Covet first.
    contenders: Vec<(&'static str, Run)>,
}

/// A case: its name, how each queue is run and of what shape, and the queues with their names.
macro_rules! case {
    ($name:literal, $run:ident::<$item:ty, $manner:ty>($shape:expr), $($who:literal: $queue:ty,)*) => {
        Case {
            name: $name,
            contenders: vec![$((
                $who,
                Box::new(|count| $run::<$item, $queue, $manner>($shape, count)) as Run,
            )),*],
        }
    };
}

fn cases() -> Vec<Case> {
    /// One producer, one consumer, one value at a time.
    macro_rules! spsc_items {
        ($name:literal, $item:ty, $capacity:literal) => {
            case! { $name, one_to_one::<$item, Spin>($capacity),
                "covet spsc": covet::Spsc,
                "nexus-queue spsc": nexus::Spsc,
                "gil spsc": gil::Spsc,
                "rtrb": rtrb::Spsc,
                "disruptor single": disruptor::Single,
                "ringbuf": ringbuf::Spsc,
                "heapless spsc": heapless::One<$capacity>,
                "crossfire spsc": crossfire::Spsc,
                "kanal": kanal::Channel,
                "crossbeam ArrayQueue": crossbeam::Array,
                "concurrent-queue": concurrent::Bounded,
                "crossbeam-channel": crossbeam::Channel,
                "std sync_channel": standard::Channel,
                "flume": flume::Channel,
                "Mutex<VecDeque>": locked::Deque,
            }
        };
    }
    macro_rules! mpmc_items {
        ($name:literal, $each:literal, $capacity:literal) => {
            case! { $name, many_to_many::<u64, Spin>(($capacity, $each)),
                "covet mpmc": covet::Mpmc,
                "gil mpmc": gil::Mpmc,
                "crossbeam ArrayQueue": crossbeam::Array,
                "crossfire mpmc": crossfire::Mpmc,
                "concurrent-queue": concurrent::Bounded,
                "crossbeam-channel": crossbeam::Channel,
                "heapless mpmc": heapless::Many<$capacity>,
                "flume": flume::Channel,
                "kanal": kanal::Channel,
                "Mutex<VecDeque>": locked::Deque,
            }
        };
    }
    macro_rules! mpmc_batches {
        ($name:literal, $each:literal) => {
            case! { $name, many_to_many::<u64, Batch>((1024, $each)),
                "covet mpmc": covet::Mpmc,
                "gil mpmc, one by one": gil::Mpmc,
                "ArrayQueue, one by one": crossbeam::Array,
                "crossfire mpmc, one by one": crossfire::Mpmc,
                "Mutex<VecDeque>": locked::Deque,
            }
        };
    }
    macro_rules! spsc_blocking {
        ($name:literal, $item:ty) => {
            case! { $name, one_to_one::<$item, Block>(1024),
                "covet spsc": covet::Spsc,
                "crossfire spsc": crossfire::Spsc,
                "crossfire mpsc": crossfire::Mpsc,
                "std sync_channel": standard::Channel,
                "crossbeam-channel": crossbeam::Channel,
                "kanal": kanal::Channel,
                "flume": flume::Channel,
                "Mutex + Condvar": locked::Deque,
            }
        };
    }
    macro_rules! mpmc_blocking {
        ($name:literal, $each:literal, $capacity:literal) => {
            case! { $name, many_to_many::<u64, Block>(($capacity, $each)),
                "covet mpmc": covet::Mpmc,
                "crossbeam-channel": crossbeam::Channel,
                "crossfire mpmc": crossfire::Mpmc,
                "kanal": kanal::Channel,
                "flume": flume::Channel,
                "Mutex + Condvar": locked::Deque,
            }
        };
    }
    vec![
        spsc_items!("spsc u64, ring of 1024, spin", u64, 1024),
        spsc_items!("spsc u64, ring of 16384, spin", u64, 16384),
        spsc_items!("spsc 64 bytes, ring of 1024, spin", Wide, 1024),
        spsc_items!("spsc 64 bytes, ring of 16384, spin", Wide, 16384),
        case! { "spsc u64 in batches of 64, ring of 16384, spin", one_to_one::<u64, Batch>(16384),
            "covet spsc": covet::Spsc,
            "floor: bare ring": Bare,
            "gil spsc": gil::Spsc,
            "rtrb": rtrb::Spsc,
            "ringbuf": ringbuf::Spsc,
            "disruptor single": disruptor::Single,
            "Mutex<VecDeque>": locked::Deque,
        },
        case! { "spsc ping-pong, spin", ping_pong::<u64, Spin>(1024),
            "covet spsc": covet::Spsc,
            "floor: two lines": TwoLines,
            "nexus-queue spsc": nexus::Spsc,
            "gil spsc": gil::Spsc,
            "rtrb": rtrb::Spsc,
            "disruptor single": disruptor::Single,
            "ringbuf": ringbuf::Spsc,
            "heapless spsc": heapless::One<1024>,
            "crossfire spsc": crossfire::Spsc,
            "crossbeam ArrayQueue": crossbeam::Array,
            "crossbeam-channel": crossbeam::Channel,
        },
        case! { "mpsc u64 2P1C, ring of 1024, spin", many_to_one::<u64, Spin>((1024, 2)),
            "covet mpsc": covet::Mpsc,
            "gil mpsc": gil::Mpsc,
            "nexus-queue mpsc": nexus::Mpsc,
            "crossfire mpsc": crossfire::Mpsc,
            "crossbeam ArrayQueue": crossbeam::Array,
            "concurrent-queue": concurrent::Bounded,
            "crossbeam-channel": crossbeam::Channel,
            "std sync_channel": standard::Channel,
            "Mutex<VecDeque>": locked::Deque,
        },
        case! { "mpsc u64 1x1, ring of 1024, spin", one_to_one::<u64, Spin>(1024),
            "covet mpsc": covet::Mpsc,
            "gil mpsc": gil::Mpsc,
            "nexus-queue mpsc": nexus::Mpsc,
            "crossfire mpsc": crossfire::Mpsc,
            "crossbeam ArrayQueue": crossbeam::Array,
            "Mutex<VecDeque>": locked::Deque,
        },
        case! { "mpsc u64 in batches of 64, 1x1, ring of 1024, spin", one_to_one::<u64, Batch>(1024),
            "covet mpsc": covet::Mpsc,
            "disruptor multi": disruptor::Multi,
            "gil mpsc, one by one": gil::Mpsc,
            "ArrayQueue, one by one": crossbeam::Array,
            "Mutex<VecDeque>": locked::Deque,
        },
        case! { "mpmc u64 in batches of 64, 1x1, ring of 1024, spin", one_to_one::<u64, Batch>(1024),
            "covet mpmc": covet::Mpmc,
            "disruptor multi": disruptor::Multi,
            "gil mpmc, one by one": gil::Mpmc,
            "ArrayQueue, one by one": crossbeam::Array,
            "Mutex<VecDeque>": locked::Deque,
        },
        case! { "mpsc u64 in batches of 64, 2P1C, ring of 1024, spin", many_to_one::<u64, Batch>((1024, 2)),
            "covet mpsc": covet::Mpsc,
            "disruptor multi": disruptor::Multi,
            "gil mpsc, one by one": gil::Mpsc,
            "ArrayQueue, one by one": crossbeam::Array,
            "Mutex<VecDeque>": locked::Deque,
        },
        mpmc_batches!("mpmc u64 in batches of 64, 2x2, ring of 1024, spin", 2),
        mpmc_batches!("mpmc u64 in batches of 64, 4x4, ring of 1024, spin", 4),
        mpmc_items!("mpmc u64 2x2, ring of 1024, spin", 2, 1024),
        mpmc_items!("mpmc u64 2x2, ring of 16384, spin", 2, 16384),
        mpmc_items!("mpmc u64 4x4, ring of 1024, spin", 4, 1024),
        mpmc_items!("mpmc u64 4x4, ring of 16384, spin", 4, 16384),
        spsc_blocking!("spsc u64, ring of 1024, blocking", u64),
        spsc_blocking!("spsc 64 bytes, ring of 1024, blocking", Wide),
        case! { "spsc ping-pong, blocking", ping_pong::<u64, Block>(1024),
            "covet spsc": covet::Spsc,
            "crossfire spsc": crossfire::Spsc,
            "crossbeam-channel": crossbeam::Channel,
            "kanal": kanal::Channel,
            "std sync_channel": standard::Channel,
            "flume": flume::Channel,
            "Mutex + Condvar": locked::Deque,
        },
        mpmc_blocking!("mpmc u64 2x2, ring of 1024, blocking", 2, 1024),
        mpmc_blocking!("mpmc u64 4x4, ring of 1024, blocking", 4, 1024),
        mpmc_blocking!("8 threads on a ring of 64, blocking", 4, 64),
    ]
}

/// The queues that a consumer can block on, Covet first.
const IDLE: [Idle; 5] = [
    Idle {
        name: "covet spsc",
        run: idle::<covet::Spsc>,
    },
    Idle {
        name: "crossfire spsc",
        run: idle::<crossfire::Spsc>,
    },
    Idle {
        name: "crossbeam-channel",
        run: idle::<crossbeam::Channel>,
    },
    Idle {
        name: "std sync_channel",
        run: idle::<standard::Channel>,
    },
    Idle {
        name: "Mutex + Condvar",
        run: idle::<locked::Deque>,
    },
];

const LEFT_OUT: &str = "Not in blocking cases: gil and omango, whose blocking calls lose wake-ups and then sleep for ever; \
                        ArrayQueue, concurrent-queue, rtrb, ringbuf, heapless, nexus-queue and disruptor, which have none.";

fn main() {
    let options = Options::from_command_line();
    options.measure("queue", || {
        println!(
            "nanoseconds per item or round trip, lower quartile; x = how many times longer than Covet"
        );
        println!("{LEFT_OUT}");
        let mut rows = Vec::new();
        for case in cases() {
            if options.wants(case.name) {
                rows.extend(time(case, options.effort));
            }
        }
        if options.wants("idle") {
            rows.extend(time_idle(options.effort));
        }
        rows
    });
}

fn time(case: Case, effort: Effort) -> Vec<Row> {
    let (names, runs): (Vec<_>, Vec<_>) = case.contenders.into_iter().unzip();
    let values = measure::quartiles(&runs, effort);
    let rows = rows(case.name, "ns", &names, &values, effort.rounds);
    report::print_case(&rows);
    rows
}

fn time_idle(effort: Effort) -> Vec<Row> {
    let rounds = effort.rounds.min(5);
    // Long enough that what falling asleep costs, once, is not most of the answer.
    let time = Duration::from_millis(600);
    let values = 200;
    let mut costs = IDLE.map(|_| (Vec::new(), Vec::new()));
    for _ in 0..rounds {
        for (Idle { run, .. }, (percents, wakes)) in IDLE.iter().zip(&mut costs) {
            let cost = run(time, values);
            percents.push(cost.percent);
            wakes.push(cost.wake_micros);
        }
    }
    let (percents, wakes): (Vec<_>, Vec<_>) = costs
        .into_iter()
        .map(|(percents, wakes)| (lower_quartile(percents), lower_quartile(wakes)))
        .unzip();
    let names = IDLE.map(|idle| idle.name);
    let idle = rows(
        "idle: share of a core while blocked",
        "%",
        &names,
        &percents,
        rounds,
    );
    let wake = rows(
        "idle: from push to pop, one value a millisecond, median",
        "us",
        &names,
        &wakes,
        rounds,
    );
    report::print_case(&idle);
    report::print_case(&wake);
    [idle, wake].concat()
}

#[cfg(test)]
mod tests {
    use super::cases;
    use std::thread;

    #[test]
    fn every_contender_delivers_all_values() {
        let all = || {
            for case in cases() {
                for (_, run) in case.contenders {
                    run(1 << 10);
                }
            }
        };
        // heapless makes its rings on the stack first, and a test has little of that.
        let roomy = thread::Builder::new().stack_size(64 << 20);
        roomy.spawn(all).unwrap().join().unwrap();
    }
}
