//! The steps that sequences consist of, how they are chosen, and how a person reads them.

use std::fmt;

use fastrand::Rng;
use offheap_engine::Capabilities;

use super::callback::Callback;

/// How many slots there are for each sort of thing.
pub(super) const ISOLATES: usize = 2;
pub(super) const SLOTS: usize = 5;

/// Memory that native code makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    /// Of one length.
    Fixed,
    /// With room to be resized.
    Resizable,
    /// Shared, of one length.
    Shared,
    /// Shared, with room to grow.
    Growable,
    /// Read-only.
    Frozen,
    /// Freed by hand.
    Manual,
    /// Of one length, with an owner that calls engines when it is dropped.
    Calling,
}

/// One step. Numbers name slots of isolates, buffers and stores; where a slot that a step uses is empty, it does nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are what `Display` says they are")]
#[non_exhaustive]
pub enum Step {
    /// Native code makes a store; its bytes are 1, 2, 3, and so on, where it does not begin zeroed.
    Make { store: usize, made: Made, byte_length: usize, max_byte_length: usize },
    /// An engine makes a buffer.
    Allocate { isolate: usize, buffer: usize, byte_length: usize, max_byte_length: Option<usize>, shared: bool },
    /// A store is exposed.
    Expose { isolate: usize, store: usize, buffer: usize },
    /// A buffer's store is taken.
    Externalize { buffer: usize, store: usize },
    /// A handle to a part of a store.
    Slice { from: usize, store: usize, start: usize, end: usize },
    /// One more handle to a buffer.
    CloneBuffer { from: usize, buffer: usize },
    /// A buffer becomes a global variable.
    SetGlobal { buffer: usize, name: usize },
    /// Script writes a byte.
    Write { buffer: usize, index: usize, value: u8 },
    /// Script reads a byte.
    Read { buffer: usize, index: usize },
    /// Native code copies all bytes out.
    CopyOut { store: usize },
    /// Native code writes some bytes.
    CopyIn { store: usize, offset: usize, byte_length: usize, value: u8 },
    /// Native code detaches.
    Detach { buffer: usize, key: Option<&'static str> },
    /// Native code sets a detach key, or takes it away.
    SetDetachKey { buffer: usize, key: Option<&'static str> },
    /// Script transfers.
    Transfer { from: usize, buffer: usize, byte_length: Option<usize> },
    /// Script resizes, or grows.
    Resize { buffer: usize, byte_length: usize },
    /// Script calls a function of the engine with two buffers, and that calls script back, which takes memory away.
    CallBack { first: usize, second: usize, callback: Callback },
    /// Native code resizes, or grows.
    ResizeStore { store: usize, byte_length: usize },
    /// Native code frees manual memory.
    Free { store: usize },
    /// Native code asks to be the only owner.
    TakeUnique { store: usize },
    /// A handle goes.
    DropBuffer { buffer: usize },
    /// A reference goes.
    DropStore { store: usize },
    /// An isolate collects.
    Collect { isolate: usize },
    /// An isolate collects young objects.
    CollectYoung { isolate: usize },
    /// An isolate ends; the next step that uses its slot makes another.
    EndIsolate { isolate: usize },
    /// Everything that there is, is compared.
    Compare,
    /// The external bytes of all isolates are compared.
    CompareExternalBytes,
}

const KEYS: [&str; 2] = ["one", "two"];

/// A sequence that its seed repeats, of what all the engines can do.
pub(super) fn sequence(seed: u64, count: usize, capabilities: Capabilities) -> Vec<Step> {
    let mut random = Rng::with_seed(seed);
    let mut steps: Vec<_> = (0..count).map(|_| step(&mut random, capabilities)).collect();
    steps.extend([Step::Compare, Step::CompareExternalBytes]);
    steps
}

fn length(random: &mut Rng) -> usize {
    match random.usize(..8) {
        0 => 0,
        1 => 1,
        2 => 4096 + random.usize(..3) * 4096,
        _ => random.usize(..41),
    }
}

fn key(random: &mut Rng, can: Capabilities) -> Option<&'static str> {
    let none = !can.contains(Capabilities::DETACH_KEYS) || random.bool();
    let chosen = random.usize(..KEYS.len());
    (!none).then_some(KEYS[chosen])
}

fn step(random: &mut Rng, can: Capabilities) -> Step {
    let (buffer, store, isolate) = (random.usize(..SLOTS), random.usize(..SLOTS), random.usize(..ISOLATES));
    let other = random.usize(..SLOTS);
    if can.contains(Capabilities::SCRIPT) && random.usize(..5) == 0 {
        return Step::CallBack { first: other, second: buffer, callback: Callback::random(random, can) };
    }
    match random.usize(..100) {
        0..10 => make(random, can, store),
        10..18 => {
            let byte_length = length(random);
            let has_room = can.contains(Capabilities::RESIZABLE) && random.usize(..3) == 0;
            let max_byte_length = has_room.then(|| byte_length + length(random));
            let shared = can.contains(Capabilities::SHARED) && random.usize(..3) == 0;
            Step::Allocate { isolate, buffer, byte_length, max_byte_length, shared }
        }
        18..32 => Step::Expose { isolate, store, buffer },
        32..42 => Step::Externalize { buffer, store },
        42..45 => {
            let start = if random.usize(..4) == 0 { random.usize(..12) } else { 8 * random.usize(..3) };
            Step::Slice { from: other, store, start, end: start + random.usize(..24) }
        }
        45..47 => Step::CloneBuffer { from: other, buffer },
        47..49 => Step::SetGlobal { buffer, name: random.usize(..2) },
        49..57 => Step::Write { buffer, index: random.usize(..44), value: random.u8(..) },
        57..62 => Step::Read { buffer, index: random.usize(..44) },
        62..65 => Step::CopyOut { store },
        65..71 => {
            let (offset, value) = (random.usize(..40), random.u8(..));
            Step::CopyIn { store, offset, byte_length: random.usize(..8), value }
        }
        71..77 => Step::Detach { buffer, key: key(random, can).filter(|_| random.bool()) },
        77..79 if can.contains(Capabilities::DETACH_KEYS) => Step::SetDetachKey { buffer, key: key(random, can) },
        77..83 => {
            let byte_length = random.bool().then(|| length(random));
            Step::Transfer { from: other, buffer, byte_length }
        }
        83..87 => Step::Resize { buffer, byte_length: length(random) },
        87..90 => Step::ResizeStore { store, byte_length: length(random) },
        90..91 => Step::Free { store },
        91..92 => Step::TakeUnique { store },
        92..94 => Step::DropBuffer { buffer },
        94..96 => Step::DropStore { store },
        96 => Step::Collect { isolate },
        97 => Step::CollectYoung { isolate },
        98 if random.usize(..3) == 0 => Step::EndIsolate { isolate },
        98 => Step::CompareExternalBytes,
        _ => Step::Compare,
    }
}

fn make(random: &mut Rng, can: Capabilities, store: usize) -> Step {
    let byte_length = length(random);
    let max_byte_length = byte_length + length(random);
    let made = match random.usize(..10) {
        0..4 => Made::Fixed,
        4 if can.contains(Capabilities::RESIZABLE) => Made::Resizable,
        5 if can.contains(Capabilities::SHARED) => Made::Shared,
        6 if can.contains(Capabilities::SHARED) && can.contains(Capabilities::RESIZABLE) => Made::Growable,
        7 if can.contains(Capabilities::IMMUTABLE) => Made::Frozen,
        8 => Made::Manual,
        9 => Made::Calling,
        _ => Made::Fixed,
    };
    Step::Make { store, made, byte_length, max_byte_length }
}

fn quoted(key: Option<&str>) -> String {
    key.map_or(String::new(), |key| format!(", {key:?}"))
}

/// A line of script for what script sees; native steps are comments.
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Step::Make { store, made, byte_length, max_byte_length } => {
                write!(f, "// native: s{store} = {made:?} store of {byte_length} bytes")?;
                if matches!(made, Made::Resizable | Made::Growable) {
                    write!(f, ", up to {max_byte_length}")
                } else {
                    Ok(())
                }
            }
            Step::Allocate { isolate, buffer, byte_length, max_byte_length, shared } => {
                let constructor = if shared { "SharedArrayBuffer" } else { "ArrayBuffer" };
                let options = max_byte_length.map_or(String::new(), |max| format!(", {{ maxByteLength: {max} }}"));
                write!(f, "b{buffer} = new {constructor}({byte_length}{options}); // in isolate {isolate}")
            }
            Step::Expose { isolate, store, buffer } => {
                write!(f, "b{buffer} = nativeModule.arrayBuffer(s{store}); // in isolate {isolate}")
            }
            Step::Externalize { buffer, store } => write!(f, "s{store} = nativeModule.externalizeBuffer(b{buffer});"),
            Step::Slice { from, store, start, end } => write!(f, "// native: s{store} = s{from}, bytes {start}..{end}"),
            Step::CloneBuffer { from, buffer } => write!(f, "b{buffer} = b{from};"),
            Step::SetGlobal { buffer, name } => write!(f, "globalThis.kept{name} = b{buffer};"),
            Step::Write { buffer, index, value } => write!(f, "new Uint8Array(b{buffer})[{index}] = {value};"),
            Step::Read { buffer, index } => write!(f, "new Uint8Array(b{buffer})[{index}];"),
            Step::CopyOut { store } => write!(f, "// native: copy all of s{store}"),
            Step::CopyIn { store, offset, byte_length, value } => {
                write!(f, "// native: write {byte_length} times {value} to s{store}, from byte {offset} on")
            }
            Step::Detach { buffer, key } => write!(f, "nativeModule.detach(b{buffer}{});", quoted(key)),
            Step::SetDetachKey { buffer, key } => {
                write!(f, "// native: the detach key of b{buffer} is {key:?} from here on")
            }
            Step::Transfer { from, buffer, byte_length } => {
                let byte_length = byte_length.map_or(String::new(), |byte_length| byte_length.to_string());
                write!(f, "b{buffer} = b{from}.transfer({byte_length});")
            }
            Step::Resize { buffer, byte_length } => {
                write!(f, "b{buffer}.resize({byte_length}); // of a SharedArrayBuffer: grow")
            }
            Step::CallBack { first, second, callback } => {
                write!(f, "{{ const a = b{first}, b = b{second}; {callback} }}")
            }
            Step::ResizeStore { store, byte_length } => {
                write!(f, "// native: resize or grow s{store} to {byte_length}")
            }
            Step::Free { store } => write!(f, "nativeModule.free(s{store});"),
            Step::TakeUnique { store } => write!(f, "// native: ask to be the only owner of s{store}"),
            Step::DropBuffer { buffer } => write!(f, "b{buffer} = undefined;"),
            Step::DropStore { store } => write!(f, "// native: drop s{store}"),
            Step::Collect { isolate } => write!(f, "nativeModule.gc(); // isolate {isolate}"),
            Step::CollectYoung { isolate } => write!(f, "// native: isolate {isolate} collects young objects"),
            Step::EndIsolate { isolate } => write!(f, "// native: isolate {isolate} ends"),
            Step::Compare => write!(f, "// compare everything"),
            Step::CompareExternalBytes => write!(f, "// compare the external bytes"),
        }
    }
}
