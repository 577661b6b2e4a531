//! Where engines may differ.

use offheap_engine::offheap::{BackingStore, StoreKind};

use super::step::Step;
use super::world::World;

/// A difference that is no fault. Sequences leave the step out where such an engine takes part.
#[derive(Clone, Copy)]
pub struct Allowed {
    /// The engine that differs from the others.
    pub engine: &'static str,
    /// Why it may.
    pub reason: &'static str,
    applies: fn(Step, &World<'_>) -> bool,
}

/// All of them.
pub const ALLOWED: &[Allowed] = &[
    Allowed {
        engine: "QuickJS",
        reason: "it reads elements through aligned pointers, so that it refuses memory that begins at no multiple of 8",
        applies: |step, world| exposed(step, world, |store| !store.as_ptr().addr().is_multiple_of(8)),
    },
    Allowed {
        engine: "QuickJS",
        reason: "a maximum of 0 is how it says that there is none, so that the least it has room for is one byte",
        applies: |step, world| match step {
            Step::Allocate { max_byte_length: Some(0), .. } => true,
            step => exposed(step, world, |store| {
                !matches!(store.kind(), StoreKind::Fixed | StoreKind::Frozen) && store.max_byte_length() == 0
            }),
        },
    },
];

fn exposed(step: Step, world: &World<'_>, is_meant: impl Fn(&BackingStore) -> bool) -> bool {
    match step {
        Step::Expose { store, .. } => world.store(store).is_some_and(is_meant),
        _ => false,
    }
}

/// Whether an engine among those may differ from the others in this step.
pub(super) fn may_differ(engine: &str, step: Step, world: &World<'_>) -> bool {
    ALLOWED.iter().any(|allowed| allowed.engine == engine && (allowed.applies)(step, world))
}
