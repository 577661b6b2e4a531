//! Sampling by bytes: on average one sample each so many bytes.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

use offheap::observe;

/// Takes samples at random points of the bytes that are allocated, `mean` bytes apart on average.
///
/// The points are those of a Poisson process: each byte is as likely as any other to be one, whatever came before. So a
/// store of `n` bytes is told with the probability `1 - exp(-n / mean)`, and stands for the inverse of that many stores.
/// Sums of these weights have the right mean.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sampling {
    mean: f64,
}

thread_local! {
    /// Whether this thread has drawn its first point.
    static BEGUN: Cell<bool> = const { Cell::new(false) };
    static RANDOM: Cell<u64> = const { Cell::new(0) };
}

/// A store is short if it is less than this part of the mean. The series' fourth term is below 10^-8 of the weight then.
const SHORT: f64 = 1.0 / 32.0;

impl Sampling {
    /// Samples that are `mean` bytes apart on average; at least 1.
    pub(crate) fn new(mean: u64) -> Self {
        Sampling { mean: mean.max(1) as f64 }
    }

    pub(crate) fn mean(self) -> u64 {
        self.mean as u64
    }

    /// Whether a store of this length is a sample. The core asks for each store at which this thread's next point is reached,
    /// and for the first one.
    pub(crate) fn wants(self, byte_length: usize) -> bool {
        let (is_sample, distance) = self.next(byte_length, !BEGUN.replace(true));
        observe::decline_bytes(distance);
        is_sample
    }

    /// Whether a store is a sample, and the distance from its end to the next point.
    fn next(self, byte_length: usize, is_first: bool) -> (bool, u64) {
        if is_first {
            let (point, length) = (self.next_point(), byte_length.max(1) as u64);
            if point > length {
                return (false, point - length);
            }
        }
        // The process has no memory: the distance to the next point does not depend on where this store ended.
        (true, self.next_point())
    }

    /// How many stores a sampled store of this length stands for.
    pub(crate) fn weight(self, byte_length: usize) -> f64 {
        let x = counted(byte_length) / self.mean;
        // Where stores are short, the first three terms of the series are as exact as a `Weight`, and quicker.
        if x < SHORT { 1.0 / x + 0.5 + x / 12.0 } else { -1.0 / (-x).exp_m1() }
    }

    /// The distance to the next point, in whole bytes: the byte in which the point lies is the last one. At least 1.
    fn next_point(self) -> u64 {
        // In (0, 1], so that the logarithm is finite.
        let uniform = ((next_random() >> 11) + 1) as f64 * 2.0_f64.powi(-53);
        ((-uniform.ln() * self.mean) as u64).saturating_add(1)
    }
}

/// A store without bytes is counted as one byte, as by the core, or it would never be seen, however long it gets.
fn counted(byte_length: usize) -> f64 {
    byte_length.max(1) as f64
}

/// A number of SplitMix64.
fn next_random() -> u64 {
    let mut state = RANDOM.get();
    if state == 0 {
        state = new_seed();
    }
    state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    RANDOM.set(state);
    let mut mixed = state;
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

/// A seed that differs between threads and between runs.
fn new_seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    static THREADS: AtomicU64 = AtomicU64::new(1);
    RandomState::new().hash_one(THREADS.fetch_add(1, Ordering::Relaxed)) | 1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A thread, as the core has it.
    struct Thread {
        sampling: Sampling,
        to_decline: Option<u64>,
    }

    impl Thread {
        fn new(sampling: Sampling, seed: u64) -> Self {
            RANDOM.set(seed);
            Thread { sampling, to_decline: None }
        }

        fn wants(&mut self, byte_length: usize) -> bool {
            let length = byte_length.max(1) as u64;
            if let Some(left) = self.to_decline.and_then(|left| left.checked_sub(length)).filter(|&left| left > 0) {
                self.to_decline = Some(left);
                return false;
            }
            let (is_sample, distance) = self.sampling.next(byte_length, self.to_decline.is_none());
            self.to_decline = Some(distance);
            is_sample
        }
    }

    #[test]
    fn estimates_of_a_thousand_runs_have_the_right_mean() {
        let sampling = Sampling::new(4096);
        let lengths = [0, 1, 64, 1000, 4096, 20_000, 1 << 20];
        let stores = 40;
        let bytes: usize = lengths.iter().sum::<usize>() * stores;
        let (mut estimated_stores, mut estimated_bytes) = (0.0, 0.0);
        // The lengths are taken apart, since the rare samples of short stores have large weights.
        let long = |length: usize| length >= 1000;
        for run in 1..=1000 {
            let mut thread = Thread::new(sampling, run * 0x1234_5677);
            for _ in 0..stores {
                for length in lengths {
                    if thread.wants(length) {
                        estimated_bytes += sampling.weight(length) * length as f64;
                        estimated_stores += if long(length) { sampling.weight(length) } else { 0.0 };
                    }
                }
            }
        }
        let ratio = estimated_bytes / 1000.0 / bytes as f64;
        assert!((ratio - 1.0).abs() < 0.01, "bytes: {ratio}");
        let exact = lengths.into_iter().filter(|&length| long(length)).count() * stores;
        let ratio = estimated_stores / 1000.0 / exact as f64;
        assert!((ratio - 1.0).abs() < 0.01, "stores: {ratio}");
    }

    #[test]
    fn the_weight_of_a_short_store_is_exact() {
        let sampling = Sampling::new(1 << 20);
        for byte_length in (0..15).flat_map(|power| [1 << power, (3 << power) - 1]).chain([32_767, 32_768]) {
            let exact = -1.0 / (-(byte_length as f64) / f64::from(1 << 20)).exp_m1();
            let ratio = sampling.weight(byte_length) / exact;
            assert!((ratio - 1.0).abs() < 1e-8, "{byte_length}: {ratio}");
        }
    }

    #[test]
    fn a_store_that_is_longer_than_the_mean_is_nearly_always_told() {
        let sampling = Sampling::new(1000);
        assert!((sampling.weight(1_000_000) - 1.0).abs() < 1e-9);
        assert!((sampling.weight(1) - 1000.0).abs() < 1.0);
        let mut thread = Thread::new(sampling, 1);
        assert!((0..100).all(|_| thread.wants(50_000)));
    }
}
