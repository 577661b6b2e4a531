//! The steps of sequences, and the strategy that generates them.

use std::ops::Range;

use fastrand::Rng;
use offheap_engine::Capabilities;
use proptest::sample::select;
use proptest::strategy::{BoxedStrategy, Just, Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use proptest::{arbitrary::any, bool};

use super::act::Act;
use super::callback::Callback;
use super::native::NativeCall;
use super::scoped::{Part, Shows};

mod text;

/// The number of slots for each sort of object.
pub(super) const ISOLATES: usize = 2;
pub(super) const SLOTS: usize = 5;

/// Memory that native code makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    /// Fixed length.
    Fixed,
    /// Resizable.
    Resizable,
    /// Shared, fixed length.
    Shared,
    /// Shared and growable.
    Growable,
    /// Read-only.
    Frozen,
    /// Freed by hand.
    Manual,
    /// Fixed length, with an owner that calls engines when it is dropped.
    Calling,
}

/// The slot of a buffer or of a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// A buffer.
    Buffer(usize),
    /// A view.
    View(usize),
}

/// One step. Numbers name slots of isolates, buffers, views and stores. If a slot that a step uses is empty, the step does
/// nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are what `Display` says they are")]
#[non_exhaustive]
pub enum Step {
    /// Native code makes a store. Its bytes are 1, 2, 3, and so on, unless the memory begins zeroed.
    Make { store: usize, made: Made, byte_length: usize, max_byte_length: usize },
    /// An engine makes a buffer.
    Allocate { isolate: usize, buffer: usize, byte_length: usize, max_byte_length: Option<usize>, shared: bool },
    /// A store is exposed.
    Expose { isolate: usize, store: usize, buffer: usize },
    /// A buffer's store is taken.
    Externalize { buffer: usize, store: usize },
    /// Native code makes a handle to a part of a store.
    Slice { from: usize, store: usize, start: usize, end: usize },
    /// Native code makes another handle to a buffer.
    CloneBuffer { from: usize, buffer: usize },
    /// A buffer becomes a global variable.
    SetGlobal { buffer: usize, name: usize },
    /// Script writes a byte.
    Write { buffer: usize, index: usize, value: u8 },
    /// Script reads a byte.
    Read { buffer: usize, index: usize },
    /// Native code borrows all the bytes. It tries to take the store while it has them, and again after that.
    Lend { buffer: usize },
    /// Native code copies all bytes out.
    CopyOut { store: usize },
    /// Native code writes some bytes.
    CopyIn { store: usize, offset: usize, byte_length: usize, value: u8 },
    /// Native code detaches.
    Detach { buffer: usize, key: Option<&'static str> },
    /// Native code takes the memory of a buffer for itself.
    Take { buffer: usize, key: Option<&'static str>, store: usize },
    /// Native code sets or removes a detach key.
    SetDetachKey { buffer: usize, key: Option<&'static str> },
    /// Script transfers.
    Transfer { from: usize, buffer: usize, byte_length: Option<usize> },
    /// Script resizes, or grows.
    Resize { buffer: usize, byte_length: usize },
    /// Script calls a function of the engine with two buffers. The function calls script back, which takes memory away.
    CallBack { first: usize, second: usize, callback: Callback },
    /// Script makes a view of a buffer.
    View { buffer: usize, view: usize, shows: Shows },
    /// Script makes a resizable buffer of 24 bytes, which has room for 40, and a view of it.
    ResizableView { isolate: usize, buffer: usize, view: usize, shows: Shows },
    /// Script resizes the buffer of a view, or makes it grow.
    ResizeUnder { view: usize, byte_length: usize },
    /// A typed array over a part of a store is made.
    ExposeTyped { isolate: usize, store: usize, view: usize, part: Part },
    /// Native code does something with a buffer or a view, in a scope. A store that it gets is put in a slot.
    Act { at: At, act: Act, store: usize },
    /// Script calls a native function with two objects, perhaps in the middle of a function of the engine. A store that
    /// the function gets is put in a slot.
    CallNative { first: At, second: At, call: NativeCall, store: usize },
    /// The handle to a view is dropped.
    DropView { view: usize },
    /// Native code resizes, or grows.
    ResizeStore { store: usize, byte_length: usize },
    /// Native code frees manual memory.
    Free { store: usize },
    /// Native code asks for the unique reference.
    TakeUnique { store: usize },
    /// A handle is dropped.
    DropBuffer { buffer: usize },
    /// A reference is dropped.
    DropStore { store: usize },
    /// An isolate collects.
    Collect { isolate: usize },
    /// An isolate collects young objects.
    CollectYoung { isolate: usize },
    /// An isolate ends; the next step that uses its slot makes another.
    EndIsolate { isolate: usize },
    /// The complete state is compared.
    Compare,
    /// The external bytes of all isolates are compared.
    CompareExternalBytes,
}

const KEYS: [&str; 2] = ["one", "two"];

/// A step, and simpler ones of its sort.
pub(super) type StepTree = Box<dyn ValueTree<Value = Step>>;

/// A sequence that is determined by its seed, within the capabilities of all the engines.
pub(super) fn sequence(seed: u64, count: usize, can: Capabilities) -> Vec<StepTree> {
    let mut random = Rng::with_seed(seed);
    let values = TestRng::from_seed(RngAlgorithm::XorShift, &random.u128(..).to_le_bytes());
    let mut runner = TestRunner::new_with_rng(Config::default(), values);
    let mut tree = |sort: &BoxedStrategy<Step>| sort.new_tree(&mut runner).expect("no sort of steps rejects a value");
    let sorts = sorts(can);
    let weights: usize = sorts.iter().map(|(weight, _)| weight).sum();
    // This is not a strategy over all sorts of steps, because shrinking must never change the sort of a step.
    let mut any_sort = || {
        let mut chosen = random.usize(..weights);
        let sort = sorts.iter().find(|(weight, _)| match chosen.checked_sub(*weight) {
            Some(rest) => {
                chosen = rest;
                false
            }
            None => true,
        });
        &sort.expect("less than all weights").1
    };
    let mut steps: Vec<_> = (0..count).map(|_| tree(any_sort())).collect();
    steps.extend([Step::Compare, Step::CompareExternalBytes].map(|step| tree(&Just(step).boxed())));
    steps
}

/// The sorts of steps, with their weights.
fn sorts(can: Capabilities) -> Vec<(usize, BoxedStrategy<Step>)> {
    let has = |needed| can.contains(needed);
    let mut sorts = vec![
        (30, make(can)),
        (24, allocate(can)),
        (42, map((isolate(), slot(), slot()), |(isolate, store, buffer)| Step::Expose { isolate, store, buffer })),
        (30, map((slot(), slot()), |(buffer, store)| Step::Externalize { buffer, store })),
        (9, slice()),
        (6, map((slot(), slot()), |(from, buffer)| Step::CloneBuffer { from, buffer })),
        (6, map((slot(), 0..2_usize), |(buffer, name)| Step::SetGlobal { buffer, name })),
        (24, map((slot(), 0..44_usize, any::<u8>()), |(buffer, index, value)| Step::Write { buffer, index, value })),
        (15, map((slot(), 0..44_usize), |(buffer, index)| Step::Read { buffer, index })),
        (15, map(slot(), |buffer| Step::Lend { buffer })),
        (9, map(slot(), |store| Step::CopyOut { store })),
        (18, copy_in()),
        (18, map((slot(), one_in(2, key(can))), |(buffer, key)| Step::Detach { buffer, key: key.flatten() })),
        (
            12,
            map((slot(), one_in(4, key(can)), slot()), |(buffer, key, store)| Step::Take {
                buffer,
                key: key.flatten(),
                store,
            }),
        ),
        (if has(Capabilities::DETACH_KEYS) { 12 } else { 18 }, transfer()),
        (12, map((slot(), length()), |(buffer, byte_length)| Step::Resize { buffer, byte_length })),
        (
            15,
            map((isolate(), slot(), slot(), Part::any()), |(isolate, store, view, part)| Step::ExposeTyped {
                isolate,
                store,
                view,
                part,
            }),
        ),
        (30, map((at(), Act::any(), slot()), |(at, act, store)| Step::Act { at, act, store })),
        (3, map(slot(), |view| Step::DropView { view })),
        (9, map((slot(), length()), |(store, byte_length)| Step::ResizeStore { store, byte_length })),
        (3, map(slot(), |store| Step::Free { store })),
        (3, map(slot(), |store| Step::TakeUnique { store })),
        (6, map(slot(), |buffer| Step::DropBuffer { buffer })),
        (6, map(slot(), |store| Step::DropStore { store })),
        (3, map(isolate(), |isolate| Step::Collect { isolate })),
        (3, map(isolate(), |isolate| Step::CollectYoung { isolate })),
        (1, map(isolate(), |isolate| Step::EndIsolate { isolate })),
        (2, Just(Step::CompareExternalBytes).boxed()),
        (3, Just(Step::Compare).boxed()),
    ];
    if has(Capabilities::DETACH_KEYS) {
        sorts.push((6, map((slot(), key(can)), |(buffer, key)| Step::SetDetachKey { buffer, key })));
    }
    if has(Capabilities::SCRIPT) {
        sorts.push((
            30,
            map((slot(), slot(), Shows::any()), |(buffer, view, shows)| Step::View { buffer, view, shows }),
        ));
        if has(Capabilities::RESIZABLE) {
            let resizable = |(isolate, buffer, view, shows)| Step::ResizableView { isolate, buffer, view, shows };
            sorts.push((24, map((isolate(), slot(), slot(), Shows::any()), resizable)));
            let resize = |(view, byte_length)| Step::ResizeUnder { view, byte_length };
            sorts.push((24, map((slot(), 0..41_usize), resize)));
        }
        // One of six values, for each of the two.
        let others: usize = sorts.iter().map(|(weight, _)| weight).sum();
        let call_back = |(first, second, callback)| Step::CallBack { first, second, callback };
        sorts.push((others / 4, map((slot(), slot(), Callback::any(can)), call_back)));
        let call = |(first, second, call, store)| Step::CallNative { first, second, call, store };
        sorts.push((others / 4, map((at(), at(), NativeCall::any(can), slot()), call)));
    }
    sorts
}

fn map<S: Strategy + 'static>(values: S, step: impl Fn(S::Value) -> Step + 'static) -> BoxedStrategy<Step> {
    values.prop_map(step).boxed()
}

fn slot() -> Range<usize> {
    0..SLOTS
}

fn isolate() -> Range<usize> {
    0..ISOLATES
}

fn at() -> BoxedStrategy<At> {
    (bool::ANY, slot()).prop_map(|(is_view, slot)| if is_view { At::View(slot) } else { At::Buffer(slot) }).boxed()
}

// Choices are mapped numbers rather than `prop_oneof!` or `option::of`: those copy the runner for each choice, which
// makes a sequence ten times as slow.

/// Usually a few bytes, sometimes none or one, sometimes pages.
fn length() -> impl Strategy<Value = usize> {
    (0..130_usize).prop_map(|choice| match choice {
        0..16 => 0,
        16..32 => 1,
        32..114 => (choice - 32) / 2,
        _ => 4096 * (1 + choice % 3),
    })
}

/// A value with a probability of 1 in `times`, otherwise none.
fn one_in<S: Strategy>(times: u32, value: S) -> impl Strategy<Value = Option<S::Value>> {
    (bool::weighted(1.0 / f64::from(times)), value).prop_map(|(is_there, value)| is_there.then_some(value))
}

fn key(can: Capabilities) -> BoxedStrategy<Option<&'static str>> {
    match can.contains(Capabilities::DETACH_KEYS) {
        true => one_in(2, select(&KEYS[..])).boxed(),
        false => Just(None).boxed(),
    }
}

fn make(can: Capabilities) -> BoxedStrategy<Step> {
    let mut sorts = vec![Made::Fixed; 4];
    for (needed, made) in [
        (Capabilities::RESIZABLE, Made::Resizable),
        (Capabilities::SHARED, Made::Shared),
        (Capabilities::SHARED | Capabilities::RESIZABLE, Made::Growable),
        (Capabilities::IMMUTABLE, Made::Frozen),
        (Capabilities::empty(), Made::Manual),
        (Capabilities::empty(), Made::Calling),
    ] {
        sorts.push(if can.contains(needed) { made } else { Made::Fixed });
    }
    map((slot(), select(sorts), length(), length()), |(store, made, byte_length, room)| Step::Make {
        store,
        made,
        byte_length,
        max_byte_length: byte_length + room,
    })
}

fn allocate(can: Capabilities) -> BoxedStrategy<Step> {
    let room = match can.contains(Capabilities::RESIZABLE) {
        true => one_in(3, length()).boxed(),
        false => Just(None).boxed(),
    };
    let shared = match can.contains(Capabilities::SHARED) {
        true => bool::weighted(1.0 / 3.0).boxed(),
        false => Just(false).boxed(),
    };
    map((isolate(), slot(), length(), room, shared), |(isolate, buffer, byte_length, room, shared)| {
        let max_byte_length = room.map(|room| byte_length + room);
        Step::Allocate { isolate, buffer, byte_length, max_byte_length, shared }
    })
}

fn slice() -> BoxedStrategy<Step> {
    // Usually a multiple of 8.
    let start = (0..48_usize).prop_map(|choice| if choice < 36 { 8 * (choice / 12) } else { choice - 36 });
    map((slot(), slot(), start, 0..24_usize), |(from, store, start, byte_length)| Step::Slice {
        from,
        store,
        start,
        end: start + byte_length,
    })
}

fn copy_in() -> BoxedStrategy<Step> {
    map((slot(), 0..40_usize, 0..8_usize, any::<u8>()), |(store, offset, byte_length, value)| Step::CopyIn {
        store,
        offset,
        byte_length,
        value,
    })
}

fn transfer() -> BoxedStrategy<Step> {
    map((slot(), slot(), one_in(2, length())), |(from, buffer, byte_length)| Step::Transfer {
        from,
        buffer,
        byte_length,
    })
}
