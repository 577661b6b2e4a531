//! Differences between engines that are allowed.

use offheap_engine::BufferState;
use offheap_engine::offheap::{BackingStore, SharedStore, StoreKind};

use super::step::{At, Step};
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
        applies: |step, _| match step {
            Step::CallBack { callback, .. } => callback.changes_while_sorting(),
            Step::CallNative { call, .. } => call.changes_while_sorting(),
            _ => false,
        },
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
            Step::CallBack { callback, .. } if !callback.slices_by_species() => false,
            Step::CallNative { call, .. } if !call.callback().slices_by_species() => false,
            step => called_back(step, world, |state| state.shared),
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
                world.has_maximum_at(At::Buffer(buffer))
            }
            step => uses_store(step).is_some_and(|used| used.iter().any(|at| world.has_maximum_at(*at))),
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
            step => uses_store(step).is_some_and(|used| {
                let is_empty = |at| world.state_at(at).is_some_and(|state| state.byte_length == 0 && !state.detached);
                used.into_iter().any(is_empty)
            }),
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
        Step::Expose { store, .. } | Step::ExposeTyped { store, .. } => world.store(store).is_some_and(is_meant),
        _ => false,
    }
}

fn called_back(step: Step, world: &mut World<'_>, is_meant: impl Fn(&BufferState) -> bool) -> bool {
    let objects = match step {
        Step::CallBack { first, second, .. } => [At::Buffer(first), At::Buffer(second)],
        Step::CallNative { first, second, .. } => [first, second],
        _ => return false,
    };
    objects.into_iter().any(|at| world.state_at(at).is_some_and(|state| is_meant(&state)))
}

/// The objects whose stores native code may use in a scope.
fn uses_store(step: Step) -> Option<Vec<At>> {
    match step {
        Step::Act { at, act, .. } => act.uses_store().then(|| vec![at]),
        Step::CallNative { first, second, call, .. } => {
            call.has_act(|act| act.uses_store()).then(|| vec![first, second])
        }
        _ => None,
    }
}

/// Whether the engine may differ from the others in this step.
pub(super) fn may_differ(engine: &str, step: Step, world: &mut World<'_>) -> bool {
    ALLOWED.iter().any(|allowed| allowed.engine == engine && (allowed.applies)(step, world))
}
