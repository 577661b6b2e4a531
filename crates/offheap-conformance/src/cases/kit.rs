//! Helpers that many cases share.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, ThreadId};

use offheap_engine::offheap::{BackingStore, Error as CoreError, FrozenStore, SharedStore, UniqueStore};
use offheap_engine::{Engine, Handle, JsArrayBuffer, ScriptValue};

use crate::Failure;

/// Collects garbage until everything unreachable is finalized.
pub(super) fn settle(engine: &mut dyn Engine) {
    engine.collect();
    engine.drain_finalizers();
}

/// One call of a deleter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Deleted {
    pub(super) address: usize,
    pub(super) byte_length: usize,
    pub(super) thread: ThreadId,
}

/// The calls of a deleter.
#[derive(Clone, Default)]
pub(super) struct Tally(Arc<Mutex<Vec<Deleted>>>);

impl Tally {
    pub(super) fn calls(&self) -> Vec<Deleted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How often it was called.
    pub(super) fn count(&self) -> usize {
        self.calls().len()
    }
}

impl Tally {
    fn deleter(&self) -> impl FnOnce(*mut u8, usize) + Send + 'static {
        let calls = Arc::clone(&self.0);
        move |data, byte_length| {
            let deleted = Deleted { address: data.addr(), byte_length, thread: thread::current().id() };
            calls.lock().unwrap_or_else(PoisonError::into_inner).push(deleted);
        }
    }
}

/// Makes a store over these bytes, and records the calls of its deleter.
pub(super) fn tallied(bytes: Vec<u8>) -> Result<(BackingStore, Tally), Failure> {
    let tally = Tally::default();
    let store = UniqueStore::from_owner_with_deleter(bytes, tally.deleter())?;
    Ok((store.into(), tally))
}

/// Makes a shared store over these bytes, and records the calls of its deleter.
pub(super) fn tallied_shared(bytes: Vec<u8>) -> Result<(SharedStore, Tally), Failure> {
    let tally = Tally::default();
    let store = SharedStore::from_owner_with_deleter(bytes, tally.deleter())?;
    Ok((store, tally))
}

/// Makes a read-only store of this many bytes.
pub(super) fn frozen(byte_length: usize) -> Result<BackingStore, Failure> {
    Ok(FrozenStore::from_owner(Arc::<[u8]>::from(vec![1; byte_length]))?.into())
}

/// Makes a store over these bytes.
pub(super) fn store_of(bytes: Vec<u8>) -> Result<BackingStore, Failure> {
    Ok(UniqueStore::from_owner(bytes)?.into())
}

/// Runs a script whose value must be a string, and returns the value.
pub(super) fn text(engine: &mut dyn Engine, source: &str) -> Result<String, Failure> {
    match engine.evaluate(source)? {
        ScriptValue::String(text) => Ok(text),
        other => Err(Failure::new(format!("expected a string of `{source}`, saw {other:?}"))),
    }
}

/// Runs a script, and returns its value converted to a string.
macro_rules! expect_script {
    ($engine:expr, $source:expr, $expected:expr) => {
        expect_eq!($crate::cases::kit::text(&mut *$engine, $source)?, $expected, "`{}`", $source)
    };
}

/// The bytes of a resizable store. If the engine unmaps memory when it shrinks, script reads them: such memory cannot
/// be copied outside its isolate.
pub(super) fn present_bytes(
    engine: &mut dyn Engine,
    buffer: &Handle<JsArrayBuffer>,
    store: &BackingStore,
) -> Result<Vec<u8>, Failure> {
    match store.to_vec() {
        Err(CoreError::EngineMayShrink { .. }) => {}
        bytes => return Ok(bytes?),
    }
    engine.set_global("present", buffer)?;
    let listed = engine.evaluate("String(new Uint8Array(present))")?;
    let ScriptValue::String(listed) = listed else {
        return Err(Failure::new(format!("{listed:?} is no list of bytes")));
    };
    Ok(listed.split(',').filter_map(|byte| byte.parse().ok()).collect())
}
