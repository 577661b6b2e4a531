//! Errors between native code and an engine.

use offheap::adapter::type_name_without_paths;
use offheap::{ErrorClass, IsolateId, Rejected, StoreId};

use crate::ScriptError;

/// An error of an adapter. All adapters share this type, so code moves from one to another by changing a `use`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The core refused the operation.
    #[error(transparent)]
    Memory(#[from] offheap::Error),
    /// The script threw or did not parse, or its value is not of the requested type.
    #[error(transparent)]
    Script(#[from] ScriptError),
    /// The objects of script took all of the engine's heap. The error says whether script was stopped, or not run at all.
    #[error(
        "{engine}'s heap is full: the limit is {limit} bytes, and {}",
        match keeps_too_much {
            false => "the script needed more, so it was stopped; keep fewer objects, or set a higher limit",
            true => "script keeps more than twice as much, so no more script runs; drop the isolate, or set a higher limit",
        }
    )]
    HeapLimit {
        /// The engine.
        engine: &'static str,
        /// The limit in bytes.
        limit: usize,
        /// `false`: script ran and was stopped, and the isolate can be used again. `true`: script did not run, because
        /// it keeps much more than the limit. It runs again once those objects are gone, so mostly never.
        keeps_too_much: bool,
    },
    /// The engine does not take this many bytes in one buffer.
    #[error(
        "{engine} takes at most {limit} bytes in one ArrayBuffer, and {}",
        match store {
            None => format!("{byte_length} were asked for; ask for less"),
            Some(store) => format!(
                "store {store} has {byte_length}, or may grow to that; expose parts of it (`slice`), or, if its length \
                 changes, create it with a max_byte_length of at most {limit}: such memory is exposed as a whole"
            ),
        }
    )]
    TooLargeForEngine {
        /// The engine.
        engine: &'static str,
        /// The store, if there is one.
        store: Option<StoreId>,
        /// Its length in bytes.
        byte_length: usize,
        /// The maximum that the engine takes.
        limit: usize,
    },
    /// The bytes begin at an address that the engine does not allow for such elements.
    #[error(
        "{engine} cannot have store {store} from offset {byte_offset} on: the address is not a multiple of \
         {alignment}; begin at another offset, or copy"
    )]
    Misaligned {
        /// The engine.
        engine: &'static str,
        /// The store.
        store: StoreId,
        /// The offset in the store at which the bytes begin.
        byte_offset: usize,
        /// The number that the address must be a multiple of.
        alignment: usize,
    },
    /// Two stores are over the same memory: each would free it.
    #[error(
        "{engine} cannot have store {store}: its bytes begin at the same address as those of store {other}, which \
         it already has, and each would free them; use clones of one store"
    )]
    AddressTaken {
        /// The engine.
        engine: &'static str,
        /// The store.
        store: StoreId,
        /// The store that the engine has already.
        other: StoreId,
    },
    /// A length that is not a whole number of elements.
    #[error(
        "{engine}: {byte_length} bytes are not a whole number of `{}`; copy the bytes (`u8`), or take a view of whole \
         elements",
        type_name_without_paths(element)
    )]
    PartialElement {
        /// The engine.
        engine: &'static str,
        /// The length in bytes.
        byte_length: usize,
        /// The element type.
        element: &'static str,
    },
    /// The operation does not allow this length.
    #[error(
        "{engine}: cannot {attempted} a buffer to {requested} bytes: {}",
        match requested < limit {
            true => format!("it has {limit}, and shared memory never shrinks; ask for at least that"),
            false => format!("the maximum is {limit}; ask for less"),
        }
    )]
    InvalidLength {
        /// The engine.
        engine: &'static str,
        /// The operation that was tried.
        attempted: &'static str,
        /// The requested length in bytes.
        requested: usize,
        /// The longest length allowed. If less than this was requested, it is the current length of shared memory,
        /// which never shrinks.
        limit: usize,
    },
    /// The buffer is detached.
    #[error(
        "{engine}: cannot {attempted} the buffer: it is detached; use it before that, or the buffer that took its memory"
    )]
    Detached {
        /// The engine.
        engine: &'static str,
        /// The operation that was tried.
        attempted: &'static str,
    },
    /// The view does not lie in its buffer, because the buffer was made shorter. The buffer is not detached.
    #[error(
        "{engine}: cannot {attempted} the view: it is out of bounds, because its buffer was made shorter; make the buffer \
         longer again, or make another view of it"
    )]
    OutOfBounds {
        /// The engine.
        engine: &'static str,
        /// The operation that was tried.
        attempted: &'static str,
    },
    /// The buffer can never be detached: it is shared, or backs a WebAssembly memory.
    #[error("{engine}: cannot {attempted} the buffer: {why}")]
    NotDetachable {
        /// The engine.
        engine: &'static str,
        /// The operation that was tried.
        attempted: &'static str,
        /// The reason, and what to do.
        why: &'static str,
    },
    /// The given key is not the buffer's detach key, or the buffer has none and a key was given (ECMAScript
    /// `DetachArrayBuffer`).
    #[error(
        "{engine}: cannot {attempted} the buffer: its detach key does not match ({given}); pass the key that was set, or \
         no key if none was set"
    )]
    WrongDetachKey {
        /// The engine.
        engine: &'static str,
        /// The operation that was tried.
        attempted: &'static str,
        /// What was given: `no key was given`, `another was given`, `it has none`; V8 does not distinguish the last
        /// two.
        given: &'static str,
    },
    /// The buffer is immutable.
    #[error("{engine}: cannot {attempted} the buffer: it is immutable; copy it first")]
    Immutable {
        /// The engine.
        engine: &'static str,
        /// The operation that was tried.
        attempted: &'static str,
    },
    /// The buffer is not resizable.
    #[error(
        "{engine}: cannot {attempted} the buffer: it was made without maxByteLength; {}",
        // Shared memory is never transferred.
        if *attempted == "grow" { "make it with one" } else { "transfer it to the new length" }
    )]
    NotResizable {
        /// The engine.
        engine: &'static str,
        /// The operation that was tried: `"resize"`, or `"grow"` for shared memory.
        attempted: &'static str,
    },
    /// A value of another type was given where a buffer was expected.
    #[error("{engine}: expected an ArrayBuffer or a view of one, found {found}")]
    NotAnArrayBuffer {
        /// The engine.
        engine: &'static str,
        /// A description of that value.
        found: String,
    },
    /// An argument of a native function is not of the type that the function asked for.
    #[error("{engine}: argument {} of `{function}` is {found}, but {expected} was expected", index + 1)]
    Argument {
        /// The engine.
        engine: &'static str,
        /// The name of the function.
        function: Box<str>,
        /// The index of the argument, from 0. The message counts from 1.
        index: usize,
        /// The values that the function takes there.
        expected: Box<str>,
        /// A description of the value.
        found: Box<str>,
    },
    /// An error that a native function of the program reports with its own words.
    #[error("{message}")]
    Function {
        /// The message.
        message: String,
    },
    /// Script of another isolate may be using the bytes, as far as the engine can tell, so none are lent.
    #[error("{engine} cannot {attempted} store {store} in {here}: {why}")]
    NotLent {
        /// The engine.
        engine: &'static str,
        /// The operation that was tried.
        attempted: &'static str,
        /// The store.
        store: StoreId,
        /// The isolate that was asked to lend the bytes.
        here: IsolateId,
        /// The reason, and what to do.
        why: &'static str,
    },
    /// A handle of one isolate was used in another.
    #[error("a handle of {handle} was used in {here}; externalize it there and expose the store here")]
    WrongIsolate {
        /// The handle's isolate.
        handle: IsolateId,
        /// The isolate in which it was used.
        here: IsolateId,
    },
    /// The handle's isolate has ended.
    #[error("the isolate of this handle has ended; externalize its buffer before that")]
    IsolateGone,
    /// The engine's layout is not the one that this adapter expects, so buffers that the engine made cannot be
    /// externalized.
    #[error(
        "{engine} {version} lays out its ArrayBuffers in a way that this adapter does not know, so it cannot \
         externalize buffers that script made; everything else works: use the engine version that the adapter names"
    )]
    LayoutChanged {
        /// The engine.
        engine: &'static str,
        /// Its version.
        version: String,
    },
    /// This engine cannot do it.
    #[error("{engine} cannot {what}; {instead}")]
    Unsupported {
        /// The engine.
        engine: &'static str,
        /// The requested operation.
        what: &'static str,
        /// What to do instead.
        instead: &'static str,
    },
    /// The engine does not start with this flag.
    #[error("{engine} cannot start with the flag `{}`: {why}", flag.escape_debug())]
    Flag {
        /// The engine.
        engine: &'static str,
        /// The flag as it was given.
        flag: String,
        /// The reason, and what to do.
        why: &'static str,
    },
    /// The engine failed and gave no reason, as it does if it has no memory left for an error object.
    #[error("{engine} failed to {attempted} and gave no reason; its memory limit may be reached")]
    EngineFailed {
        /// The engine.
        engine: &'static str,
        /// The operation that was tried.
        attempted: &'static str,
    },
}

impl Error {
    /// An error of the program's own, for a [function](crate::Scope::function) to return.
    pub fn function(message: impl Into<String>) -> Self {
        Error::Function { message: message.into() }
    }

    /// The JavaScript class of this error, on every engine. The adapters' `Throw` throws an error of this class.
    pub fn class(&self) -> ErrorClass {
        match self {
            Error::Memory(error) => error.class(),
            Error::TooLargeForEngine { .. }
            | Error::HeapLimit { .. }
            | Error::InvalidLength { .. }
            | Error::Misaligned { .. }
            | Error::PartialElement { .. } => ErrorClass::RangeError,
            Error::Script { .. }
            | Error::AddressTaken { .. }
            | Error::Detached { .. }
            | Error::OutOfBounds { .. }
            | Error::NotDetachable { .. }
            | Error::WrongDetachKey { .. }
            | Error::Immutable { .. }
            | Error::NotResizable { .. }
            | Error::NotAnArrayBuffer { .. }
            | Error::Argument { .. }
            | Error::Function { .. }
            | Error::NotLent { .. }
            | Error::WrongIsolate { .. }
            | Error::IsolateGone
            | Error::LayoutChanged { .. }
            | Error::Unsupported { .. }
            | Error::Flag { .. }
            | Error::EngineFailed { .. } => ErrorClass::TypeError,
        }
    }

    /// A name for programs and scripts, which stays when the message is improved: `"DETACHED"`. Errors that have
    /// the same remedy share a name, also with errors of the core.
    pub fn code(&self) -> &'static str {
        match self {
            Error::Memory(error) => error.code(),
            Error::Script { .. } => "SCRIPT",
            Error::HeapLimit { .. } => "HEAP_LIMIT",
            Error::TooLargeForEngine { .. } => "TOO_LARGE_FOR_ENGINE",
            Error::Misaligned { .. } => "MISALIGNED",
            Error::PartialElement { .. } => "PARTIAL_ELEMENT",
            Error::AddressTaken { .. } => "ADDRESS_TAKEN",
            Error::InvalidLength { .. } => "INVALID_LENGTH",
            Error::Detached { .. } => "DETACHED",
            Error::OutOfBounds { .. } => "OUT_OF_BOUNDS",
            Error::NotDetachable { .. } => "NOT_DETACHABLE",
            Error::WrongDetachKey { .. } => "WRONG_DETACH_KEY",
            Error::Immutable { .. } => "IMMUTABLE",
            Error::NotResizable { .. } => "NOT_RESIZABLE",
            Error::NotAnArrayBuffer { .. } => "NOT_AN_ARRAY_BUFFER",
            Error::Argument { .. } => "ARGUMENT",
            Error::Function { .. } => "FUNCTION",
            Error::NotLent { .. } => "NOT_LENT",
            Error::WrongIsolate { .. } => "WRONG_ISOLATE",
            Error::IsolateGone => "ISOLATE_GONE",
            Error::LayoutChanged { .. } => "LAYOUT_CHANGED",
            Error::Unsupported { .. } => "UNSUPPORTED",
            Error::Flag { .. } => "FLAG",
            Error::EngineFailed { .. } => "ENGINE_FAILED",
        }
    }
}

impl<T> From<Rejected<T, Error>> for Error {
    fn from(rejected: Rejected<T, Error>) -> Error {
        rejected.into_parts().0
    }
}

impl<T> From<Rejected<T>> for Error {
    fn from(rejected: Rejected<T>) -> Error {
        Error::Memory(rejected.into())
    }
}
