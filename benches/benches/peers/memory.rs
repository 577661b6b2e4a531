//! The resident memory of `offheap run` with a file that is larger than the memory it may use.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const FILE_BYTES: u64 = 5 << 30;
/// The limit on resident anonymous memory. The pages of the file are not anonymous.
const LIMIT_KIB: u64 = 32 << 10;
/// The file has one row at each end, and between them one row of zeros that is never written.
const FIRST: &str = "the first row\n";
const LAST: &str = "\nthe last row\n";
const LAST_ROW: &str = "2";
const GIVEN_UP_AFTER: Duration = Duration::from_secs(300);

/// One line about the run of `examples/lines.js`, or about the reason why it did not run.
pub(crate) fn of_lines_on_a_large_file(profile_directory: &Path) -> String {
    let what = "anonymous memory of lines.js on a sparse file of 5 GiB";
    let offheap = profile_directory.join("offheap");
    if !offheap.is_file() {
        return format!("{what}: NOT MEASURED: {} is not there; run `cargo build --release` first", offheap.display());
    }
    let file = profile_directory.join("peers-5-gib.log");
    let measured = write_sparse(&file).and_then(|()| peak_of_run(&offheap, &file));
    let removed = std::fs::remove_file(&file);
    match measured.and_then(|peak| removed.map(|()| peak)) {
        Ok((peak_kib, taken)) => {
            let verdict = if peak_kib <= LIMIT_KIB { "reached" } else { "MISSED" };
            let (peak, limit) = (peak_kib as f64 / 1024.0, LIMIT_KIB / 1024);
            format!("{what}: {peak:.1} MiB, to reach {limit} MiB: {verdict} ({:.1} s)", taken.as_secs_f64())
        }
        Err(problem) => format!("{what}: NOT MEASURED: {problem}"),
    }
}

fn write_sparse(path: &Path) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(FIRST.as_bytes())?;
    file.seek(SeekFrom::Start(FILE_BYTES - LAST.len() as u64))?;
    file.write_all(LAST.as_bytes())
}

/// The largest resident anonymous memory in KiB, and the duration of the run.
fn peak_of_run(offheap: &Path, file: &Path) -> io::Result<(u64, Duration)> {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../examples/lines.js");
    let mut map = std::ffi::OsString::from("log=");
    map.push(file);
    let begin = Instant::now();
    let mut child = Command::new(offheap)
        .args(["run", "--map"])
        .arg(map)
        .arg(script)
        .arg(LAST_ROW)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut peak_kib = 0;
    while child.try_wait()?.is_none() {
        peak_kib = peak_kib.max(anonymous_kib(&child).unwrap_or(0));
        if begin.elapsed() > GIVEN_UP_AFTER {
            child.kill()?;
            child.wait()?;
            return Err(io::Error::other(format!("no end after {GIVEN_UP_AFTER:?}, with {peak_kib} KiB")));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    let taken = begin.elapsed();
    let output = child.wait_with_output()?;
    let (told, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if !output.status.success() || told.trim() != LAST.trim() {
        return Err(io::Error::other(format!("{}, printed {told:?} and {complained:?}", output.status)));
    }
    match peak_kib {
        0 => Err(io::Error::other("no sample of RssAnon in /proc/<pid>/status")),
        _ => Ok((peak_kib, taken)),
    }
}

/// `None` before the child has memory, after it has released it, and on systems without `/proc`.
fn anonymous_kib(child: &Child) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}
