//! What is no module, or does not work: the right error, and the process goes on.

use crate::common::{COUNT, folder, library, one_at_a_time, package, pool, refusal, run, runtime};
use covet_interp::{Extensions, set_trial_command};
use std::ffi::OsString;
use std::fs;

#[test]
fn strict_refuses_and_says_why() {
    let _turn = one_at_a_time();
    let runtime = runtime();
    let folder = package("strict", &["refusing"]);
    let pool = pool(&runtime, Extensions::Strict);
    let text = refusal(run(&pool, 0, &folder, COUNT));
    assert!(
        text.contains("module refusing cannot be loaded in an interpreter with a GIL of its own"),
        "{text}"
    );
    fs::remove_dir_all(folder).unwrap();
}

/// Sets how a trial is made: by a shell.
fn by_shell(script: &str) {
    let words = ["sh", "-c", script].map(OsString::from);
    set_trial_command(words.to_vec());
}

#[test]
fn what_nothing_is_known_of_is_tried_once() {
    let _turn = one_at_a_time();
    let runtime = runtime();
    let pool = pool(&runtime, Extensions::Auto);
    let trials = folder("trials").join("log");
    let log = trials.to_str().unwrap();
    for (name, end, expected) in [
        ("works", "echo works", None),
        ("fails", "echo fails: of that", Some("failed: of that")),
        ("crashes", "kill -SEGV $$", Some("SIGSEGV")),
        (
            "never",
            "exit 3 # before it began",
            Some("could not be tried"),
        ),
    ] {
        let folder = package(name, &["refusing"]);
        let begins = if name == "never" { "" } else { "echo begins;" };
        by_shell(&format!("echo $0 $1 >> {log}; {begins} {end}"));
        fs::write(&trials, "").unwrap();
        for _ in 0..3 {
            for worker in 0..2 {
                let forget = "import sys\nsys.modules.pop('refusing', None)\n";
                let outcome = run(&pool, worker, &folder, &format!("{forget}{COUNT}"));
                match expected {
                    None => assert!(outcome.is_ok(), "{outcome:?}"),
                    Some(why) => {
                        let text = refusal(outcome);
                        assert!(text.contains(why), "{text}");
                    }
                }
                let drop = format!(
                    "import sys\nsys.path.remove({:?})",
                    folder.to_str().unwrap()
                );
                run(&pool, worker, &folder, &drop).unwrap();
            }
            if name == "works" {
                break;
            }
        }
        assert_eq!(
            fs::read_to_string(&trials).unwrap(),
            "refusing refusing\n",
            "{name}"
        );
        fs::remove_dir_all(folder).unwrap();
    }
}

/// The library as one that needs another that is nowhere.
fn with_another_dependency(library: &[u8]) -> Vec<u8> {
    let mut needy = library.to_vec();
    let name = b"libgcc_s.so.1";
    let place = needy.windows(name.len()).position(|bytes| bytes == name);
    needy[place.expect("it needs libgcc_s") + 7] = b'?';
    needy
}

#[test]
fn files_that_are_no_extension_module_raise_import_error_with_their_path() {
    let _turn = one_at_a_time();
    let runtime = runtime();
    let folder = package("bad", &["refusing"]);
    let whole = fs::read(library()).unwrap();
    let mut foreign = whole.clone();
    foreign[18] = 0xf3; // e_machine: RISC-V
    let needy = with_another_dependency(&whole);
    let half = &whole[..whole.len() / 2];
    for (name, bytes, expected) in [
        ("cut", half, "malformed|cut off|none"),
        ("head", &whole[..100], "none|malformed|cut off"),
        ("foreign", &foreign[..], "for machine"),
        ("needy", &needy[..], "libgcc_?.so.1: cannot open"),
        ("text", &b"this is no library"[..], "found none"),
        ("empty", &b""[..], "the file is empty"),
        ("other", &whole[..], "PyInit_other"),
    ] {
        fs::write(folder.join(format!("{name}.so")), bytes).unwrap();
        let pool = pool(&runtime, Extensions::Private);
        let text = refusal(run(&pool, 0, &folder, &format!("import {name}")));
        assert!(
            expected.split('|').any(|part| text.contains(part)),
            "{name}: {text}"
        );
        assert_eq!(run(&pool, 0, &folder, COUNT), Ok(1.into()), "{name}");
    }
    fs::remove_dir_all(folder).unwrap();
}
