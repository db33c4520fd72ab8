//! A small server: its connections block in the io lane, its checksums are computed in the cpu lane, and its answers are
//! written by Python, in two interpreters. Asks itself eight questions and ends.

use covet_interp::router::{Lane, Router};
use covet_interp::{Error, Function, Pool, Runtime, Value};
use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

const QUESTIONS: usize = 8;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let runtime = Runtime::embed()?;
    let pool = Pool::builder().workers(2).build(&runtime)?;
    let router = Arc::new(
        Router::builder()
            .io_threads(16)
            .task_queue_size(64)
            .build(&runtime, pool)?,
    );
    let server = TcpListener::bind("127.0.0.1:0")?;
    let address = server.local_addr()?;
    let clients: Vec<_> = (0..QUESTIONS)
        .map(|n| std::thread::spawn(move || ask(TcpStream::connect(address)?, n)))
        .collect();
    for _ in 0..QUESTIONS {
        let (connection, _) = server.accept()?;
        let lanes = Arc::clone(&router);
        // A server under too much load answers nobody late: what cannot begin in time is dropped, which the client sees.
        let served = router
            .submit()
            .begin_within(Duration::from_secs(5))
            .io(move || serve(&lanes, connection));
        if let Err(error) = served {
            eprintln!("a connection was turned away: {error}");
        }
    }
    for client in clients {
        print!("{}", client.join().expect("a client")?);
    }
    assert!(router.shut_down(Some(Instant::now() + Duration::from_secs(5))));
    for lane in [Lane::Io, Lane::Cpu, Lane::Python] {
        println!("{lane:?}: {:?}", router.stats(lane));
    }
    Ok(())
}

/// One connection, in the io lane. It may wait for tasks of other lanes, not of its own.
fn serve(
    router: &Router,
    connection: TcpStream,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let mut line = String::new();
    BufReader::new(&connection).read_line(&mut line)?;
    let bytes = line.clone().into_bytes();
    let checksum = router.submit().cpu(move || fletcher(&bytes))?;
    let title = router
        .submit()
        .python(Function::reference("string", "capwords"), vec![line.into()])?;
    match title.result()? {
        Value::Str(title) => writeln!(&connection, "{title} ({:#010x})", checksum.result()?)?,
        other => {
            return Err(Box::new(Error::Runtime(format!(
                "expected a str, found {other:?}"
            ))));
        }
    }
    Ok(())
}

fn ask(mut connection: TcpStream, n: usize) -> io::Result<String> {
    writeln!(connection, "question number {n} of the day")?;
    let mut answer = String::new();
    BufReader::new(connection).read_line(&mut answer)?;
    Ok(answer)
}

/// Fletcher's checksum with 32 bits (J. G. Fletcher, IEEE Transactions on Communications 30(1), 1982).
fn fletcher(bytes: &[u8]) -> u32 {
    let (low, high) = bytes.iter().fold((0u32, 0u32), |(low, high), &byte| {
        let low = (low + u32::from(byte)) % 65_535;
        (low, (high + low) % 65_535)
    });
    high << 16 | low
}
