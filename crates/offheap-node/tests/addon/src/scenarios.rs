//! The functions that scenarios call: those of `../plain/plain.c`, through offheap.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use napi::bindgen_prelude::{ArrayBuffer, Unknown};
use napi::{Env, Error, Result};
use napi_derive::napi;
use offheap_node::offheap::{BackingStore, SharedStore, UniqueStore};
use offheap_node::{CopyReason, Exposure, Incoming};

use crate::sys::poisoned::{self, Poisoned};

/// Why script got a copy of the memory with an id, where it got one.
static COPIED: Mutex<Option<HashMap<u32, CopyReason>>> = Mutex::new(None);
/// What scenarios hold, by number.
static HELD: LazyLock<Mutex<Vec<Option<Incoming>>>> = LazyLock::new(Mutex::default);
/// Bytes of `expose_heap` that were not freed.
static KEPT: AtomicUsize = AtomicUsize::new(0);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn failed(error: impl std::fmt::Display) -> Error {
    Error::from_reason(error.to_string())
}

fn text(exposure: Exposure) -> String {
    match exposure {
        Exposure::External => "memory".to_owned(),
        Exposure::Copied { reason } => format!("copied: {reason}"),
    }
}

fn out<'env>(env: &'env Env, id: u32, store: &BackingStore) -> Result<Unknown<'env>> {
    let (buffer, exposure) = offheap_node::expose_or_copy(env, store).map_err(failed)?;
    if let Exposure::Copied { reason } = exposure {
        lock(&COPIED).get_or_insert_default().insert(id, reason);
    }
    Ok(buffer)
}

fn held(number: u32) -> Result<Incoming> {
    lock(&HELD).get(number as usize).cloned().flatten().ok_or_else(|| failed("nothing is held with this number"))
}

/// A buffer over new memory.
#[napi]
pub fn expose<'env>(env: &'env Env, id: u32, byte_length: u32, byte: u8) -> Result<Unknown<'env>> {
    let store = UniqueStore::from_owner(Poisoned::new(id, byte_length as usize, byte))
        .map_err(|rejected| failed(rejected.error()))?;
    out(env, id, &store.into())
}

/// A SharedArrayBuffer over new memory.
#[napi]
pub fn expose_shared<'env>(env: &'env Env, id: u32, byte_length: u32, byte: u8) -> Result<Unknown<'env>> {
    let store = SharedStore::from_owner(Poisoned::new(id, byte_length as usize, byte))
        .map_err(|rejected| failed(rejected.error()))?;
    out(env, id, store.as_store())
}

/// Two buffers over one memory: the second one is refused.
#[napi]
pub fn expose_twice<'env>(env: &'env Env, id: u32, byte_length: u32, byte: u8) -> Result<Vec<Unknown<'env>>> {
    let store = UniqueStore::from_owner(Poisoned::new(id, byte_length as usize, byte))
        .map_err(|rejected| failed(rejected.error()))?;
    let store = BackingStore::from(store);
    Ok(vec![out(env, id, &store)?, out(env, id, &store)?])
}

/// Two buffers over stores that have one pointer: the second one is refused.
#[napi]
pub fn expose_pointer_twice<'env>(env: &'env Env, id: u32, byte_length: u32, byte: u8) -> Result<Vec<Unknown<'env>>> {
    let [first, second] = poisoned::two_stores(Poisoned::new(id, byte_length as usize, byte));
    Ok(vec![out(env, id, &first.into())?, out(env, id, &second.into())?])
}

/// A buffer over memory that nobody wrote and that is really freed.
#[napi]
pub fn expose_heap<'env>(env: &'env Env, byte_length: u32) -> Result<Unknown<'env>> {
    let byte_length = byte_length as usize;
    let freed = move |_, _| {
        KEPT.fetch_sub(byte_length, Ordering::Relaxed);
    };
    KEPT.fetch_add(byte_length, Ordering::Relaxed);
    let store = UniqueStore::from_owner_with_deleter(vec![0_u8; byte_length], freed)
        .map_err(|rejected| failed(rejected.error()))?;
    Ok(offheap_node::expose_or_copy(env, &store.into()).map_err(failed)?.0)
}

/// Bytes of `expose_heap` that were not freed.
#[napi]
pub fn kept() -> f64 {
    KEPT.load(Ordering::Relaxed) as f64
}

/// How often the memory with an id was freed.
#[napi]
pub fn freed(id: u32) -> u32 {
    poisoned::freed(id)
}

/// How many bytes of the memory with an id were written after it was freed.
#[napi]
pub fn written(id: u32) -> u32 {
    poisoned::written(id) as u32
}

/// Whether script got the memory with an id itself.
#[napi]
pub fn exposed(id: u32) -> String {
    let reason = lock(&COPIED).as_ref().and_then(|copied| copied.get(&id).copied());
    text(reason.map_or(Exposure::External, |reason| Exposure::Copied { reason }))
}

/// Holds the bytes of a buffer or view; returns a number for them.
#[napi]
pub fn hold(value: Unknown<'_>) -> Result<u32> {
    let incoming = offheap_node::externalize(&value).map_err(failed)?;
    let mut held = lock(&HELD);
    held.push(Some(incoming));
    Ok(held.len() as u32 - 1)
}

/// One byte of what is held.
#[napi]
pub fn read(number: u32, index: u32) -> Result<u8> {
    let mut byte = [0];
    held(number)?.view.store.copy_to_slice(index as usize, &mut byte).map_err(failed)?;
    Ok(byte[0])
}

/// The length in bytes of what is held.
#[napi]
pub fn byte_length(number: u32) -> Result<f64> {
    Ok(held(number)?.view.store.byte_length() as f64)
}

/// Whether what is held is script's memory itself.
#[napi]
pub fn exposure(number: u32) -> Result<String> {
    Ok(text(held(number)?.exposure))
}

/// One more buffer over what is held.
#[napi]
pub fn again<'env>(env: &'env Env, number: u32) -> Result<Unknown<'env>> {
    let store = held(number)?.view.store;
    Ok(offheap_node::expose_or_copy(env, &store).map_err(failed)?.0)
}

fn take(number: u32) -> Option<Incoming> {
    lock(&HELD).get_mut(number as usize)?.take()
}

/// Drops what is held.
#[napi]
pub fn release(number: u32) {
    drop(take(number));
}

/// Drops all that any environment holds.
#[napi]
pub fn release_all() {
    // The lock is let go before the drops.
    drop(std::mem::take(&mut *lock(&HELD)));
}

/// Drops what is held on a thread that has no environment.
#[napi]
pub fn release_on_thread(number: u32) -> Result<()> {
    let held = take(number);
    std::thread::spawn(move || drop(held)).join().map_err(|_| failed("the thread panicked"))
}

/// Frees the memory of script's own buffers that were collected.
#[napi]
pub fn release_collected() {
    offheap_node::release_collected();
}

/// Detaches a buffer.
#[napi]
pub fn detach(buffer: ArrayBuffer<'_>) -> Result<()> {
    buffer.detach()
}

/// Drops all that is held on a thread of Rust, and releases what V8 released, from the moment on when the owner of the
/// returned buffer is dropped. While script keeps that buffer, this is when V8's heap ends.
#[napi]
pub fn release_after<'env>(env: &'env Env) -> Result<Unknown<'env>> {
    let (sender, ended) = std::sync::mpsc::channel();
    let deleter = move |_, _| {
        let _ = sender.send(());
    };
    let store = UniqueStore::from_owner_with_deleter(vec![0_u8; 64], deleter);
    let store = store.map_err(|rejected| failed(rejected.error()))?;
    std::thread::spawn(move || {
        if ended.recv().is_ok() {
            lock(&HELD).clear();
            loop {
                offheap_node::release_collected();
            }
        }
    });
    Ok(offheap_node::expose_or_copy(env, &store.into()).map_err(failed)?.0)
}
