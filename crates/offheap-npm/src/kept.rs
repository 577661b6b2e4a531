//! Memory that script keeps without a buffer.

use std::cell::RefCell;
use std::collections::HashMap;
use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};

use napi::bindgen_prelude::{External, Unknown};
use napi::{Env, Result};
use napi_derive::napi;
use offheap_ledger::{Hold, installed};
use offheap_node::offheap::{self, BackingStore};
use offheap_node::{CopyReason, Error, Exposure, Host, Incoming, expose_or_copy, externalize, filled, mode};

use crate::errors::{exception, type_error};
use crate::place::{Place, at};
use crate::sys::{expose_file, is_main_thread};

/// The key of a store in what its thread keeps, until it is released or collected.
pub struct Kept(u64);

thread_local! {
    static HERE: Here = Here::default();
}

/// What a thread keeps. Deno and Bun collect nothing when a worker ends, so the end of its thread lets go of all.
#[derive(Default)]
struct Here(RefCell<HashMap<u64, Held>>);

impl Drop for Here {
    fn drop(&mut self) {
        if is_main_thread() {
            // The process ends. Then a ledger says what was not released.
            mem::forget(self.0.take());
        }
    }
}

impl Kept {
    fn new(held: Held) -> Kept {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let key = NEXT.fetch_add(1, Ordering::Relaxed);
        HERE.with(|Here(here)| here.borrow_mut().insert(key, held));
        Kept(key)
    }

    fn store(&self) -> Option<BackingStore> {
        HERE.with(|Here(here)| here.borrow().get(&self.0).map(|held| held.store.clone()))
    }

    /// Lets go of the store. A thread that ends has none.
    fn take(&self) -> Option<Held> {
        HERE.try_with(|Here(here)| here.borrow_mut().remove(&self.0)).ok().flatten()
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        drop(self.take());
    }
}

struct Held {
    store: BackingStore,
    /// What the ledger knows of it.
    hold: Option<Hold>,
}

impl Drop for Held {
    fn drop(&mut self) {
        if let (Some(ledger), Some(hold)) = (installed(), self.hold.take()) {
            ledger.release(hold);
        }
    }
}

/// How memory came in, or went out.
#[napi(object, object_from_js = false)]
pub struct How {
    /// Whether it is a copy.
    pub copied: bool,
    /// Why, in one word.
    pub reason: Option<String>,
    /// Why, in words.
    pub message: Option<String>,
}

impl How {
    const MEMORY: How = How { copied: false, reason: None, message: None };

    fn copied(reason: impl Into<String>, message: impl Into<String>) -> How {
        How { copied: true, reason: Some(reason.into()), message: Some(message.into()) }
    }
}

impl From<Exposure> for How {
    fn from(exposure: Exposure) -> How {
        match exposure {
            Exposure::External => How::MEMORY,
            Exposure::Copied { reason } => How::copied(format!("{reason:?}"), CopyReason::text(reason)),
        }
    }
}

/// What `keep` returns.
#[napi(object, object_from_js = false)]
pub struct Came {
    /// The memory.
    pub kept: External<Kept>,
    /// Whether it is that of the buffer.
    pub how: How,
    /// The length in bytes.
    pub byte_length: f64,
}

/// Keeps the memory of a buffer.
#[napi]
pub fn keep(env: &Env, buffer: Unknown<'_>, place: Option<Place>) -> Result<Came> {
    let kept = at(place.as_ref(), || externalize(&buffer));
    let Incoming { view, exposure, .. } = kept.map_err(|error| exception(env, error))?;
    let hold = match (installed(), &place) {
        (Some(ledger), Some(place)) => Some(ledger.hold(&view.store, place.site())),
        _ => None,
    };
    let byte_length = view.store.byte_length() as f64;
    let kept = Kept::new(Held { store: view.store, hold });
    Ok(Came { kept: External::new(kept), how: exposure.into(), byte_length })
}

/// What `again` returns.
#[napi(object, object_from_js = false)]
pub struct Given<'env> {
    /// The buffer.
    pub buffer: Unknown<'env>,
    /// Whether it is over the memory.
    pub how: How,
}

/// A buffer over the memory. If script has a live one, it is a copy.
#[napi]
pub fn again<'env>(env: &'env Env, kept: &External<Kept>, place: Option<Place>) -> Result<Given<'env>> {
    let Some(store) = kept.store() else {
        return Err(type_error(
            env,
            "RELEASED",
            "the memory was released; externalize the buffer again, or release it later",
        ));
    };
    let given = at(place.as_ref(), || out(env, &store));
    let (buffer, how) = given.map_err(|error| exception(env, error))?;
    Ok(Given { buffer, how })
}

/// A buffer over the store, which this call and what keeps it refer to.
fn out<'env>(env: &'env Env, store: &BackingStore) -> std::result::Result<(Unknown<'env>, How), Error> {
    if store.kind().is_file() {
        // Deno takes it for unshared memory.
        let is_alone = mode(env).host() != Host::Deno || store.reference_count() <= 2;
        return if is_alone { Ok((expose_file(env, store)?, How::MEMORY)) } else { copy(env, store) };
    }
    match expose_or_copy(env, store) {
        Ok((buffer, exposure)) => Ok((buffer, exposure.into())),
        Err(Error::Memory(offheap::Error::OneBuffer { .. })) => copy(env, store),
        Err(error) => Err(error),
    }
}

fn copy<'env>(env: &'env Env, store: &BackingStore) -> std::result::Result<(Unknown<'env>, How), Error> {
    let mut copied = Ok(());
    let copy = filled(env, store.byte_length(), |into| copied = store.copy_to_slice(0, into))?;
    copied?;
    let message = "script has a buffer over this memory, and unshared memory has one at a time; use that buffer, or drop it first";
    Ok((copy, How::copied("OneBuffer", message)))
}

/// Lets go of the memory. Says whether it was kept.
#[napi]
pub fn release(kept: &External<Kept>) -> bool {
    kept.take().is_some()
}
