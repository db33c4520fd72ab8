//! Running a program to its end, or to its time limit, with what it prints kept.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::error::{Context, Result};

pub(crate) struct Finished {
    pub(crate) succeeded: bool,
    /// How it ended, as a clause: "exited with status 1", "was stopped after 600 s".
    pub(crate) ending: String,
    pub(crate) seconds: f64,
    /// Standard output and standard error, as they came.
    pub(crate) output: String,
}

/// Runs a program with its output going to `log`; after `limit` it is stopped with all below it.
pub(crate) fn run(command: &mut Command, log: &Path, limit: Duration) -> Result<Finished> {
    let program = command.get_program().to_string_lossy().into_owned();
    fs::create_dir_all(log.parent().unwrap_or(log)).context(|| format!("making {log:?}"))?;
    let file = File::create(log).context(|| format!("writing {log:?}"))?;
    let second = file.try_clone().context(|| format!("writing {log:?}"))?;
    let started = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(file)
        .stderr(second)
        .spawn()
        .context(|| format!("starting {program}"))?;
    let (succeeded, ending) =
        wait(&mut child, limit).context(|| format!("waiting for {program}"))?;
    let output = fs::read(log).context(|| format!("reading {log:?}"))?;
    Ok(Finished {
        succeeded,
        ending,
        seconds: started.elapsed().as_secs_f64(),
        output: String::from_utf8_lossy(&output).into_owned(),
    })
}

fn wait(child: &mut Child, limit: Duration) -> std::io::Result<(bool, String)> {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok((status.success(), format!("ended with {status}")));
        }
        if started.elapsed() >= limit {
            kill_tree(child);
            child.wait()?;
            return Ok((false, format!("was stopped after {} s", limit.as_secs())));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Kills a process and, where `/proc` tells which they are, all that it started.
fn kill_tree(child: &mut Child) {
    let mut doomed = vec![child.id()];
    let mut next = 0;
    let parents = parents();
    while let Some(&parent) = doomed.get(next) {
        doomed.extend(
            parents
                .iter()
                .filter(|(_, of)| *of == parent)
                .map(|(pid, _)| pid),
        );
        next += 1;
    }
    let _ = child.kill();
    let _ = Command::new("kill")
        .arg("-KILL")
        .args(doomed[1..].iter().map(u32::to_string))
        .stderr(Stdio::null())
        .status();
}

/// Returns (process, its parent) for all processes.
fn parents() -> Vec<(u32, u32)> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?;
            Some((pid, parent.parse().ok()?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::run;
    use std::process::Command;
    use std::time::Duration;

    #[test]
    fn a_program_over_its_limit_is_stopped_with_its_children() {
        let log = std::env::temp_dir().join(format!("covet-xtask-{}", std::process::id()));
        let mut command = Command::new("sh");
        command.args(["-c", "echo begun; sleep 60 & sleep 60; echo done"]);

        let finished = run(&mut command, &log, Duration::from_millis(300)).unwrap();

        assert!(!finished.succeeded);
        assert_eq!(finished.output, "begun\n");
        assert!(finished.seconds < 10.0);
        std::fs::remove_file(log).unwrap();
    }
}
