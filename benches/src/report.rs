//! The command line, the table and the file of a benchmark program.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Row, goals, table, to_json};

/// Measures the row of this name.
pub type Measure = fn(&'static str) -> Row;

/// Measures the rows whose names contain the program's first argument, or all rows, and prints them. Then calls `then`,
/// and writes `file` into cargo's target directory.
///
/// # Errors
/// The errors of `then`, and an error if the file cannot be written.
pub fn run(
    file: &str,
    all: &[(&'static str, Measure)],
    then: impl FnOnce() -> Result<(), Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    println!("CPU: {}\n", cpu_flags());
    let only = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let wanted = all.iter().filter(|(name, _)| only.as_ref().is_none_or(|only| name.contains(only)));
    let rows: Vec<Row> = wanted.map(|(name, measure)| measure(name)).collect();
    println!("{}\n{}", table(&rows), goals(&rows));
    if only.is_some() {
        return Ok(());
    }
    then()?;
    let report = target_directory(&profile_directory()?).join(file);
    std::fs::write(&report, format!("{:#}\n", to_json(&rows)))?;
    println!("written: {}", report.display());
    Ok(())
}

/// The directory in which cargo put the programs of this profile: `target/release`.
///
/// # Errors
/// If this program is not in a target directory of cargo.
pub fn profile_directory() -> Result<PathBuf, Box<dyn Error>> {
    let executable = std::env::current_exe()?;
    Ok(executable.ancestors().nth(2).ok_or("an executable of cargo is in <profile>/deps")?.to_owned())
}

/// The speed of copies depends on this: with fast short `rep movsb`, starting one is cheap.
fn cpu_flags() -> String {
    let Ok(cpu) = std::fs::read_to_string("/proc/cpuinfo") else { return "unknown (no /proc/cpuinfo)".to_owned() };
    let field = |name: &str| {
        let line = cpu.lines().find(|line| line.split(':').next().is_some_and(|key| key.trim() == name))?;
        Some(line.split_once(':')?.1.trim())
    };
    let flags: Vec<_> = field("flags").unwrap_or_default().split(' ').collect();
    let has = |flag: &str| if flags.contains(&flag) { "yes" } else { "no" };
    format!("{}, erms: {}, fsrm: {}", field("model name").unwrap_or("unknown"), has("erms"), has("fsrm"))
}

/// Cargo's target directory: as cargo reports it, or two levels above the executable if that is elsewhere
/// (`--target-dir`).
fn target_directory(profile_directory: &Path) -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let metadata = Command::new(cargo)
        .args(["metadata", "--no-deps", "--offline", "--format-version=1"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output();
    let told = metadata.ok().and_then(|output| serde_json::from_slice::<serde_json::Value>(&output.stdout).ok());
    match told.as_ref().and_then(|metadata| metadata["target_directory"].as_str()) {
        Some(told) if profile_directory.starts_with(told) => PathBuf::from(told),
        _ => profile_directory.parent().unwrap_or(profile_directory).to_owned(),
    }
}
