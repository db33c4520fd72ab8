//! The shape of a query engine with Python functions: one function over 10^6 rows, in batches of columns, called from the
//! engine's own threads (rayon's) in interpreters that they borrow. No queue, no other thread, and as many interpreters as
//! cores run at once.
//!
//! The rows travel as bytes, one message each way for a batch: what a call costs is paid once for 10,000 rows.

use covet_interp::{Error, Function, Pool, Runtime, Value};
use rayon::prelude::*;

/// What the user of the engine wrote. An interpreter compiles it once.
const UDF: &str = "
from array import array

prices = array('d', args[0])
result = array('d', [round(price * 1.19, 2) for price in prices]).tobytes()
";

const ROWS: usize = 1_000_000;
const BATCH: usize = 10_000;

fn main() -> Result<(), Error> {
    let runtime = Runtime::embed()?;
    let pool = Pool::builder().build(&runtime)?;
    pool.wait_ready(None)?;
    println!("{}", pool.decision());

    let udf = Function::source(UDF);
    let prices: Vec<f64> = (0..ROWS).map(|row| row as f64 / 100.0).collect();
    // Python before 3.14 does not look at how much stack is left.
    let engine = rayon::ThreadPoolBuilder::new()
        .num_threads(pool.workers())
        .stack_size(16 << 20)
        .build()
        .map_err(|error| Error::Thread(error.to_string()))?;
    let taxed: Vec<f64> = engine.install(|| {
        let batches = prices.par_chunks(BATCH);
        let results = batches.map(|batch| match pool.call(&udf, &[bytes(batch)])? {
            Value::Bytes(column) => Ok(numbers(&column)),
            other => Err(Error::Invalid(format!(
                "expected a column, found {other:?}"
            ))),
        });
        let columns: Vec<_> = results.collect::<Result<_, Error>>()?;
        Ok::<_, Error>(columns.concat())
    })?;

    assert_eq!(taxed.len(), ROWS);
    for (price, taxed) in prices.iter().zip(&taxed) {
        assert!(
            (price * 1.19 - taxed).abs() <= 0.005 + 1e-9,
            "{price}: {taxed}"
        );
    }
    let lent: u64 = pool.stats().workers.iter().map(|worker| worker.lent).sum();
    println!("{ROWS} rows in {lent} calls");
    assert_eq!(lent as usize, ROWS / BATCH);
    Ok(())
}

fn bytes(column: &[f64]) -> Value {
    let bytes: Vec<u8> = column.iter().flat_map(|x| x.to_ne_bytes()).collect();
    bytes.into()
}

fn numbers(column: &[u8]) -> Vec<f64> {
    let (numbers, _) = column.as_chunks();
    numbers
        .iter()
        .map(|&bytes| f64::from_ne_bytes(bytes))
        .collect()
}
