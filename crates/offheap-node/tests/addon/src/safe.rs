//! What the safe modes add, for the scenarios.

use napi::bindgen_prelude::{Function, Unknown};
use napi::{Env, Error, Result};
use napi_derive::napi;
use offheap_node::offheap::{MapMode, Mapped, UniqueStore};
use offheap_node::{Exposure, OrThrow};

use crate::sys::mapped::buffer_over;

fn failed(error: impl std::fmt::Display) -> Error {
    Error::from_reason(error.to_string())
}

/// How many stores were leaked.
#[napi]
pub fn leaked_stores() -> u32 {
    offheap_node::stats().leaked_stores as u32
}

/// How many bytes were leaked.
#[napi]
pub fn leaked_bytes() -> f64 {
    offheap_node::stats().leaked_bytes as f64
}

/// A buffer that Rust fills. Its bytes were zeros before.
#[napi]
pub fn filled<'env>(env: &'env Env, byte_length: u32, byte: u8) -> Result<Unknown<'env>> {
    let mut were_zeros = true;
    let buffer = offheap_node::filled(env, byte_length as usize, |into| {
        were_zeros = into.iter().all(|byte| *byte == 0);
        into.fill(byte);
    });
    let buffer = buffer.map_err(failed)?;
    were_zeros.then_some(buffer).ok_or_else(|| failed("the bytes were no zeros"))
}

/// A store that nobody else has, given to script.
#[napi]
pub fn give<'env>(env: &'env Env, byte_length: u32, byte: u8) -> Result<Unknown<'env>> {
    let store = UniqueStore::filled(byte_length as usize, |into| into.fill(byte)).map_err(failed)?;
    Ok(offheap_node::give(env, store).map_err(|rejected| failed(rejected.error()))?.0)
}

/// Whether script gets the memory of a store that is given to it, or why not.
#[napi]
pub fn exposure_of_given(env: &Env, byte_length: u32) -> Result<String> {
    let store = UniqueStore::zeroed(byte_length as usize).map_err(failed)?;
    let (_, exposure) = offheap_node::give(env, store).map_err(|rejected| failed(rejected.error()))?;
    Ok(match exposure {
        Exposure::External => "memory".to_owned(),
        Exposure::Copied { reason } => format!("{reason:?}"),
    })
}

/// A buffer over the memory of a store, or an error.
#[napi]
pub fn expose_strictly<'env>(env: &'env Env, byte_length: u32) -> Result<Unknown<'env>> {
    offheap_node::expose(env, &UniqueStore::zeroed(byte_length as usize).map_err(failed)?.into()).map_err(failed)
}

/// A buffer over a file, which is written through.
#[napi]
pub fn map_file<'env>(env: &'env Env, path: String) -> Result<Unknown<'env>> {
    let file = Mapped::open(path, MapMode::ReadWrite).or_throw(env)?;
    buffer_over(env, &file).or_throw(env)
}

/// The sum of the bytes that a buffer or view shows, through a copy without a store.
#[napi]
pub fn sum(value: Unknown<'_>) -> Result<u32> {
    Ok(offheap_node::to_vec(&value).map_err(failed)?.iter().map(|byte| u32::from(*byte)).sum())
}

/// Fills a buffer, and calls script in the middle of that. Returns whether the bytes are as Rust wrote them afterwards.
#[napi]
pub fn filled_while(env: &Env, byte_length: u32, during: Function<(), ()>) -> Result<bool> {
    let (mut called, mut is_alone) = (Ok(()), true);
    let buffer = offheap_node::filled(env, byte_length as usize, |into| {
        into.fill(1);
        called = during.call(());
        is_alone = into.iter().all(|byte| *byte == 1);
    });
    buffer.map_err(failed)?;
    called.map(|()| is_alone)
}
