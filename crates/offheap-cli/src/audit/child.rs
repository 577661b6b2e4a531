//! The program under the audit.

use std::env;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{self, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use rustix::fs::MemfdFlags;
use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;

use super::stream::{Stream, through_this_process};
use crate::input::InputError;
use crate::options::Audit;

/// The library, which the build script has compiled.
#[cfg(offheap_audit)]
static LIBRARY: &[u8] = include_bytes!(env!("OFFHEAP_AUDIT_LIBRARY"));

/// The library as a file in memory. No folder has to allow programs in it, and nothing is left of it.
pub(super) fn library() -> Result<File, InputError> {
    #[cfg(not(offheap_audit))]
    return Err(InputError::NoAudit);
    #[cfg(offheap_audit)]
    in_memory(LIBRARY).map_err(InputError::Audit)
}

#[cfg_attr(not(offheap_audit), allow(dead_code, reason = "this build has no library"))]
fn in_memory(bytes: &[u8]) -> io::Result<File> {
    let create = |flags| rustix::fs::memfd_create("offheap-audit", MemfdFlags::CLOEXEC | flags);
    // Older kernels do not know this flag, and newer ones may be told to want it.
    let mut file = File::from(create(MemfdFlags::EXEC).or_else(|_| create(MemfdFlags::empty()))?);
    file.write_all(bytes)?;
    Ok(file)
}

/// The program while it runs.
pub(super) struct Child {
    child: process::Child,
    /// The number of the process, 0 when it has ended.
    running: Arc<AtomicU32>,
}

/// How the program ended.
pub(super) struct Ended {
    pub(super) process: u64,
    /// As a shell has it: 128 and the number of the signal, if one ended the program.
    pub(super) status: i32,
    pub(super) by_signal: bool,
}

impl Child {
    pub(super) fn start(options: &Audit, library: &File, stream: &Stream) -> Result<Self, InputError> {
        let (program, arguments) = options.command.split_first().expect("clap requires one");
        let running = Arc::new(AtomicU32::new(0));
        pass_signals_on(running.clone()).map_err(InputError::Audit)?;
        let mut command = Command::new(program);
        command.args(arguments).env("LD_PRELOAD", preload(library)).env("OFFHEAP_AUDIT", stream.path());
        match options.stacks {
            true => command.env("OFFHEAP_AUDIT_STACKS", "1"),
            false => command.env_remove("OFFHEAP_AUDIT_STACKS"),
        };
        let start = command.spawn();
        let child = start.map_err(|error| InputError::Start { program: program.clone(), error })?;
        running.store(child.id(), Ordering::Release);
        Ok(Child { child, running })
    }

    pub(super) fn wait(mut self) -> io::Result<Ended> {
        let process = self.child.id().into();
        let status = self.child.wait()?;
        self.running.store(0, Ordering::Release);
        let signal = status.signal();
        let status = status.code().unwrap_or_else(|| 128 + signal.unwrap_or(0));
        Ok(Ended { process, status, by_signal: signal.is_some() })
    }
}

/// Our library comes first, then what was to be preloaded anyway.
fn preload(library: &File) -> OsString {
    let mut list = through_this_process(library.as_raw_fd()).into_os_string();
    if let Some(others) = env::var_os("LD_PRELOAD").filter(|others| !others.is_empty()) {
        list.push(":");
        list.push(others);
    }
    list
}

/// A signal that is to end this command ends the program, and then the report is made.
fn pass_signals_on(running: Arc<AtomicU32>) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGQUIT, SIGTERM, SIGHUP])?;
    thread::spawn(move || {
        for signal in signals.forever() {
            // A terminal sends these to the program too.
            if matches!(signal, SIGINT | SIGQUIT) && is_in_front_of_a_terminal() {
                continue;
            }
            let process = i32::try_from(running.load(Ordering::Acquire)).ok().and_then(Pid::from_raw);
            if let (Some(process), Some(signal)) = (process, Signal::from_named_raw(signal)) {
                // If it has ended meanwhile, there is nothing to end.
                let _ = kill_process(process, signal);
            }
        }
    });
    Ok(())
}

fn is_in_front_of_a_terminal() -> bool {
    rustix::termios::tcgetpgrp(io::stdin()).is_ok_and(|front| front == rustix::process::getpgrp())
}
