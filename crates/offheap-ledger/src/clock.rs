//! The time of what happens, since the ledger began.

use std::time::{Duration, Instant};

/// Tells how long a ledger has recorded.
pub(crate) struct Clock {
    began: Instant,
    /// When it began, by the coarse clock, if that one tells the times of events.
    began_coarse: Option<u64>,
}

impl Clock {
    /// With `is_coarse`, the times of events may be some milliseconds old where the system has a clock like that, and each costs a
    /// tenth. How long something takes is right on average.
    pub(crate) fn new(is_coarse: bool) -> Self {
        Clock { began: Instant::now(), began_coarse: if is_coarse { coarse() } else { None } }
    }

    /// How long it has recorded.
    pub(crate) fn age(&self) -> Duration {
        self.began.elapsed()
    }

    /// The time of an event, in nanoseconds.
    #[inline]
    pub(crate) fn now(&self) -> u64 {
        match self.began_coarse {
            Some(began) => coarse().map_or(0, |now| now.saturating_sub(began)),
            None => self.age().as_nanos() as u64,
        }
    }
}

/// The time that the kernel noted at its last tick, in nanoseconds. It reads no counter of the processor.
#[cfg(target_os = "linux")]
#[inline]
fn coarse() -> Option<u64> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::MonotonicCoarse);
    Some(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
}

#[cfg(not(target_os = "linux"))]
#[inline]
fn coarse() -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coarse_times_are_a_few_milliseconds_old_at_most_and_go_on() {
        let clock = Clock::new(true);
        let begin = clock.now();
        // A thread may wait between the two looks.
        let late = |_| {
            std::thread::sleep(Duration::from_millis(1));
            clock.age().as_nanos() as i64 - clock.now() as i64
        };
        let late = (0..100).map(late).min_by_key(|late| late.abs()).expect("a hundred");
        assert!(late.abs() < 20_000_000, "{late} ns");
        assert!(clock.now() > begin);
    }
}
