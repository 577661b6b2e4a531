//! An addon in the safe API of napi-rs, with functions that go wrong. `../programs/*.js` call them, and `../../check`
//! runs those programs. It uses `deny` rather than `forbid`, because code that `#[napi]` generates contains `unsafe`.
#![deny(unsafe_code)]

use std::sync::Mutex;

use napi::Env;
use napi::bindgen_prelude::{ArrayBuffer, Buffer, BufferSlice, Uint8Array};
use napi_derive::napi;

static KEPT: Mutex<Option<Buffer>> = Mutex::new(None);

/// Race: a `Buffer` is `Send` and dereferences to `&mut [u8]`. Another thread counts in it until the process ends.
#[napi]
pub fn count_elsewhere(mut buffer: Buffer) {
    std::thread::spawn(move || {
        for round in 0_u64.. {
            buffer[0] = std::hint::black_box(round as u8);
        }
    });
}

/// Keeps a buffer of the calling thread, which is the documented purpose of `Buffer`.
#[napi]
pub fn keep(buffer: Buffer) {
    *KEPT.lock().unwrap() = Some(buffer);
}

/// Dangle: reads the first byte of the kept buffer, even if its thread has ended.
#[napi]
pub fn first_kept() -> u8 {
    KEPT.lock().unwrap().as_ref().unwrap()[0]
}

/// Wrong free: gives the kept buffer to script of the calling thread, even if the buffer belongs to another.
#[napi]
pub fn take_kept() -> Buffer {
    KEPT.lock().unwrap().take().unwrap()
}

/// Dangle: an `ArrayBuffer` is `Copy`, so one copy can detach the memory that another copy reads.
#[napi]
pub fn detach_and_read(buffer: ArrayBuffer<'_>) -> napi::Result<u8> {
    let bytes = buffer;
    buffer.detach()?;
    Ok(bytes[0])
}

/// Two `&mut [u8]` to the same bytes. Returns the value that the first of them reads back.
#[napi]
pub fn write_both(mut one: BufferSlice<'_>, mut two: BufferSlice<'_>) -> u8 {
    let (first, second): (&mut [u8], &mut [u8]) = (&mut one, &mut two);
    first[0] = 1;
    second[0] = 2;
    std::hint::black_box(first)[0]
}

/// Silent copy: `From` turns a `Vec` into a `Buffer` without a copy, and a `Buffer` into a `Vec` with one.
#[napi]
pub fn same_memory() -> Vec<bool> {
    let bytes = vec![0_u8; 4096];
    let address = bytes.as_ptr();
    let buffer = Buffer::from(bytes);
    let into = buffer.as_ptr() == address;
    let back = Vec::from(buffer);
    vec![into, back.as_ptr() == address]
}

/// Unnamed leak: a value that is given to script by `&mut` is never freed.
#[napi]
pub fn expose_by_reference(env: Env, byte_length: u32) -> napi::Result<bool> {
    let mut array = Uint8Array::new(vec![1; byte_length as usize]);
    let mut object = napi::bindgen_prelude::Object::new(&env)?;
    object.set("array", &mut array)?;
    Ok(true)
}
