//! Differences between engines that are allowed.

use offheap_engine::BufferState;
use offheap_engine::offheap::{BackingStore, SharedStore, StoreKind};

use super::step::Step;
use super::world::World;

/// A difference that is not a fault. If such an engine takes part, sequences leave the step out.
#[derive(Clone, Copy)]
pub struct Allowed {
    /// The engine that differs from the others.
    pub engine: &'static str,
    /// The reason for the difference.
    pub reason: &'static str,
    applies: fn(Step, &mut World<'_>) -> bool,
}

/// All allowed differences.
pub const ALLOWED: &[Allowed] = &[
    Allowed {
        engine: "QuickJS",
        reason: "it uses a maximum of 0 for buffers without a maximum, so the smallest possible maximum is one byte",
        applies: |step, world| match step {
            Step::Allocate { max_byte_length: Some(0), .. } => true,
            step => exposed(step, world, |store| {
                !matches!(store.kind(), StoreKind::FIXED | StoreKind::FROZEN) && store.max_byte_length() == 0
            }),
        },
    },
    Allowed {
        engine: "QuickJS",
        reason: "it sorts in place, so the sort sees changes that script makes during the sort",
        applies: |step, _| matches!(step, Step::CallBack { callback, .. } if callback.changes_while_sorting()),
    },
    Allowed {
        engine: "QuickJS",
        reason: "it ignores some writes to an immutable buffer, for which ECMAScript requires a TypeError",
        applies: |step, world| called_back(step, world, |state| state.immutable),
    },
    Allowed {
        engine: "QuickJS",
        reason: "it accepts a slice of shared memory into another buffer over that memory; ECMAScript requires a TypeError",
        applies: |step, world| match step {
            Step::CallBack { callback, .. } if callback.slices_by_species() => {
                called_back(step, world, |state| state.shared)
            }
            _ => false,
        },
    },
    Allowed {
        engine: "V8",
        reason: "all empty shared buffers are over one memory, so it refuses a slice of one into another",
        applies: |step, world| called_back(step, world, |state| state.shared && state.byte_length == 0),
    },
    Allowed {
        engine: "V8",
        reason: "it resizes only its own memory, so a store of Rust is copied, or has a fixed length if it is shared",
        applies: |step, world| {
            exposed(step, world, |store| match SharedStore::try_from(store.clone()) {
                Ok(shared) => shared.is_growable(),
                Err(_) => store.max_byte_length() != store.byte_length() || store.kind().is_resizable_by_rust(),
            })
        },
    },
    Allowed {
        engine: "V8",
        reason: "its own memory with a maximum returns pages, so only its isolate may read and resize it",
        applies: |step, world| match step {
            Step::Externalize { buffer, .. } | Step::Lend { buffer, .. } | Step::Take { buffer, .. } => {
                world.has_maximum(buffer)
            }
            _ => false,
        },
    },
    Allowed {
        engine: "V8",
        reason: "buffers that script makes are stores from the beginning or never; others make the store on request",
        applies: |step, _| step == Step::CompareExternalBytes,
    },
    Allowed {
        engine: "V8",
        reason: "only the engine grows its own shared memory, and native code gets an error",
        applies: |step, world| match step {
            Step::ResizeStore { store, .. } => world.store(store).is_some_and(|store| store.kind().is_shared()),
            _ => false,
        },
    },
    Allowed {
        engine: "V8",
        reason: "it has no memory for an empty buffer, and does not use the store that such a buffer is given",
        applies: |step, world| match step {
            Step::Externalize { buffer, .. } | Step::Lend { buffer, .. } | Step::Take { buffer, .. } => {
                world.state_of(buffer).is_some_and(|state| state.byte_length == 0)
            }
            _ => false,
        },
    },
    Allowed {
        engine: "V8",
        reason: "it has no immutable buffers without bytes: script may detach one, and the adapter refuses it",
        applies: |step, world| called_back(step, world, |state| state.immutable && state.byte_length == 0),
    },
];

fn exposed(step: Step, world: &World<'_>, is_meant: impl Fn(&BackingStore) -> bool) -> bool {
    match step {
        Step::Expose { store, .. } => world.store(store).is_some_and(is_meant),
        _ => false,
    }
}

fn called_back(step: Step, world: &mut World<'_>, is_meant: impl Fn(&BufferState) -> bool) -> bool {
    match step {
        Step::CallBack { first, second, .. } => {
            [first, second].into_iter().any(|slot| world.state_of(slot).is_some_and(|state| is_meant(&state)))
        }
        _ => false,
    }
}

/// Whether the engine may differ from the others in this step.
pub(super) fn may_differ(engine: &str, step: Step, world: &mut World<'_>) -> bool {
    ALLOWED.iter().any(|allowed| allowed.engine == engine && (allowed.applies)(step, world))
}
