//! A V8 that is not known is tried in a child process: another Node, of the same file, that loads this addon, runs the
//! self-test, and says on its standard output how far it came.
//!
//! A fork would not do: V8 keeps its heap out of forks.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use napi::Env;

use super::host::Said;
use crate::mode::NotTried;
use crate::sys::{pin, questions::Questions, selftest, trial};

/// How long a child process may take. A start of Node takes 0.05 s, and 1 s where many others want the processor.
const LIMIT: Duration = Duration::from_secs(5);

/// What the child's lines begin with. Something else in its output may come from other code that runs at load.
const LINE: &str = "offheap-node: ";
const PASSED: &str = "passed";
const FAILED: &str = "failed: ";

/// How a trial ended.
pub(super) enum Trial {
    Passed,
    /// It failed, and this is how: `ended with signal 11 in …`.
    Failed(String),
    /// There was none.
    None(NotTried),
}

/// Runs the self-test in a child process.
pub(super) fn run() -> Trial {
    match start() {
        Err(why) => Trial::None(why),
        Ok((child, lines)) => watch(child, lines),
    }
}

fn start() -> Result<(Child, UnixStream), NotTried> {
    let program = program()?;
    let not_started = |error: std::io::Error| NotTried::NotStarted { error: error.to_string() };
    let addon = pin::path().ok_or_else(|| NotTried::NoFile { path: "of an unknown name".to_owned() })?;
    // The child has another working directory.
    let addon = addon.canonicalize().map_err(|_| NotTried::NoFile { path: addon.display().to_string() })?;
    // A socket, since a pipe cannot be asked whether there is something to read.
    let (lines, write) = UnixStream::pair().map_err(not_started)?;
    lines.set_nonblocking(true).map_err(not_started)?;
    // If this process has closed its standard input, a new file may get its number. A clone has a number above 2.
    let write = OwnedFd::from(write).try_clone().map_err(not_started)?;
    let null = || File::options().read(true).write(true).open("/dev/null")?.try_clone();
    // The file that this process runs, even if another one has its path by now.
    let mut command = Command::new("/proc/self/exe");
    command
        .arg0(program)
        .args(["-e", "process.dlopen({ exports: {} }, process.argv[1]); process.reallyExit(0)"])
        .arg(addon)
        // This program's directory may be gone, and Node does not start in such a one.
        .current_dir("/")
        .env(trial::TRIAL, std::process::id().to_string())
        .stdin(null().map_err(not_started)?)
        .stdout(write)
        .stderr(null().map_err(not_started)?);
    // `NODE_OPTIONS` may run code, `NODE_CHANNEL_FD` name a file that the child does not have, `NODE_V8_COVERAGE` write.
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"NODE_") && name != "NODE_ICU_DATA" {
            command.env_remove(name);
        }
    }
    let child = command.spawn().map_err(not_started)?;
    Ok((child, lines))
}

/// The path of this program, if it is Node and no application.
fn program() -> Result<PathBuf, NotTried> {
    let path = std::env::current_exe().map_err(|error| NotTried::NotStarted { error: error.to_string() })?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if crate::sys::executable::is_single_executable() {
        return Err(NotTried::Application { what: "this single executable".to_owned() });
    }
    match is_node(&name) {
        true => Ok(path),
        false => Err(NotTried::Application { what: name.into_owned() }),
    }
}

/// Whether a file is called as Node is: `node`, `nodejs`, `node24`, `node-v24.1.0`.
fn is_node(name: &str) -> bool {
    // Linux says so of a file that was replaced while the program runs.
    let name = name.strip_suffix(" (deleted)").unwrap_or(name);
    let version = name.strip_prefix("nodejs").or_else(|| name.strip_prefix("node"));
    let version = version.map(|version| version.strip_prefix('-').unwrap_or(version));
    let version = version.map(|version| version.strip_prefix('v').unwrap_or(version));
    version.is_some_and(|version| version.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'))
}

fn watch(mut child: Child, mut lines: UnixStream) -> Trial {
    // A signal that this process ignores, or other code that waits for all children: then the lines must do.
    let end = wait(&mut child, LIMIT);
    if let End::Running = end {
        let _ = child.kill();
        // A process that waits for a disk cannot be ended. This one does not wait for it.
        wait(&mut child, Duration::from_secs(1));
    }
    let said = read(&mut lines);
    judge(&said, end)
}

enum End {
    Ended(Option<ExitStatus>),
    Running,
}

fn wait(child: &mut Child, limit: Duration) -> End {
    let begin = Instant::now();
    loop {
        match child.try_wait() {
            Ok(None) if begin.elapsed() < limit => std::thread::sleep(Duration::from_millis(1)),
            Ok(None) => return End::Running,
            Ok(Some(status)) => return End::Ended(Some(status)),
            Err(_) => return End::Ended(None),
        }
    }
}

/// What the child has said, as far as it is there.
fn read(lines: &mut UnixStream) -> String {
    let (mut said, mut bytes) = (Vec::new(), [0; 4096]);
    while let Ok(count) = lines.read(&mut bytes) {
        match bytes.get(..count) {
            Some(read) if count > 0 && said.len() < 1 << 20 => said.extend_from_slice(read),
            _ => break,
        }
    }
    String::from_utf8_lossy(&said).into_owned()
}

/// The lines decide. How the process ended says more about a failure.
fn judge(said: &str, end: End) -> Trial {
    let last = said.lines().filter_map(|line| line.strip_prefix(LINE)).next_back();
    let place = match last {
        None => "before the self-test".to_owned(),
        Some(step) => format!("in {step}"),
    };
    let how = match (last, end) {
        (Some(PASSED), _) => return Trial::Passed,
        (Some(line), _) if line.starts_with(FAILED) => line.to_owned(),
        (_, End::Running) => format!("hung {place}, and was ended after {} s", LIMIT.as_secs()),
        (_, End::Ended(Some(status))) => match (status.signal(), status.code()) {
            (Some(signal), _) => format!("ended with signal {signal} {place}"),
            (_, code) => format!("ended with status {} {place}", code.unwrap_or_default()),
        },
        (_, End::Ended(None)) => format!("ended {place}"),
    };
    Trial::Failed(how)
}

/// The child's side.
pub(crate) fn in_the_child(env: &Env) {
    let mut output = std::io::stdout();
    let mut say = |line: &str| {
        // Without its parent, the child has nobody to tell.
        let _ = output.write_all(format!("{LINE}{line}\n").as_bytes()).and_then(|()| output.flush());
    };
    say("Node-API");
    let Ok(questions) = Questions::new(env) else {
        return say("failed: the environment is ending");
    };
    let said = Said::ask(&questions);
    let v8 = match selftest::functions() {
        Ok(v8) => v8,
        Err(error) => return say(&format!("{FAILED}{error}")),
    };
    match selftest::run(&questions, v8, said.v8.as_deref(), &mut say) {
        Ok(_) => say(PASSED),
        Err(selftest::Failure::Found(what)) => say(&format!("{FAILED}{what}")),
        Err(selftest::Failure::Ending) => say("failed: the environment is ending"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_is_known_by_the_name_of_its_file() {
        for name in ["node", "nodejs", "node24", "node-24", "node-v24.1.0", "nodejs20", "node (deleted)"] {
            assert!(is_node(name), "{name}");
        }
        for name in ["", "code", "node-red", "nodemon", "my-node", "Node App", "node.sh", "electron"] {
            assert!(!is_node(name), "{name}");
        }
    }

    #[test]
    fn the_last_line_of_a_child_says_how_its_trial_ended() {
        let ended = |status| End::Ended(Some(ExitStatus::from_raw(status)));
        let how = |said: &str, end| match judge(said, end) {
            Trial::Passed => "passed".to_owned(),
            Trial::Failed(how) => how,
            Trial::None(why) => why.to_string(),
        };
        let begun = "a banner\noffheap-node: Node-API\noffheap-node: BackingStore::Data\n";
        assert_eq!(how(&format!("{begun}offheap-node: passed\n"), End::Ended(None)), "passed");
        assert_eq!(how(&format!("{begun}offheap-node: failed: no view\n"), ended(0)), "failed: no view");
        assert_eq!(how(begun, ended(11)), "ended with signal 11 in BackingStore::Data");
        assert_eq!(how(begun, End::Running), "hung in BackingStore::Data, and was ended after 5 s");
        assert_eq!(how("", ended(9 << 8)), "ended with status 9 before the self-test");
    }
}
