//! What `npm run bench` times: offheap, and what an addon does with plain Node-API, behind the same wrappers of napi-rs.

use std::cell::RefCell;

use napi::bindgen_prelude::Unknown;
use napi::{Env, Result};
use napi_derive::napi;
use offheap_node::Exposure;
use offheap_node::offheap::{BackingStore, UniqueStore};

use crate::scenarios::failed;
use crate::sys::allocated::{self, Allocated};
use crate::sys::plain::{self, Reference};

thread_local! {
    static STORES: RefCell<Vec<BackingStore>> = const { RefCell::new(Vec::new()) };
    static REFERENCES: RefCell<Vec<Reference>> = const { RefCell::new(Vec::new()) };
}

/// The call alone.
#[napi]
pub fn bench_nothing(_value: Unknown<'_>) {}

/// A store over new memory that nobody wrote.
fn new_store(byte_length: u32) -> Result<UniqueStore> {
    UniqueStore::from_owner(Allocated::new(byte_length as usize)).map_err(|it| failed(it.error()))
}

/// Out: a buffer over such a store, whatever its length is.
#[napi]
pub fn bench_out<'env>(env: &'env Env, byte_length: u32) -> Result<Unknown<'env>> {
    offheap_node::expose(env, &new_store(byte_length)?.into()).map_err(failed)
}

/// Out: such a store given away, which is what functions do that return one.
#[napi]
pub fn bench_given<'env>(env: &'env Env, byte_length: u32) -> Result<Unknown<'env>> {
    Ok(offheap_node::give(env, new_store(byte_length)?).map_err(|it| failed(it.error()))?.0)
}

/// Out: `napi_create_external_arraybuffer` over such memory.
#[napi]
pub fn bench_out_external<'env>(env: &'env Env, byte_length: u32) -> Result<Unknown<'env>> {
    plain::external(env, Allocated::new(byte_length as usize))
}

/// Out: `napi_create_buffer_copy`.
#[napi]
pub fn bench_out_copy<'env>(env: &'env Env, byte_length: u32) -> Result<Unknown<'env>> {
    plain::copy(env, byte_length as usize)
}

/// How much of the memory of these functions was not freed, in blocks.
#[napi]
pub fn bench_kept() -> i64 {
    allocated::kept()
}

/// In: holds the memory of a buffer until `bench_release`.
#[napi]
pub fn bench_hold(value: Unknown<'_>) -> Result<()> {
    let incoming = offheap_node::externalize(&value).map_err(failed)?;
    if incoming.exposure != Exposure::External {
        return Err(failed("a copy came in"));
    }
    STORES.with_borrow_mut(|stores| stores.push(incoming.view.store));
    Ok(())
}

/// Releases what is held.
#[napi]
pub fn bench_release() {
    STORES.with_borrow_mut(Vec::clear);
}

/// In: holds a buffer by a strong reference and its bytes by their address, until `bench_release_references`.
#[napi]
pub fn bench_reference(value: Unknown<'_>) -> Result<()> {
    let reference = Reference::new(&value)?;
    REFERENCES.with_borrow_mut(|references| references.push(reference));
    Ok(())
}

/// Releases what is referred to.
#[napi]
pub fn bench_release_references(env: Env) -> Result<()> {
    REFERENCES.with_borrow_mut(|references| references.drain(..).try_for_each(|reference| reference.delete(&env)))
}
