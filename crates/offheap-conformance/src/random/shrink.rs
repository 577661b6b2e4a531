//! Makes a sequence shorter for as long as engines differ.

use super::{Compared, Difference, Step};

/// The shortest sequence that leaving out steps leads to: chunks at first, then single steps, until nothing can be left
/// out. Each attempt may end in another difference than the one before, which does as well.
pub(super) fn shrink(found: Difference, attempt: impl Fn(&[Step], &mut Compared) -> Option<Difference>) -> Difference {
    let mut shortest = found;
    let mut chunk = shortest.steps.len().div_ceil(2);
    loop {
        let before = shortest.steps.len();
        let mut start = 0;
        while start < shortest.steps.len() {
            let mut fewer = shortest.steps.clone();
            fewer.drain(start..(start + chunk).min(fewer.len()));
            match attempt(&fewer, &mut Compared::default()) {
                Some(difference) => shortest = difference,
                None => start += chunk,
            }
        }
        match chunk {
            1 if shortest.steps.len() == before => return shortest,
            1 => {}
            _ => chunk = chunk.div_ceil(2),
        }
    }
}
