//! Runs Python source in two interpreters at once, on this program's own threads.

use covet_interp::{Error, Pool, Runtime};

fn main() -> Result<(), Error> {
    let runtime = Runtime::embed()?;
    let pool = Pool::builder().workers(2).build(&runtime)?;
    let count = |limit: u32| {
        pool.enter()?
            .run(&format!("result = sum(n * n for n in range({limit}))"))
    };
    std::thread::scope(|scope| {
        for limit in [1_000_000, 1_000_001] {
            let work = move || println!("{:?}", count(limit));
            std::thread::Builder::new()
                .stack_size(8 << 20)
                .spawn_scoped(scope, work)
                .expect("a thread");
        }
    });
    Ok(())
}
