//! The errors of the core. Each message says what to do next.

use std::fmt;
use std::path::PathBuf;

use crate::reason::LiveBuffers;
use crate::{Holder, IsolateId, MapProblem, NotUnique, Site, StoreId, StoreKind};

/// An error of the core.
///
/// Each message says what was attempted, which state prevented it, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// More bytes than an allocation may have.
    #[error("cannot allocate {bytes}: one allocation has at most {limit}; ask for less", bytes = Bytes(*requested))]
    TooLarge {
        /// The requested bytes.
        requested: usize,
        /// The most that one allocation may have.
        limit: usize,
    },
    /// The system has no memory left for this request.
    #[error(
        "cannot allocate {bytes}: out of memory; drop stores that are no longer needed, or ask for less",
        bytes = Bytes(*requested)
    )]
    OutOfMemory {
        /// The requested bytes.
        requested: usize,
    },
    /// More bytes than the budget has left.
    #[error(
        "cannot allocate {bytes} more: {used} of the budget's {limit} bytes are in use; \
         drop stores that are no longer needed, or raise the limit with `Budget::set`",
        bytes = Bytes(*requested)
    )]
    OverBudget {
        /// The requested bytes.
        requested: usize,
        /// The bytes that are in use.
        used: usize,
        /// The limit of the budget, in bytes.
        limit: usize,
    },
    /// A range that does not lie inside the store.
    #[error(
        "bytes {offset}..{} do not lie in store {store}, which has {}",
        offset.saturating_add(*byte_length),
        match store_byte_length {
            0 => "no bytes; if it was taken from a detached buffer, take it before the buffer is detached".to_owned(),
            _ => format!("{}; ask for a range inside it", Bytes(*store_byte_length)),
        }
    )]
    OutOfRange {
        /// The store.
        store: StoreId,
        /// Where the range begins, in bytes.
        offset: usize,
        /// How long the range is, in bytes.
        byte_length: usize,
        /// How long the store is, in bytes.
        store_byte_length: usize,
    },
    /// An alignment that is not a power of two.
    #[error("cannot align memory to {alignment}: an alignment must be a power of two; ask for 64, for example")]
    InvalidAlignment {
        /// The requested alignment.
        alignment: usize,
    },
    /// A maximum that is less than the length.
    #[error(
        "cannot make a store of {bytes} with a maximum of {max_byte_length}; \
         ask for max_byte_length >= {byte_length}",
        bytes = Bytes(*byte_length)
    )]
    MaximumTooSmall {
        /// The requested length, in bytes.
        byte_length: usize,
        /// The requested maximum, in bytes.
        max_byte_length: usize,
    },
    /// More bytes than a store has reserved.
    #[error(
        "cannot {attempted} store {store} to {bytes}: {max_byte_length} bytes are reserved; \
         create it with max_byte_length >= {requested}",
        bytes = Bytes(*requested)
    )]
    AboveMaximum {
        /// The store.
        store: StoreId,
        /// What was attempted: `"resize"`, or `"grow"` for shared memory.
        attempted: &'static str,
        /// The requested length, in bytes.
        requested: usize,
        /// The greatest length that it can have, in bytes.
        max_byte_length: usize,
    },
    /// A store whose length is fixed, or a handle to a part of a store.
    #[error(
        "cannot {attempted} store {store} to {bytes}: {}",
        match (*is_part, *attempted) {
            (true, _) => format!("this handle is to a part of it; {attempted} it through a handle to the whole"),
            (false, "grow") => "its length is fixed; create it with `SharedStore::growable`".to_owned(),
            (false, _) => "its length is fixed; create it with `UniqueStore::resizable`".to_owned(),
        },
        bytes = Bytes(*requested)
    )]
    NotResizable {
        /// The store.
        store: StoreId,
        /// What was attempted: `"resize"`, or `"grow"` for shared memory.
        attempted: &'static str,
        /// Whether the handle is to a part of a store whose length can change.
        is_part: bool,
        /// The requested length, in bytes.
        requested: usize,
    },
    /// Memory of an engine, which only the engine can resize.
    #[error(
        "cannot {attempted} store {store} to {bytes}: an engine owns its memory; \
         call `{attempted}` on its buffer in script, or `grow` on its `WebAssembly.Memory`",
        bytes = Bytes(*requested)
    )]
    EngineResizes {
        /// The store.
        store: StoreId,
        /// What was attempted: `"resize"`, or `"grow"` for shared memory.
        attempted: &'static str,
        /// The requested length, in bytes.
        requested: usize,
    },
    /// Memory of an engine that script may shrink during the operation.
    #[error(
        "cannot {attempted} store {store} while script of {isolate} may shrink it, which unmaps its bytes at once; \
         do so in that isolate's scope, or give its buffer a fixed length with `transferToFixedLength`"
    )]
    EngineMayShrink {
        /// The store.
        store: StoreId,
        /// What was attempted.
        attempted: &'static str,
        /// The isolate that has it.
        isolate: IsolateId,
    },
    /// Shared memory never gets shorter.
    #[error(
        "cannot grow shared store {store} to {bytes}: it has {byte_length}, and shared memory never shrinks; \
         ask for at least {byte_length}",
        bytes = Bytes(*requested)
    )]
    SharedShrink {
        /// The store.
        store: StoreId,
        /// The requested length, in bytes.
        requested: usize,
        /// The length that it has, in bytes.
        byte_length: usize,
    },
    /// A slice of memory that script may write on any thread.
    #[error(
        "cannot {attempted} store {store} as a slice: shared memory may be written on any thread; \
         use the atomics of its `SharedStore`, or copy the bytes"
    )]
    SharedSlice {
        /// The store.
        store: StoreId,
        /// What was attempted.
        attempted: &'static str,
    },
    /// Elements at an address that is not aligned for them.
    #[error(
        "cannot see store {store} from byte {byte_offset} on as `{}`: its address is not a multiple of {alignment}; \
         begin at another byte, or copy the bytes",
        type_name_without_paths(element)
    )]
    Misaligned {
        /// The store.
        store: StoreId,
        /// Where the elements begin, in bytes from the start of the store.
        byte_offset: usize,
        /// The element type.
        element: &'static str,
        /// The alignment that the elements need.
        alignment: usize,
    },
    /// Other code is reading, writing or resizing the bytes.
    #[error(
        "cannot {attempted} store {store}: {holder}; drop that guard, or wait until that copy is done, and try again"
    )]
    Busy {
        /// The store.
        store: StoreId,
        /// What was attempted.
        attempted: &'static str,
        /// Who uses the bytes.
        holder: Holder,
    },
    /// The store is exposed, so script may use its bytes until its buffers are detached or collected.
    #[error(
        "cannot {attempted} store {store}: it is exposed in {isolate} through {}; \
         {}detach or collect first",
        LiveBuffers(*buffers),
        match *attempted {
            _ if isolate.is_host() => "",
            // A copy needs no guard.
            "read" => "use that isolate's scope, copy the bytes (`to_vec`, `copy_to_slice`), or ",
            _ => "use that isolate's scope, or ",
        }
    )]
    Exposed {
        /// The store.
        store: StoreId,
        /// What was attempted.
        attempted: &'static str,
        /// The isolate that has it.
        isolate: IsolateId,
        /// Through how many live buffers.
        buffers: u16,
    },
    /// The store is exposed in another isolate.
    #[error(
        "cannot {attempted} store {store} in {requested}: it is exposed in {isolate} through {}; \
         detach or collect {} there first, or copy its bytes",
        LiveBuffers(*buffers),
        LiveBuffers(*buffers).pronoun()
    )]
    OtherIsolate {
        /// The store.
        store: StoreId,
        /// What was attempted.
        attempted: &'static str,
        /// The isolate that has the store.
        isolate: IsolateId,
        /// The isolate that was to expose it.
        requested: IsolateId,
        /// Through how many live buffers it is exposed.
        buffers: u16,
    },
    /// An operation that needs the bytes to itself, on memory that a host such as Node has, or ever had. Calls of the host may
    /// write the bytes while no script runs, also after the last buffer is gone.
    #[error(
        "cannot {attempted} store {store}: {host} {}, and its pending calls may write the bytes at any time; \
         copy the bytes (`to_vec`, `copy_to_slice`), or {}call the unsafe `assume_host_is_done` when no call is pending",
        match *buffers {
            0 => "had it".to_owned(),
            count => format!("has it through {}", LiveBuffers(count)),
        },
        if *buffers == 0 { "" } else { "detach or collect first, and " }
    )]
    HostMayWrite {
        /// The store.
        store: StoreId,
        /// What was attempted.
        attempted: &'static str,
        /// The host.
        host: IsolateId,
        /// How many live buffers the host has over the store. It may write the bytes when this is 0, too.
        buffers: u16,
    },
    /// Read-only memory for a host, whose functions write into immutable buffers too.
    #[error(
        "cannot expose store {store} in {host}: its bytes are read-only, and functions of the host write into immutable \
         buffers too; give script a copy of the bytes (`to_vec`)"
    )]
    ReadOnlyInHost {
        /// The store.
        store: StoreId,
        /// The host.
        host: IsolateId,
    },
    /// A second buffer over a store that can have only one: a resizable one, or in a host any unshared one.
    #[error(
        "cannot expose {}store {store} again: it has a live buffer in {isolate}; {}",
        if isolate.is_host() { "" } else { "resizable " },
        match isolate.is_host() {
            true => "give script that buffer, or a copy of the bytes",
            false => "detach or collect that one first",
        }
    )]
    OneBuffer {
        /// The store.
        store: StoreId,
        /// The isolate that has the buffer.
        isolate: IsolateId,
    },
    /// More live buffers over a store than can be counted.
    #[error("cannot expose store {store} in {isolate} again: it has {limit} live buffers there; collect first")]
    TooManyBuffers {
        /// The store.
        store: StoreId,
        /// The isolate.
        isolate: IsolateId,
        /// The most buffers that one store may have.
        limit: u16,
    },
    /// More live isolates than there are ids.
    #[error("cannot register an isolate: {limit} are alive; drop some first")]
    TooManyIsolates {
        /// The most isolates that may be alive at once.
        limit: usize,
    },
    /// The store has other references, or is of a kind that never becomes unique.
    #[error("store {store} is not unique: {reason}")]
    NotUnique {
        /// The store.
        store: StoreId,
        /// Who else holds it.
        reason: NotUnique,
    },
    /// The owner of the store is of another type than the requested one.
    #[error(
        "store {store} was not made from `{}`; ask for the type that it was made from, or copy the bytes (`to_vec`) if an \
         engine made the memory",
        type_name_without_paths(requested)
    )]
    OtherOwner {
        /// The store.
        store: StoreId,
        /// The requested type.
        requested: &'static str,
    },
    /// A store of another kind than the requested one.
    #[error("store {store} is not a `{requested}`: it is {kind}; copy its bytes into a new `{requested}` (`to_vec`)")]
    OtherKind {
        /// The store.
        store: StoreId,
        /// The requested type: `"SharedStore"` or `"FrozenStore"`.
        requested: &'static str,
        /// The kind of the store.
        kind: StoreKind,
    },
    /// A length that is not a whole number of elements.
    #[error(
        "store {store} has {bytes}, which is not a whole number of `{}`; {}",
        type_name_without_paths(element),
        match element_size {
            0 => "ask for a type that has a size".to_owned(),
            size => format!("slice it to a multiple of {size} bytes first"),
        },
        bytes = Bytes(*byte_length)
    )]
    PartialElement {
        /// The store.
        store: StoreId,
        /// Its length in bytes.
        byte_length: usize,
        /// The element type.
        element: &'static str,
        /// The size of one element in bytes.
        element_size: usize,
    },
    /// The bytes may only be read.
    #[error("cannot {attempted} store {store}: its bytes are read-only; copy them into a store of your own first")]
    ReadOnly {
        /// The store.
        store: StoreId,
        /// What was attempted.
        attempted: &'static str,
    },
    /// A slice of memory that other processes may write.
    #[error(
        "cannot {attempted} store {store} as a slice: other processes may write a mapped file; copy the bytes instead"
    )]
    MappedSlice {
        /// The store.
        store: StoreId,
        /// What was attempted.
        attempted: &'static str,
    },
    /// A null address with a length other than 0.
    #[error(
        "cannot make a store of {bytes} at a null address; pass the address of the bytes, or length 0",
        bytes = Bytes(*byte_length)
    )]
    NullData {
        /// The given length, in bytes.
        byte_length: usize,
    },
    /// A use of manual memory after its free.
    #[error("cannot {attempted} manual memory {store}: it was freed at {freed}; free it after its last use")]
    Freed {
        /// The store.
        store: StoreId,
        /// What was attempted.
        attempted: &'static str,
        /// Where it was freed.
        freed: Site,
    },
    /// A second free of the same manual memory.
    #[error(
        "double free of {bytes} at {address:#x}, allocated at {allocated}: \
         freed at {first}, and again at {second}; nothing was touched, remove the second free",
        bytes = Bytes(*byte_length)
    )]
    DoubleFree {
        /// The store.
        store: StoreId,
        /// The address.
        address: usize,
        /// Its length in bytes.
        byte_length: usize,
        /// Where the memory was allocated.
        allocated: Site,
        /// Where it was freed.
        first: Site,
        /// Where the second free was attempted.
        second: Site,
    },
    /// A free of manual memory that is still in use.
    #[error(
        "cannot free {bytes} at {address:#x}, allocated at {allocated}: {holder}; \
         the free at {attempted} touched nothing, {}",
        holder.remedy(),
        bytes = Bytes(*byte_length)
    )]
    FreeInUse {
        /// The store.
        store: StoreId,
        /// The address.
        address: usize,
        /// Its length in bytes.
        byte_length: usize,
        /// Where the memory was allocated.
        allocated: Site,
        /// Where the free was attempted.
        attempted: Site,
        /// Who uses the memory.
        holder: Holder,
    },
    /// A free of an address that is not manual memory.
    #[error(
        "cannot free {address:#x} at {attempted}: no manual memory begins there, and none that the last {remembered} \
         frees freed did; pass the address that the allocation returned"
    )]
    UnknownAddress {
        /// The address.
        address: usize,
        /// Where the free was attempted.
        attempted: Site,
        /// How many freed addresses are remembered.
        remembered: usize,
    },
    /// A free by an address that was freed and then adopted again.
    #[error(
        "cannot free {address:#x} by its address at {attempted}: it was freed at {first} and adopted again at \
         {allocated}, so it is not clear which memory is meant; call `free` on the `ManualMemory`"
    )]
    AddressReused {
        /// The address.
        address: usize,
        /// Where the earlier memory at this address was freed.
        first: Site,
        /// Where the present memory at this address was allocated or adopted.
        allocated: Site,
        /// Where the free was attempted.
        attempted: Site,
    },
    /// An adoption of an address that is manual memory already.
    #[error("cannot adopt {address:#x}: it has been manual memory since {allocated}; free that first")]
    AlreadyManual {
        /// The address.
        address: usize,
        /// Where it was allocated or adopted.
        allocated: Site,
    },
    /// A file that cannot be mapped.
    #[error("cannot map {}: {problem}", path.display())]
    Map {
        /// The file.
        path: PathBuf,
        /// Why it cannot be mapped.
        problem: MapProblem,
    },
    /// An observer is set already.
    #[error("an observer is set already, and a process has only one; make that one forward the events")]
    ObserverSet,
}

/// The name of a type without the paths, for messages: `Vec<u8>` for `alloc::vec::Vec<u8>`.
pub fn type_name_without_paths(type_name: &str) -> String {
    let is_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let mut short = String::new();
    let mut rest = type_name;
    while !rest.is_empty() {
        let end = rest.find(|c| !is_path(c)).unwrap_or(rest.len());
        let (path, others) = rest.split_at(end);
        short.push_str(path.rsplit("::").next().unwrap_or(path));
        let next = others.find(is_path).unwrap_or(others.len());
        short.push_str(&others[..next]);
        rest = &others[next..];
    }
    short
}

/// A number of bytes, for messages.
struct Bytes(usize);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0, if self.0 == 1 { "byte" } else { "bytes" })
    }
}
