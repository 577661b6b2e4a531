//! What can go wrong between native code and an engine.

use offheap::{ErrorClass, IsolateId, Rejected, StoreId};

/// An error of an adapter. All adapters have this one, so that code moves between them by changing a `use`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The core refused.
    #[error(transparent)]
    Memory(#[from] offheap::Error),
    /// Script threw, or did not parse, or its value is none that was asked for.
    #[error("{engine}: {message}{}", place_in(stack))]
    Script {
        /// The engine.
        engine: &'static str,
        /// What was thrown, as a string: `TypeError: not a function`.
        message: String,
        /// Where, one frame a line; empty where the engine did not tell.
        stack: String,
    },
    /// More bytes than the engine puts into one buffer.
    #[error(
        "{engine} takes at most {limit} bytes in one ArrayBuffer, and {}",
        match store {
            None => format!("{byte_length} were asked for; ask for less"),
            Some(store) => format!(
                "store {store} has {byte_length}, or may get so many; expose parts of it (`slice`), or where its length \
                 changes make it with a max_byte_length of at most {limit}, since such memory is exposed as a whole"
            ),
        }
    )]
    TooLargeForEngine {
        /// The engine.
        engine: &'static str,
        /// The store, where there is one.
        store: Option<StoreId>,
        /// Its length in bytes.
        byte_length: usize,
        /// The most that the engine takes.
        limit: usize,
    },
    /// Bytes at an address that the engine's elements do not allow.
    #[error(
        "{engine} cannot have store {store} from offset {byte_offset} on: the address is no multiple of {alignment}; \
         begin at an offset that makes it one, or copy"
    )]
    Misaligned {
        /// The engine.
        engine: &'static str,
        /// The store.
        store: StoreId,
        /// Where in the store the bytes begin.
        byte_offset: usize,
        /// What the address must be a multiple of.
        alignment: usize,
    },
    /// Two stores over the same memory: each would free it.
    #[error(
        "{engine} cannot have store {store}: its bytes begin where those of store {other} do, which it has already, and \
         each would free them; use clones of one store"
    )]
    AddressTaken {
        /// The engine.
        engine: &'static str,
        /// The store.
        store: StoreId,
        /// The one that the engine has.
        other: StoreId,
    },
    /// A length that the operation does not allow.
    #[error(
        "{engine}: cannot {attempted} a buffer to {requested} bytes: {}",
        match requested < limit {
            true => format!("it has {limit}, and shared memory never gets shorter; ask for more"),
            false => format!("{limit} are the most; ask for less"),
        }
    )]
    InvalidLength {
        /// The engine.
        engine: &'static str,
        /// What was tried.
        attempted: &'static str,
        /// The length that was asked for, in bytes.
        requested: usize,
        /// The most it may be; where less was asked for, the length of shared memory, which is the least.
        limit: usize,
    },
    /// The buffer is detached.
    #[error(
        "{engine}: cannot {attempted} the buffer: it is detached; use it before that, or the buffer that took its memory"
    )]
    Detached {
        /// The engine.
        engine: &'static str,
        /// What was tried.
        attempted: &'static str,
    },
    /// The buffer can never be detached: it is shared, or backs a WebAssembly memory.
    #[error("{engine}: cannot {attempted} the buffer: {why}")]
    NotDetachable {
        /// The engine.
        engine: &'static str,
        /// What was tried.
        attempted: &'static str,
        /// Why not, and what to do.
        why: &'static str,
    },
    /// The buffer has a detach key and this is not it, or it has none and one was given (ECMAScript `DetachArrayBuffer`).
    #[error(
        "{engine}: cannot {attempted} the buffer: its detach key is not what was given ({given}); pass the key that was \
         set, and none where none was"
    )]
    WrongDetachKey {
        /// The engine.
        engine: &'static str,
        /// What was tried.
        attempted: &'static str,
        /// What was given: `no key was given`, `another was given`, `it has none`; V8 does not tell the last two apart.
        given: &'static str,
    },
    /// The buffer is immutable.
    #[error("{engine}: cannot {attempted} the buffer: it is immutable; copy it first")]
    Immutable {
        /// The engine.
        engine: &'static str,
        /// What was tried.
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
        /// What was tried: `"resize"`, or of shared memory `"grow"`.
        attempted: &'static str,
    },
    /// Something else where a buffer was expected.
    #[error("{engine}: expected an ArrayBuffer or a view of one, found {found}")]
    NotAnArrayBuffer {
        /// The engine.
        engine: &'static str,
        /// What was found.
        found: String,
    },
    /// Bytes that script of another isolate may be using, as far as the engine says; nothing is lent of them.
    #[error("{engine} cannot {attempted} store {store} in {here}: {why}")]
    NotLent {
        /// The engine.
        engine: &'static str,
        /// What was tried.
        attempted: &'static str,
        /// The store.
        store: StoreId,
        /// The isolate that was to lend its bytes.
        here: IsolateId,
        /// Why not, and what to do.
        why: &'static str,
    },
    /// A handle of one isolate in another.
    #[error("a handle of {handle} was used in {here}; externalize it there and expose the store here")]
    WrongIsolate {
        /// The handle's isolate.
        handle: IsolateId,
        /// Where it was used.
        here: IsolateId,
    },
    /// The handle's isolate has ended.
    #[error("the isolate of this handle has ended; take what is needed from a handle (`externalize`) before that")]
    IsolateGone,
    /// The engine is not laid out as this adapter expects, so buffers that it made cannot be externalized.
    #[error(
        "{engine} {version} keeps its ArrayBuffers in another way than this adapter knows, so it cannot externalize \
         buffers that script made; everything else works: use the engine version that the adapter names"
    )]
    LayoutChanged {
        /// The engine.
        engine: &'static str,
        /// Its version.
        version: String,
    },
    /// Something that this engine cannot do.
    #[error("{engine} cannot {what}; {instead}")]
    Unsupported {
        /// The engine.
        engine: &'static str,
        /// What was asked for.
        what: &'static str,
        /// What to do instead.
        instead: &'static str,
    },
    /// A flag that the engine is not started with.
    #[error("{engine} is not started with the flag `{}`: {why}", flag.escape_debug())]
    Flag {
        /// The engine.
        engine: &'static str,
        /// The flag, as it was given.
        flag: String,
        /// What is wrong with it, and what to do.
        why: &'static str,
    },
    /// The engine failed without saying why, as it does when it has no memory left for the error itself.
    #[error("{engine} failed to {attempted} and gave no reason; its memory limit may be reached")]
    EngineFailed {
        /// The engine.
        engine: &'static str,
        /// What was tried.
        attempted: &'static str,
    },
}

impl Error {
    /// Which error this is in JavaScript, on every engine: what `Throw` of an adapter makes of it.
    pub fn class(&self) -> ErrorClass {
        match self {
            Error::Memory(error) => error.class(),
            Error::TooLargeForEngine { .. } | Error::InvalidLength { .. } | Error::Misaligned { .. } => {
                ErrorClass::RangeError
            }
            Error::Script { .. }
            | Error::AddressTaken { .. }
            | Error::Detached { .. }
            | Error::NotDetachable { .. }
            | Error::WrongDetachKey { .. }
            | Error::Immutable { .. }
            | Error::NotResizable { .. }
            | Error::NotAnArrayBuffer { .. }
            | Error::NotLent { .. }
            | Error::WrongIsolate { .. }
            | Error::IsolateGone
            | Error::LayoutChanged { .. }
            | Error::Unsupported { .. }
            | Error::Flag { .. }
            | Error::EngineFailed { .. } => ErrorClass::TypeError,
        }
    }

    /// A name for programs and scripts, which stays when the message is improved: `"DETACHED"`. Errors that are mended in the
    /// same way share one, with those of the core too.
    pub fn code(&self) -> &'static str {
        match self {
            Error::Memory(error) => error.code(),
            Error::Script { .. } => "SCRIPT",
            Error::TooLargeForEngine { .. } => "TOO_LARGE_FOR_ENGINE",
            Error::Misaligned { .. } => "MISALIGNED",
            Error::AddressTaken { .. } => "ADDRESS_TAKEN",
            Error::InvalidLength { .. } => "INVALID_LENGTH",
            Error::Detached { .. } => "DETACHED",
            Error::NotDetachable { .. } => "NOT_DETACHABLE",
            Error::WrongDetachKey { .. } => "WRONG_DETACH_KEY",
            Error::Immutable { .. } => "IMMUTABLE",
            Error::NotResizable { .. } => "NOT_RESIZABLE",
            Error::NotAnArrayBuffer { .. } => "NOT_AN_ARRAY_BUFFER",
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

/// Where the innermost frame of a stack is, for the end of a message: ` at file.js:3:5`. Nothing where that is unknown.
fn place_in(stack: &str) -> String {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    for frame in stack.lines() {
        let frame = frame.trim();
        let frame = frame.strip_prefix("at ").unwrap_or(frame);
        // `name (place)`, or the place by itself; a path may have brackets too.
        let place = match frame.strip_suffix(')').and_then(|frame| frame.split_once(" (")) {
            Some((_, place)) => place,
            None => frame,
        };
        // Of text that `eval` ran V8 says before that where `eval` was called.
        let place = place.rsplit_once("), ").map_or(place, |(_, place)| place);
        // Functions of the engine have no place.
        if place.rsplit_once(':').is_some_and(|(_, column)| is_number(column)) {
            return format!(" at {place}");
        }
    }
    String::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_frame_with_a_place_ends_the_message() {
        for (stack, expected) in [
            ("", "E: Error: no"),
            ("    at f (file.js:3:5)\n    at g (file.js:9:1)", "E: Error: no at file.js:3:5"),
            ("    at file:///a%20b.js:3:5", "E: Error: no at file:///a%20b.js:3:5"),
            ("    at map (native)\n    at <eval> (x (86)/a.js:1:2)\n", "E: Error: no at x (86)/a.js:1:2"),
            ("    at eval (eval at f (a.js:1:2), <anonymous>:3:4)", "E: Error: no at <anonymous>:3:4"),
            ("    at Array.map (<anonymous>)", "E: Error: no"),
        ] {
            let error = Error::Script { engine: "E", message: "Error: no".into(), stack: stack.into() };
            assert_eq!(error.to_string(), expected);
        }
    }
}
