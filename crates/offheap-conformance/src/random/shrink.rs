//! Shrinks a sequence: fewer steps and simpler values, while engines still differ.

use proptest::strategy::ValueTree;

use super::step::StepTree;
use super::{Compared, Difference, Step};

/// Leaves out steps, then makes values simpler, and returns the simplest sequence found. An attempt may end in a
/// different difference than before, which is also accepted.
pub(super) fn shrink(
    found: Difference,
    steps: Vec<StepTree>,
    attempt: impl Fn(&[Step], &mut Compared) -> Option<Difference>,
) -> Difference {
    let mut simplest = Simplest { steps, difference: found, attempt };
    simplest.forget_steps_after_it();
    simplest.leave_out_steps();
    simplest.simplify_values();
    // Simpler values may have made more steps unnecessary.
    simplest.leave_out_steps();
    simplest.difference
}

struct Simplest<A> {
    difference: Difference,
    /// The number of steps up to the difference.
    steps: Vec<StepTree>,
    attempt: A,
}

impl<A: Fn(&[Step], &mut Compared) -> Option<Difference>> Simplest<A> {
    /// Runs these steps. If engines differ, keeps the difference and returns true.
    fn try_steps(&mut self, steps: &[Step]) -> bool {
        match (self.attempt)(steps, &mut Compared::default()) {
            Some(difference) => {
                self.difference = difference;
                true
            }
            None => false,
        }
    }

    fn forget_steps_after_it(&mut self) {
        self.steps.truncate(self.difference.steps.len());
    }

    /// Leaves out large chunks first, then single steps, until no step can be left out.
    fn leave_out_steps(&mut self) {
        let mut chunk = self.steps.len().div_ceil(2);
        loop {
            let before = self.steps.len();
            let mut start = 0;
            while start < self.steps.len() {
                let left_out = start..(start + chunk).min(self.steps.len());
                let mut fewer = self.difference.steps.clone();
                fewer.drain(left_out.clone());
                match self.try_steps(&fewer) {
                    true => {
                        self.steps.drain(left_out);
                        self.forget_steps_after_it();
                    }
                    false => start += chunk,
                }
            }
            match chunk {
                0 => return,
                1 if self.steps.len() == before => return,
                1 => {}
                _ => chunk = chunk.div_ceil(2),
            }
        }
    }

    /// Makes the values of each step simpler in turn: smaller slots and lengths, no keys.
    fn simplify_values(&mut self) {
        let mut index = 0;
        while index < self.steps.len() {
            let mut is_another = self.steps[index].simplify();
            while is_another && index < self.steps.len() {
                let mut steps = self.difference.steps.clone();
                steps[index] = self.steps[index].current();
                is_another = match self.try_steps(&steps) {
                    true => {
                        self.forget_steps_after_it();
                        self.steps.get_mut(index).is_some_and(|step| step.simplify())
                    }
                    false => self.steps[index].complicate(),
                };
            }
            index += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use offheap_engine::Capabilities;

    use super::super::{Outcome, step};
    use super::*;

    /// The engines "differ" if there is a buffer of at least 10 bytes, followed by a byte greater than 3.
    fn differ(steps: &[Step], _: &mut Compared) -> Option<Difference> {
        let is_long = |step: &Step| matches!(step, Step::Allocate { byte_length: 10.., .. });
        let is_large = |step: &Step| matches!(step, Step::Write { value: 4.., .. });
        let long = steps.iter().position(is_long)?;
        let large = long + steps[long..].iter().position(is_large)?;
        Some(Difference { seed: 0, steps: steps[..=large].to_vec(), outcomes: vec![("Model", Outcome::Done)] })
    }

    #[test]
    fn the_fewest_steps_with_the_least_values_are_left() {
        let mut found = 0;
        for seed in 1..40 {
            let trees = step::sequence(seed, 120, Capabilities::all());
            let steps: Vec<_> = trees.iter().map(|tree| tree.current()).collect();
            let Some(difference) = differ(&steps, &mut Compared::default()) else { continue };
            found += 1;
            let shrunk = shrink(difference, trees, differ);
            let expected = [
                Step::Allocate { isolate: 0, buffer: 0, byte_length: 10, max_byte_length: None, shared: false },
                Step::Write { buffer: 0, index: 0, value: 4 },
            ];
            assert_eq!(shrunk.steps, expected, "seed {seed}");
        }
        assert!(found > 20, "only {found} sequences have such steps");
    }

    #[test]
    fn a_seed_repeats_its_sequence_and_another_gives_another() {
        let sequence = |seed| {
            let trees = step::sequence(seed, 32, Capabilities::all());
            trees.iter().map(|tree| tree.current()).collect::<Vec<_>>()
        };
        assert_eq!(sequence(1), sequence(1));
        assert_ne!(sequence(1), sequence(2));
    }
}
