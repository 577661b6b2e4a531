//! Random sequences of steps that run on several engines, and must have equal outcomes.

mod act;
mod allowed;
mod callback;
mod native;
mod reentry;
mod scoped;
mod shrink;
mod step;
mod world;

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use offheap_engine::{Capabilities, Error, Exposure, ScriptValue};
use proptest::strategy::ValueTree;

pub use act::{Act, Kept, Object};
pub use allowed::{ALLOWED, Allowed};
pub use callback::Callback;
pub use native::NativeCall;
pub use reentry::{Reentrant, calls_of_engines};
pub use scoped::{Part, Scoped, Shows};
pub use step::{At, Made, Step};
use world::World;

/// Makes isolates of an engine. The argument is a seed, for engines that have one.
pub type SeededFactory<'a> = dyn Fn(u64) -> Result<Box<dyn Scoped>, Error> + 'a;

/// The outcome of a step.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Outcome {
    /// A slot that the step uses is empty.
    Nothing,
    /// The step succeeded.
    Done,
    /// A store was exposed in this way.
    Exposed(Exposure),
    /// The bytes that script read.
    Byte(Option<u8>),
    /// The value that script returned.
    Answer(ScriptValue),
    /// The bytes that native code copied out.
    Bytes(Vec<u8>),
    /// What native code saw, act by act, and the answer of script.
    Seen(Vec<String>),
    /// The step failed with an error of this name.
    Refused(String),
    /// One line for each slot.
    Everything(Vec<String>),
    /// A panic, which is always wrong, even if all engines panic.
    Panicked(String),
}

/// Engines that had different outcomes, or one that panicked. `Display` prints the shortest sequence with the simplest
/// values that was found to have the difference, as a script, and the command that repeats it.
#[derive(Clone, Debug, thiserror::Error)]
pub struct Difference {
    /// The seed of the sequence.
    pub seed: u64,
    /// The steps up to the difference. The last one is the step whose outcomes differ.
    pub steps: Vec<Step>,
    /// Each engine, with its outcome of the last step.
    pub outcomes: Vec<(&'static str, Outcome)>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "engines differ after these {} steps (OFFHEAP_SEED={} repeats it):", self.steps.len(), self.seed)?;
        for step in &self.steps {
            writeln!(f, "    {step}")?;
        }
        for (engine, outcome) in &self.outcomes {
            match outcome {
                Outcome::Everything(lines) | Outcome::Seen(lines) => {
                    writeln!(f, "  {engine}:\n    {}", lines.join("\n    "))?
                }
                outcome => writeln!(f, "  {engine}: {outcome:?}")?,
            }
        }
        Ok(())
    }
}

/// The amount of work that was compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compared {
    /// Sequences.
    pub sequences: usize,
    /// Steps that did something, including refused ones.
    pub steps: usize,
    /// Steps that were left out because an engine [may differ](ALLOWED) there.
    pub left_out: usize,
}

/// The number of steps in a sequence, without the comparison at its end.
const STEPS: usize = 120;

/// Runs random sequences on all these engines for the time `duration`, and compares the outcome of each step.
///
/// Environment variables override this: with `OFFHEAP_SEED` only the sequence of that seed runs, and
/// `OFFHEAP_RANDOM_SECONDS` replaces `duration`. Sequences use only capabilities that all the engines have.
///
/// # Errors
/// [`Difference`], with the shortest sequence and the simplest values that were found to have the difference.
///
/// # Panics
/// If an environment variable is not a number, an engine does not start, or nothing was compared.
pub fn side_by_side(factories: &[&SeededFactory<'_>], duration: Duration) -> Result<Compared, Box<Difference>> {
    if let Some(seed) = variable("OFFHEAP_SEED") {
        let mut compared = Compared::default();
        compare_seed(factories, seed, &mut compared)?;
        return Ok(compared);
    }
    let end = Instant::now() + variable("OFFHEAP_RANDOM_SECONDS").map_or(duration, Duration::from_secs);
    let mut compared = Compared::default();
    for seed in 1.. {
        compare_seed(factories, seed, &mut compared)?;
        if Instant::now() >= end {
            break;
        }
    }
    assert!(compared.steps > 0, "nothing was compared");
    Ok(compared)
}

/// Runs the sequence of one seed on all engines, and compares the outcomes.
///
/// # Errors
/// [`Difference`], with the shortest sequence and the simplest values that were found to have the difference.
///
/// # Panics
/// If an engine does not start.
pub fn compare_seed(
    factories: &[&SeededFactory<'_>],
    seed: u64,
    compared: &mut Compared,
) -> Result<(), Box<Difference>> {
    let sequence = step::sequence(seed, STEPS, common_capabilities(factories));
    let steps: Vec<_> = sequence.iter().map(|step| step.current()).collect();
    compared.sequences += 1;
    let attempt = |steps: &[Step], compared: &mut Compared| differ(factories, seed, steps, compared);
    match attempt(&steps, compared) {
        None => Ok(()),
        Some(difference) => Err(Box::new(shrink::shrink(difference, sequence, attempt))),
    }
}

/// The number in an environment variable.
pub(crate) fn variable(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name} is `{value}`, and must be a whole number")))
}

/// The capabilities that all the engines have.
fn common_capabilities(factories: &[&SeededFactory<'_>]) -> Capabilities {
    let all = factories.iter().map(|factory| factory(0).expect("an engine starts").capabilities());
    all.reduce(|common, one| common & one).expect("there is an engine to compare")
}

/// Runs a sequence on all engines, step by step, up to the first difference.
fn differ(factories: &[&SeededFactory<'_>], seed: u64, steps: &[Step], compared: &mut Compared) -> Option<Difference> {
    let names: Vec<_> = factories.iter().map(|factory| factory(0).expect("an engine starts").name()).collect();
    let mut worlds: Vec<_> = factories.iter().map(|factory| World::new(*factory, seed)).collect();
    let difference = |index: usize, outcomes: Vec<Outcome>| Difference {
        seed,
        steps: steps[..index].to_vec(),
        outcomes: names.iter().copied().zip(outcomes).collect(),
    };
    for (index, &step) in steps.iter().enumerate() {
        // With one engine there is nothing to compare.
        if names.len() > 1 && worlds.iter_mut().zip(&names).any(|(world, name)| allowed::may_differ(name, step, world))
        {
            compared.left_out += 1;
            continue;
        }
        let outcomes: Vec<_> = worlds.iter_mut().map(|world| caught(|| world.run(step))).collect();
        if outcomes.iter().any(|outcome| *outcome != outcomes[0] || matches!(outcome, Outcome::Panicked(_))) {
            // An isolate that panicked may panic again when it is dropped.
            worlds.into_iter().for_each(|world| drop(catch_unwind(AssertUnwindSafe(|| drop(world)))));
            return Some(difference(index + 1, outcomes));
        }
        compared.steps += usize::from(outcomes[0] != Outcome::Nothing);
    }
    let ends: Vec<_> = worlds
        .into_iter()
        .map(|world| {
            caught(|| {
                drop(world);
                Outcome::Done
            })
        })
        .collect();
    ends.iter().any(|end| *end != Outcome::Done).then(|| difference(steps.len(), ends))
}

fn caught(step: impl FnOnce() -> Outcome) -> Outcome {
    catch_unwind(AssertUnwindSafe(step))
        .unwrap_or_else(|panic| Outcome::Panicked(message_of(panic.as_ref()).to_owned()))
}

pub(crate) fn message_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a value that is no text")
}
