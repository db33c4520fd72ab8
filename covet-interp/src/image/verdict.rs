//! Whether an extension module works as a private image: known, remembered, or tried.
//!
//! A trial runs in a child process, since what fails may crash: two interpreters import the module at once, use it in several rounds,
//! and end. Its outcome is remembered on disk by path, size and time of the file and the version of Python, for every module of
//! which the trial made images. Who wants a module that is being tried waits for that trial.

use super::cache::{self, Original};
use crate::ffi;
use crate::fork::PerProcess;
use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

/// Why a module does not work as a private image; `Ok` if it does.
pub(crate) type Verdict = Result<(), String>;

/// How long a trial may take.
const LONGEST: Duration = Duration::from_secs(120);

/// How many bytes the child may allocate.
const MOST_MEMORY: libc::rlim_t = 16 << 30;

/// What is shipped: see the head of the file.
const KNOWN: &str = include_str!("known.txt");

static COMMAND: Mutex<Option<Vec<OsString>>> = Mutex::new(None);

/// Says how a trial is made: a program and its first arguments, to which the names of the modules to try are added. It imports each in
/// two interpreters of a pool with [`Extensions::Private`](crate::Extensions::Private) at once, uses and ends them. It
/// writes `image PATH` for each file of which there was one ([`images`](crate::images)), and at the end
/// `works` or `fails: REASON`.
///
/// The Python package `covet_py` sets one. Without any, modules of which nothing is known are refused.
pub fn set_trial_command(command: Vec<OsString>) {
    *COMMAND.lock().unwrap_or_else(PoisonError::into_inner) = Some(command);
}

/// A module that an interpreter is about to load.
#[derive(Debug)]
pub(crate) struct Wanted {
    /// The extension module.
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    /// What is being imported that needs it: it, or a module of the same package.
    pub(crate) importing: String,
    /// `sys.path`.
    pub(crate) places: Vec<String>,
}

/// Files, by path and what tells one state of them from another.
type Key = u64;

fn key(path: &Path) -> Option<Key> {
    let original = Original::open(path).ok()?;
    let mut hasher = DefaultHasher::new();
    (original.key(), ffi::version(), env!("CARGO_PKG_VERSION")).hash(&mut hasher);
    Some(hasher.finish())
}

/// The verdict on a module, by a trial if need be. Called detached.
pub(crate) fn verdict(wanted: &Wanted) -> Verdict {
    static VERDICTS: PerProcess<HashMap<Key, Verdict>> = PerProcess::new();
    static TRYING: PerProcess<()> = PerProcess::new();

    if let Some(known) = known(&wanted.name, &wanted.path) {
        return known;
    }
    let key = key(&wanted.path).ok_or_else(|| format!("cannot read {}", wanted.path.display()))?;
    if let Some(found) = VERDICTS.lock().get(&key) {
        return found.clone();
    }
    // One trial at a time: the next often finds in it what it wants to know.
    let _trying = TRYING.lock();
    if let Some(found) = VERDICTS.lock().get(&key) {
        return found.clone();
    }
    let verdict = recall(key).unwrap_or_else(|| match try_out(wanted) {
        Outcome::Works(images) => {
            for key in images
                .iter()
                .filter_map(|path| self::key(path))
                .chain([key])
            {
                remember(key, &Ok(()));
            }
            Ok(())
        }
        Outcome::Fails(why) => {
            let fails = Err(why);
            remember(key, &fails);
            fails
        }
        Outcome::NotTried(why) => Err(why),
    });
    VERDICTS.lock().insert(key, verdict.clone());
    verdict
}

/// What is shipped of a module.
pub(crate) fn known(name: &str, path: &Path) -> Option<Verdict> {
    let package = name.split('.').next()?;
    // The folder that the package is installed in.
    let depth = name.matches('.').count() + 1;
    let folder = path.ancestors().nth(depth)?;
    let (major, minor) = ffi::VERSION;
    let python = format!("{major}.{minor}");
    KNOWN
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let mut words = line.splitn(5, ' ');
            [(); 5].map(|()| words.next().unwrap_or_default())
        })
        .find(|[module, distribution, version, pythons, _]| {
            *module == package
                && pythons.split(',').any(|known| known == python)
                && (*version == "*" || {
                    folder
                        .join(format!("{distribution}-{version}.dist-info"))
                        .is_dir()
                })
        })
        .map(|[.., why]| {
            if why.is_empty() {
                Ok(())
            } else {
                Err(why.to_owned())
            }
        })
}

fn folder() -> Option<PathBuf> {
    cache::folders()
        .into_iter()
        .map(|folder| (cache::check_folder(&folder), folder.join("verdicts")))
        .find_map(|(checked, folder)| {
            checked.ok()?;
            cache::private_folders().create(&folder).ok()?;
            Some(folder)
        })
}

/// What an earlier trial, of whatever process, came to.
fn recall(key: Key) -> Option<Verdict> {
    let text = fs::read_to_string(folder()?.join(format!("{key:016x}"))).ok()?;
    match text.split_once('\n') {
        Some(("works", _)) => Some(Ok(())),
        Some(("fails", why)) if !why.is_empty() => Some(Err(why.to_owned())),
        _ => None,
    }
}

/// Where it cannot be written, the next process tries again.
fn remember(key: Key, verdict: &Verdict) {
    let Some(folder) = folder() else { return };
    let text = match verdict {
        Ok(()) => "works\n".to_owned(),
        Err(why) => format!("fails\n{why}"),
    };
    let unfinished = folder.join(format!(".{key:016x}-{}", std::process::id()));
    let written = fs::write(&unfinished, text)
        .and_then(|()| fs::rename(&unfinished, folder.join(format!("{key:016x}"))));
    if written.is_err() {
        let _ = fs::remove_file(unfinished);
    }
}

enum Outcome {
    /// With these files as images.
    Works(Vec<PathBuf>),
    Fails(String),
    /// Nothing is known.
    NotTried(String),
}

fn try_out(wanted: &Wanted) -> Outcome {
    let command = COMMAND
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    let Some((program, arguments)) = command.as_deref().and_then(<[_]>::split_first) else {
        return Outcome::NotTried(
            "it was never tried, and nobody said how (set_trial_command); extensions=\"private\" goes without".to_owned(),
        );
    };
    let mut command = Command::new(program);
    command
        .args(arguments)
        .args([&wanted.importing, &wanted.name])
        .env("PYTHONPATH", wanted.places.join(":"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    confine(&mut command);
    match command.spawn().and_then(|child| finish(child, LONGEST)) {
        Ok((said, how)) => outcome(&said, how),
        Err(error) => Outcome::NotTried(format!(
            "it could not be tried: {}: {error}",
            program.to_string_lossy()
        )),
    }
}

/// Waits for the child, and returns what it wrote and how it ended (`None` if it took too long). What it has started ends with it:
/// that could hold the pipe for ever.
fn finish(mut child: Child, longest: Duration) -> io::Result<(String, Option<ExitStatus>)> {
    let mut output = child
        .stdout
        .take()
        .ok_or_else(|| io::Error::other("no pipe"))?;
    let reader = std::thread::Builder::new()
        .name("covet-trial".to_owned())
        .spawn(move || {
            let mut said = Vec::new();
            let _ = output.read_to_end(&mut said);
            String::from_utf8_lossy(&said).into_owned()
        })?;
    let deadline = Instant::now() + longest;
    let in_time = loop {
        if has_ended(&child)? {
            break true;
        }
        if Instant::now() > deadline {
            break false;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    // SAFETY: the group is the child's, which is not reaped yet, so that its number is nobody else's.
    unsafe { libc::kill(-(child.id() as libc::pid_t), libc::SIGKILL) };
    let status = child.wait()?;
    Ok((reader.join().unwrap_or_default(), in_time.then_some(status)))
}

/// Whether the child has ended. It stays to be waited for.
fn has_ended(child: &Child) -> io::Result<bool> {
    let mut found = std::mem::MaybeUninit::<libc::siginfo_t>::zeroed();
    let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: room for the answer; zeroes are a valid one, and say that it has not ended.
    unsafe {
        if libc::waitid(libc::P_PID, child.id(), found.as_mut_ptr(), options) != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(found.assume_init().si_pid() != 0)
    }
}

/// How the reason begins why a module fails that is a danger for whoever imports it.
const HANGS: &str = "in a trial, two interpreters with it did not end within";
const ENDS: &str = "in a trial, a process with two interpreters with it ended by";

/// Whether a refusal is for a reason that the main interpreter should mind as well, unless it has the module.
pub(crate) fn is_danger(refusal: &str) -> bool {
    refusal.contains(HANGS) || refusal.contains(ENDS)
}

fn outcome(said: &str, how: Option<ExitStatus>) -> Outcome {
    let Some(status) = how else {
        return Outcome::Fails(format!("{HANGS} {} s", LONGEST.as_secs()));
    };
    let last = said.lines().last().unwrap_or_default();
    if status.success() && last == "works" {
        let images = said.lines().filter_map(|line| line.strip_prefix("image "));
        return Outcome::Works(images.map(PathBuf::from).collect());
    }
    if let Some(why) = last.strip_prefix("fails: ") {
        return Outcome::Fails(format!(
            "in a trial, two interpreters with it failed: {why}"
        ));
    }
    if said.lines().any(|line| line == "begins") {
        return Outcome::Fails(format!("{ENDS} {status}"));
    }
    Outcome::NotTried(format!(
        "it could not be tried: the trial ended by {status}"
    ))
}

/// Gives the child a group of its own, a limit of memory, and no longer a life than this thread, which waits for it.
fn confine(command: &mut Command) {
    use std::os::unix::process::CommandExt;

    command.process_group(0);
    // SAFETY: only calls that a child may make between fork and exec.
    unsafe {
        command.pre_exec(|| {
            let limit = |resource, most| {
                let limit = libc::rlimit {
                    rlim_cur: most,
                    rlim_max: most,
                };
                libc::setrlimit(resource, &limit);
            };
            limit(libc::RLIMIT_DATA, MOST_MEMORY);
            // A crash is an answer here, not something to keep.
            limit(libc::RLIMIT_CORE, 0);
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            Ok(())
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended_by(code: i32) -> Option<ExitStatus> {
        use std::os::unix::process::ExitStatusExt;
        Some(ExitStatus::from_raw(code))
    }

    fn fails(said: &str, how: Option<ExitStatus>) -> String {
        match outcome(said, how) {
            Outcome::Fails(why) => why,
            Outcome::Works(_) => "works".to_owned(),
            Outcome::NotTried(why) => format!("not tried: {why}"),
        }
    }

    #[test]
    fn a_trial_that_ends_in_any_way_has_an_outcome() {
        let said = "begins\nimage /a.so\nimage /b.so\nworks\n";
        match outcome(said, ended_by(0)) {
            Outcome::Works(images) => assert_eq!(images, [Path::new("/a.so"), Path::new("/b.so")]),
            _ => panic!("expected that it works"),
        }
        assert!(fails(said, ended_by(11)).contains("SIGSEGV"));
        assert!(fails("begins\nfails: no luck\n", ended_by(0)).ends_with("no luck"));
        assert!(fails("begins\n", None).contains("within 120 s"));
        assert!(fails("", ended_by(1 << 8)).starts_with("not tried"));
    }

    /// A shell, confined as a trial is, and what [`finish`] makes of it.
    fn trial(script: &str, longest: Duration) -> (String, Option<ExitStatus>) {
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdout(Stdio::piped());
        confine(&mut command);
        finish(command.spawn().unwrap(), longest).unwrap()
    }

    #[test]
    fn a_trial_that_hangs_is_stopped_with_what_it_has_started() {
        let (said, how) = trial(
            "echo begins; sleep 600 & sleep 600",
            Duration::from_millis(300),
        );
        assert!(fails(&said, how).contains("did not end"));
    }

    #[test]
    fn what_a_trial_leaves_behind_is_not_waited_for() {
        let (said, how) = trial("sleep 600 & echo begins; echo works", LONGEST);
        assert!(matches!(outcome(&said, how), Outcome::Works(_)), "{said}");
    }

    #[test]
    fn what_is_shipped_is_well_formed() {
        for line in KNOWN.lines().filter(|line| !line.starts_with('#')) {
            let words: Vec<_> = line.split(' ').collect();
            assert!(words.len() >= 4, "{line}");
            assert!(
                words[3].split(',').all(|python| python.starts_with("3.")),
                "{line}"
            );
        }
    }
}
