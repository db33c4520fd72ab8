//! The inputs that fuzzing found worth keeping, asked what `fuzz` asks of them.

mod oracle;

use std::fs;
use std::path::Path;

#[test]
fn what_fuzzing_kept_is_still_answered_right() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for (target, run) in oracle::TARGETS {
        let folder = corpus.join(target);
        let inputs = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
        let mut count = 0;
        for input in inputs {
            let file = input.expect("a file").path();
            eprintln!("{}", file.display()); // shown by a test that fails
            run(&fs::read(&file).expect("an input"));
            count += 1;
        }
        assert!(count > 0, "expected inputs in {folder:?}; found none");
    }
}
