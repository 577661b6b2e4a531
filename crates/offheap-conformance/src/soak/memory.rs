//! How much memory the process has.

use std::process::Command;

use crate::Failure;

/// The resident bytes of this process.
pub(super) fn resident_bytes() -> Result<usize, Failure> {
    if let Ok(status) = std::fs::read_to_string("/proc/self/status") {
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        return kibibytes(line.unwrap_or_default().trim_end_matches("kB"));
    }
    let ps = Command::new("ps").args(["-o", "rss=", "-p", &std::process::id().to_string()]).output()?;
    kibibytes(&String::from_utf8_lossy(&ps.stdout))
}

fn kibibytes(text: &str) -> Result<usize, Failure> {
    let kibibytes: usize = text.trim().parse()?;
    Ok(kibibytes * 1024)
}
