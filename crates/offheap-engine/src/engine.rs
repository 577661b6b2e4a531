//! `Engine`: the verbs that tools need, the same on every engine.

use std::fmt;

use offheap::adapter::type_name_without_paths;
use offheap::{BackingStore, IsolateId};

use crate::{Capabilities, Error, Exposure, Handle, JsArrayBuffer};

/// One isolate of one engine, driven by a tool.
///
/// Lengths and offsets are in bytes. Every call may run finalizers, and those that are said to run script may run any;
/// none is made while a guard lives. All calls take place on one thread.
pub trait Engine {
    /// The engine: `"QuickJS"`, `"V8"`, `"Model"`.
    fn name(&self) -> &'static str;

    /// Its version, as it tells it.
    fn version(&self) -> String;

    /// The abilities of this engine among those that engines differ in.
    fn capabilities(&self) -> Capabilities;

    /// The most bytes that one buffer can have.
    fn max_byte_length(&self) -> usize;

    /// This isolate.
    fn isolate(&self) -> IsolateId;

    /// Runs script, and the microtasks that it left.
    ///
    /// # Errors
    /// [`Error::Script`] when it throws or does not parse, [`Error::Unsupported`] on an engine without script.
    fn evaluate(&mut self, source: &str) -> Result<ScriptValue, Error>;

    /// Runs script whose value is an ArrayBuffer, or a view, of which it takes the buffer.
    ///
    /// # Errors
    /// As for [`evaluate`](Self::evaluate), and [`Error::NotAnArrayBuffer`].
    fn evaluate_buffer(&mut self, source: &str) -> Result<Handle<JsArrayBuffer>, Error>;

    /// Makes a buffer a global variable of script, which keeps it until the name gets another value.
    ///
    /// # Errors
    /// [`Error::WrongIsolate`], [`Error::IsolateGone`], [`Error::Unsupported`] on an engine without global variables.
    fn set_global(&mut self, name: &str, buffer: &Handle<JsArrayBuffer>) -> Result<(), Error>;

    /// A buffer with memory of the engine's own: `new ArrayBuffer(byteLength, { maxByteLength })`.
    ///
    /// # Errors
    /// [`Error::TooLargeForEngine`], [`Error::Script`] when there is no memory.
    fn allocate(&mut self, byte_length: usize, max_byte_length: Option<usize>) -> Result<Handle<JsArrayBuffer>, Error>;

    /// A buffer with shared memory of the engine's own: `new SharedArrayBuffer(byteLength, { maxByteLength })`.
    ///
    /// # Errors
    /// [`Error::TooLargeForEngine`], [`Error::Script`] when there is no memory, [`Error::Unsupported`] on an engine without
    /// shared memory.
    fn allocate_shared(
        &mut self,
        byte_length: usize,
        max_byte_length: Option<usize>,
    ) -> Result<Handle<JsArrayBuffer>, Error>;

    /// A buffer over a store, without a copy unless it says so: a SharedArrayBuffer where the store is shared.
    ///
    /// # Errors
    /// [`Error::TooLargeForEngine`], and the core's: another isolate has the store, a guard uses it, it was freed.
    fn expose(&mut self, store: &BackingStore) -> Result<(Handle<JsArrayBuffer>, Exposure), Error>;

    /// A reference to the store of a buffer, whoever made it: equal ones for the same memory. Of a detached buffer, a
    /// new, empty store.
    ///
    /// # Errors
    /// [`Error::WrongIsolate`], [`Error::IsolateGone`], [`Error::LayoutChanged`], [`Error::Memory`].
    fn externalize(&mut self, buffer: &Handle<JsArrayBuffer>) -> Result<BackingStore, Error>;

    /// Detaches a buffer, with the key where it has one, and none where it has none. A detached buffer stays so.
    ///
    /// # Errors
    /// [`Error::WrongDetachKey`], [`Error::Immutable`], [`Error::NotDetachable`].
    fn detach(&mut self, buffer: &Handle<JsArrayBuffer>, key: Option<&str>) -> Result<(), Error>;

    /// Sets the key that detaching and transferring need, or with `None` takes it away.
    ///
    /// # Errors
    /// [`Error::WrongIsolate`], [`Error::Unsupported`], [`Error::NotDetachable`] of shared memory.
    fn set_detach_key(&mut self, buffer: &Handle<JsArrayBuffer>, key: Option<&str>) -> Result<(), Error>;

    /// `buffer.transfer(newByteLength)`.
    ///
    /// # Errors
    /// [`Error::Detached`], [`Error::WrongDetachKey`], [`Error::Immutable`], [`Error::NotDetachable`],
    /// [`Error::InvalidLength`], [`Error::Script`] when there is no memory.
    fn transfer(
        &mut self,
        buffer: &Handle<JsArrayBuffer>,
        byte_length: Option<usize>,
    ) -> Result<Handle<JsArrayBuffer>, Error>;

    /// `buffer.resize(newByteLength)`; of a SharedArrayBuffer `buffer.grow(newByteLength)`, where less than it has is
    /// [`Error::InvalidLength`] too.
    ///
    /// # Errors
    /// [`Error::Detached`], [`Error::NotResizable`], [`Error::InvalidLength`], [`Error::Immutable`].
    fn resize(&mut self, buffer: &Handle<JsArrayBuffer>, byte_length: usize) -> Result<(), Error>;

    /// What script sees of a buffer.
    ///
    /// # Errors
    /// [`Error::WrongIsolate`], [`Error::IsolateGone`].
    fn state(&mut self, buffer: &Handle<JsArrayBuffer>) -> Result<BufferState, Error>;

    /// What script reads: `new Uint8Array(buffer)[index]`, with `None` for `undefined`.
    ///
    /// # Errors
    /// [`Error::Detached`], as the constructor throws there.
    fn read(&mut self, buffer: &Handle<JsArrayBuffer>, index: usize) -> Result<Option<u8>, Error>;

    /// What script writes: `new Uint8Array(buffer)[index] = value`, which does nothing past the end.
    ///
    /// # Errors
    /// [`Error::Detached`], as the constructor throws there; [`Error::Immutable`].
    fn write(&mut self, buffer: &Handle<JsArrayBuffer>, index: usize, value: u8) -> Result<(), Error>;

    /// What native code sees of the view, a typed array or DataView, that this script evaluates to.
    ///
    /// # Errors
    /// As for [`evaluate_buffer`](Self::evaluate_buffer).
    fn evaluate_view(&mut self, source: &str) -> Result<ViewState, Error>;

    /// Collects garbage, all of it.
    fn collect(&mut self);

    /// Collects what was made lately, where the engine has generations, as [`Capabilities::GENERATIONS`] says; otherwise
    /// it does nothing.
    fn collect_young(&mut self);

    /// Waits until finalizers that the engine put off have run.
    fn drain_finalizers(&mut self);

    /// The bytes of stores that live buffers of this isolate are over, each store once, with all that it reserves. Manual
    /// memory, mapped files, and shared and frozen memory count 0: what collecting a buffer frees of them is not this
    /// isolate's to say.
    fn external_bytes(&self) -> usize;

    /// Ends the isolate. Handles and stores may outlive it.
    fn shut_down(self: Box<Self>);
}

/// What script sees of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BufferState {
    /// `byteLength`: 0 once detached.
    pub byte_length: usize,
    /// `maxByteLength`: the length, unless it is resizable; 0 once detached.
    pub max_byte_length: usize,
    /// `detached`.
    pub detached: bool,
    /// `resizable`; of a SharedArrayBuffer `growable`.
    pub resizable: bool,
    /// `immutable`.
    pub immutable: bool,
    /// It is a SharedArrayBuffer.
    pub shared: bool,
}

/// What native code sees of a typed array or DataView.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViewState {
    /// Where it begins in its buffer, in bytes: 0 where the buffer is detached, or the view out of bounds.
    pub byte_offset: usize,
    /// Its length in bytes: 0 there.
    pub byte_length: usize,
    /// A copy of its bytes: none there.
    pub contents: Vec<u8>,
}

/// A value that script returned.
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
    /// A string.
    String(String),
    /// Anything else, by its type: `"object"`, `"function"`.
    Other(&'static str),
}

impl fmt::Display for ScriptValue {
    /// As script would write it, shortened: for messages.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MOST: usize = 40;
        match self {
            ScriptValue::Undefined => f.write_str("undefined"),
            ScriptValue::Null => f.write_str("null"),
            ScriptValue::Boolean(value) => write!(f, "{value}"),
            ScriptValue::Number(value) => write!(f, "the number {value}"),
            ScriptValue::String(text) => match text.char_indices().nth(MOST) {
                Some((end, _)) => write!(f, "the string {:?}…", &text[..end]),
                None => write!(f, "the string {text:?}"),
            },
            ScriptValue::Other(other) => write!(f, "a value of the type {other}"),
        }
    }
}

/// The error for a script of `engine` whose value is no `T`. For adapters.
pub fn unexpected_value<T>(engine: &'static str, found: &ScriptValue) -> Error {
    let expected = type_name_without_paths(std::any::type_name::<T>());
    let message = format!(
        "the script's value is {found}, and a `{expected}` was asked for; ask for what it is, or convert it in script"
    );
    Error::Script { engine, message, stack: String::new() }
}
