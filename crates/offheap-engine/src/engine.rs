//! `Engine`: the operations that tools need, on any engine.

use std::fmt;

use offheap::{BackingStore, IsolateId, UniqueStore};

use crate::{Capabilities, Error, Exposure, Handle, JsArrayBuffer};

/// One isolate of one engine, driven by a tool.
///
/// Lengths and offsets are in bytes. Any call may run finalizers; a call whose description mentions script may run
/// any script. No call is made while a guard lives. All calls take place on one thread.
pub trait Engine {
    /// The engine's name: `"QuickJS"`, `"V8"`, `"Model"`.
    fn name(&self) -> &'static str;

    /// The version that the engine reports.
    fn version(&self) -> String;

    /// The abilities that this engine has, of those that engines differ in.
    fn capabilities(&self) -> Capabilities;

    /// The maximum length of one buffer, in bytes.
    fn max_byte_length(&self) -> usize;

    /// The id of this isolate.
    fn isolate(&self) -> IsolateId;

    /// Runs a script, and then the microtasks that it queued.
    ///
    /// # Errors
    /// [`Error::Script`] if the script throws or does not parse, [`Error::Unsupported`] on an engine without
    /// script.
    fn evaluate(&mut self, source: &str) -> Result<ScriptValue, Error>;

    /// Runs a script whose value is an ArrayBuffer or a view, and returns that buffer or the view's buffer.
    ///
    /// # Errors
    /// [`Error::NotAnArrayBuffer`] if the value is neither, [`Error::Script`] if the script throws or does not
    /// parse, [`Error::Unsupported`] on an engine without script.
    fn evaluate_buffer(&mut self, source: &str) -> Result<Handle<JsArrayBuffer>, Error>;

    /// Makes a buffer a global variable of script. The variable keeps the buffer until it gets another value.
    ///
    /// # Errors
    /// [`Error::WrongIsolate`], [`Error::IsolateGone`], [`Error::Unsupported`] on an engine without global variables.
    fn set_global(&mut self, name: &str, buffer: &Handle<JsArrayBuffer>) -> Result<(), Error>;

    /// A buffer over the engine's own memory: `new ArrayBuffer(byteLength, { maxByteLength })`.
    ///
    /// # Errors
    /// [`Error::TooLargeForEngine`], [`Error::Script`] if there is no memory.
    fn allocate(&mut self, byte_length: usize, max_byte_length: Option<usize>) -> Result<Handle<JsArrayBuffer>, Error>;

    /// A buffer over the engine's own shared memory: `new SharedArrayBuffer(byteLength, { maxByteLength })`.
    ///
    /// # Errors
    /// [`Error::TooLargeForEngine`], [`Error::Script`] if there is no memory, [`Error::Unsupported`] on an engine
    /// without shared memory.
    fn allocate_shared(
        &mut self,
        byte_length: usize,
        max_byte_length: Option<usize>,
    ) -> Result<Handle<JsArrayBuffer>, Error>;

    /// A buffer over a store: a SharedArrayBuffer if the store is shared. The returned [`Exposure`] says whether
    /// the engine made a copy.
    ///
    /// # Errors
    /// [`Error::TooLargeForEngine`]; [`Error::Memory`] if another isolate has the store, a guard uses it, or it was
    /// freed.
    fn expose(&mut self, store: &BackingStore) -> Result<(Handle<JsArrayBuffer>, Exposure), Error>;

    /// A reference to the store of a buffer, no matter who made the buffer. References to the same memory are
    /// equal. A detached buffer gives a new, empty store, as V8's `GetBackingStore` does, whose cases tools run;
    /// [`Scope::externalize`](crate::Scope::externalize) returns an error.
    ///
    /// # Errors
    /// [`Error::WrongIsolate`], [`Error::IsolateGone`], [`Error::LayoutChanged`], [`Error::Memory`].
    fn externalize(&mut self, buffer: &Handle<JsArrayBuffer>) -> Result<BackingStore, Error>;

    /// Detaches a buffer. `key` must be the buffer's detach key, or `None` if it has none. A detached buffer
    /// stays detached.
    ///
    /// # Errors
    /// [`Error::WrongDetachKey`], [`Error::Immutable`], [`Error::NotDetachable`].
    fn detach(&mut self, buffer: &Handle<JsArrayBuffer>, key: Option<&str>) -> Result<(), Error>;

    /// Externalizes and detaches a buffer, and returns its memory, which nothing else refers to; see
    /// [`Scope::take`](crate::Scope::take).
    ///
    /// # Errors
    /// [`Error::NotDetachable`], [`Error::Immutable`], [`Error::Detached`], [`Error::WrongDetachKey`],
    /// [`Error::Memory`].
    fn take(&mut self, buffer: &Handle<JsArrayBuffer>, key: Option<&str>) -> Result<UniqueStore, Error>;

    /// Sets the key that detaching and transferring need; `None` removes it.
    ///
    /// # Errors
    /// [`Error::WrongIsolate`], [`Error::Unsupported`], [`Error::NotDetachable`] for shared memory.
    fn set_detach_key(&mut self, buffer: &Handle<JsArrayBuffer>, key: Option<&str>) -> Result<(), Error>;

    /// `buffer.transfer(newByteLength)`.
    ///
    /// # Errors
    /// [`Error::Detached`], [`Error::WrongDetachKey`], [`Error::Immutable`], [`Error::NotDetachable`],
    /// [`Error::InvalidLength`], [`Error::Script`] if there is no memory.
    fn transfer(
        &mut self,
        buffer: &Handle<JsArrayBuffer>,
        byte_length: Option<usize>,
    ) -> Result<Handle<JsArrayBuffer>, Error>;

    /// `buffer.resize(newByteLength)`, or `buffer.grow(newByteLength)` for a SharedArrayBuffer. Shared memory never
    /// shrinks: a shorter length is [`Error::InvalidLength`].
    ///
    /// # Errors
    /// [`Error::Detached`], [`Error::NotResizable`], [`Error::InvalidLength`], [`Error::Immutable`].
    fn resize(&mut self, buffer: &Handle<JsArrayBuffer>, byte_length: usize) -> Result<(), Error>;

    /// The properties of a buffer that script sees.
    ///
    /// # Errors
    /// [`Error::WrongIsolate`], [`Error::IsolateGone`].
    fn state(&mut self, buffer: &Handle<JsArrayBuffer>) -> Result<BufferState, Error>;

    /// Reads a byte as script does: `new Uint8Array(buffer)[index]`. `None` stands for `undefined`.
    ///
    /// # Errors
    /// [`Error::Detached`] where the constructor would throw.
    fn read(&mut self, buffer: &Handle<JsArrayBuffer>, index: usize) -> Result<Option<u8>, Error>;

    /// Writes a byte as script does: `new Uint8Array(buffer)[index] = value`. A write past the end does nothing.
    ///
    /// # Errors
    /// [`Error::Detached`] where the constructor would throw; [`Error::Immutable`].
    fn write(&mut self, buffer: &Handle<JsArrayBuffer>, index: usize, value: u8) -> Result<(), Error>;

    /// Lends the bytes of a buffer to `read`. No script runs during the call.
    ///
    /// # Errors
    /// [`Error::Memory`] for shared memory, for a mapped file, and while a guard writes the bytes.
    fn with_bytes(&mut self, buffer: &Handle<JsArrayBuffer>, read: &mut dyn FnMut(&[u8])) -> Result<(), Error>;

    /// Runs a script whose value is a typed array or DataView, and returns what native code sees of that view.
    ///
    /// # Errors
    /// [`Error::NotAnArrayBuffer`] if the value is not a view, [`Error::Script`] if the script throws or does not
    /// parse, [`Error::Unsupported`] on an engine without script.
    fn evaluate_view(&mut self, source: &str) -> Result<ViewState, Error>;

    /// Collects all garbage.
    fn collect(&mut self);

    /// Collects young objects on an engine with [`Capabilities::GENERATIONS`]; does nothing on others.
    fn collect_young(&mut self);

    /// Waits until the finalizers that the engine postponed have run.
    fn drain_finalizers(&mut self);

    /// The bytes of the stores that this isolate's live buffers use. Each store counts once, with all the memory
    /// that it reserves. Manual memory, mapped files, and shared and frozen memory count as 0: collecting a buffer
    /// of this isolate need not free them.
    fn external_bytes(&self) -> usize;

    /// Ends the isolate. Handles and stores may outlive it.
    fn shut_down(self: Box<Self>);
}

/// The properties of a buffer that script sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BufferState {
    /// `byteLength`: 0 if the buffer is detached.
    pub byte_length: usize,
    /// `maxByteLength`: the length if the buffer is not resizable; 0 if it is detached.
    pub max_byte_length: usize,
    /// `detached`.
    pub detached: bool,
    /// `resizable`, or `growable` for a SharedArrayBuffer.
    pub resizable: bool,
    /// `immutable`.
    pub immutable: bool,
    /// The buffer is a SharedArrayBuffer.
    pub shared: bool,
}

/// A typed array or DataView, as native code sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViewState {
    /// The offset of its first byte in its buffer; 0 if the buffer is detached or the view is out of bounds.
    pub byte_offset: usize,
    /// Its length in bytes; 0 if the buffer is detached or the view is out of bounds.
    pub byte_length: usize,
    /// A copy of its bytes; empty if the buffer is detached or the view is out of bounds.
    pub contents: Vec<u8>,
}

/// A value of script as data: an object is only named. What [`Engine::evaluate`] returns, and what adapters make
/// [`Value`](crate::Value)s of.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ScriptValue {
    /// `undefined`.
    Undefined,
    /// `null`.
    Null,
    /// A boolean.
    Boolean(bool),
    /// A number.
    Number(f64),
    /// A BigInt that fits in an `i64` or a `u64`.
    BigInt(i128),
    /// A string.
    String(String),
    /// A value of another type, with the name of the type: `"object"`, `"function"`.
    Other(&'static str),
}

impl fmt::Display for ScriptValue {
    /// The value as script would write it, shortened for messages.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MOST: usize = 40;
        match self {
            ScriptValue::Undefined => f.write_str("undefined"),
            ScriptValue::Null => f.write_str("null"),
            ScriptValue::Boolean(value) => write!(f, "{value}"),
            ScriptValue::Number(value) => write!(f, "the number {value}"),
            ScriptValue::BigInt(value) => write!(f, "the BigInt {value}"),
            ScriptValue::String(text) => match text.char_indices().nth(MOST) {
                Some((end, _)) => write!(f, "the string {:?}…", &text[..end]),
                None => write!(f, "the string {text:?}"),
            },
            ScriptValue::Other(other) => write!(f, "a value of the type {other}"),
        }
    }
}
