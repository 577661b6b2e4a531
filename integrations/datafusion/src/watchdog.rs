//! A thread that ends script that runs for too long. The process has one. It sleeps until the next deadline.

use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use offheap_v8::v8::IsolateHandle;

/// Script that runs.
struct Running {
    id: u64,
    deadline: Instant,
    isolate: IsolateHandle,
}

struct State {
    running: Vec<Running>,
    next_id: u64,
    /// When the thread looks again. `None` if it waits for script to begin.
    wakes_at: Option<Instant>,
}

static STATE: Mutex<State> = Mutex::new(State { running: Vec::new(), next_id: 0, wakes_at: None });
static EARLIER: Condvar = Condvar::new();

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Script that the watchdog ends at its deadline, unless this value is dropped before.
pub(crate) struct Watch {
    id: u64,
}

impl Watch {
    /// Watches the script of an isolate from now on.
    ///
    /// # Errors
    /// If the system has no thread for the watchdog.
    pub(crate) fn begin(isolate: &IsolateHandle, deadline: Instant) -> std::io::Result<Watch> {
        start()?;
        let mut state = state();
        let id = state.next_id;
        state.next_id += 1;
        state.running.push(Running { id, deadline, isolate: isolate.clone() });
        if state.wakes_at.is_none_or(|at| deadline < at) {
            EARLIER.notify_one();
        }
        Ok(Watch { id })
    }

    /// Ends the watch. Returns whether the script was ended. Nothing ends script of this watch afterwards.
    pub(crate) fn end(self) -> bool {
        !self.forget()
    }

    /// Returns whether the script was still watched.
    fn forget(&self) -> bool {
        let mut state = state();
        let at = state.running.iter().position(|running| running.id == self.id);
        at.map(|at| state.running.swap_remove(at)).is_some()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.forget();
    }
}

fn start() -> std::io::Result<()> {
    static STARTED: OnceLock<()> = OnceLock::new();
    static STARTING: Mutex<()> = Mutex::new(());
    if STARTED.get().is_some() {
        return Ok(());
    }
    let _one = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    if STARTED.get().is_none() {
        std::thread::Builder::new().name("offheap-watchdog".into()).spawn(watch)?;
        STARTED.get_or_init(|| ());
    }
    Ok(())
}

fn watch() {
    let mut state = state();
    loop {
        let now = Instant::now();
        state.running.retain(|running| {
            let lives = now < running.deadline;
            if !lives {
                // Under the lock, so that nothing is ended that has just ended by itself.
                running.isolate.terminate_execution();
            }
            lives
        });
        state.wakes_at = state.running.iter().map(|running| running.deadline).min();
        state = match state.wakes_at {
            Some(at) => EARLIER.wait_timeout(state, at - now).unwrap_or_else(PoisonError::into_inner).0,
            None => EARLIER.wait(state).unwrap_or_else(PoisonError::into_inner),
        };
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use offheap_v8::{Isolate, IsolateExt};

    use super::*;

    #[test]
    fn ends_what_is_too_long_and_nothing_else() {
        let mut isolate = Isolate::new().unwrap();
        let handle = isolate.thread_safe_handle();
        for _ in 0..3 {
            let long = Watch::begin(&handle, Instant::now() + Duration::from_secs(3600)).unwrap();
            assert_eq!(isolate.enter(|scope| scope.eval::<u32>("6 * 7")).unwrap(), 42);
            // The watchdog sleeps for an hour. An earlier deadline wakes it.
            let short = Watch::begin(&handle, Instant::now() + Duration::from_millis(20)).unwrap();
            isolate.enter(|scope| scope.eval::<u32>("for (;;);")).unwrap_err();
            assert!(short.end(), "the short one was ended");
            assert!(!long.end(), "the long one was not");
        }
    }

    #[test]
    fn a_watch_that_ended_ends_no_script() {
        let mut isolate = Isolate::new().unwrap();
        for _ in 0..40 {
            let watch =
                Watch::begin(&isolate.thread_safe_handle(), Instant::now() + Duration::from_micros(200)).unwrap();
            std::thread::sleep(Duration::from_micros(fastrand::u64(50..350)));
            if watch.end() {
                // The termination waits for script, so such an isolate is not used again.
                isolate = Isolate::new().unwrap();
            } else {
                let script = "(() => { let n = 0; while (n < 1e5) n++; return n })()";
                assert_eq!(isolate.enter(|scope| scope.eval::<u32>(script)).unwrap(), 100_000);
            }
        }
    }
}
