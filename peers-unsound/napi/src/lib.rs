//! An addon in the safe API of napi-rs, with functions that go wrong; `../programs/*.js` call them, and `../../check` runs
//! those. `deny` and not `forbid`: the code that `#[napi]` itself writes has `unsafe` in it.
#![deny(unsafe_code)]

use std::sync::Mutex;

use napi::Env;
use napi::bindgen_prelude::{ArrayBuffer, Buffer, BufferSlice, Uint8Array};
use napi_derive::napi;

static KEPT: Mutex<Option<Buffer>> = Mutex::new(None);

/// Race: a `Buffer` is `Send` and derefs to `&mut [u8]`; another thread counts in it until the process ends.
#[napi]
pub fn count_elsewhere(mut buffer: Buffer) {
    std::thread::spawn(move || {
        for round in 0_u64.. {
            buffer[0] = std::hint::black_box(round as u8);
        }
    });
}

/// Keeps a buffer of whichever thread calls, which is what `Buffer` is documented to be for.
#[napi]
pub fn keep(buffer: Buffer) {
    *KEPT.lock().unwrap() = Some(buffer);
}

/// Dangle: the first byte of the kept buffer, wherever its thread is.
#[napi]
pub fn first_kept() -> u8 {
    KEPT.lock().unwrap().as_ref().unwrap()[0]
}

/// Wrong free: gives the kept buffer to script of the thread that calls, whosever it is.
#[napi]
pub fn take_kept() -> Buffer {
    KEPT.lock().unwrap().take().unwrap()
}

/// Dangle: an `ArrayBuffer` is `Copy`, and one copy detaches what the other one reads.
#[napi]
pub fn detach_and_read(buffer: ArrayBuffer<'_>) -> napi::Result<u8> {
    let bytes = buffer;
    buffer.detach()?;
    Ok(bytes[0])
}

/// Two `&mut [u8]` to the same bytes. The result says what the first of them read back.
#[napi]
pub fn write_both(mut one: BufferSlice<'_>, mut two: BufferSlice<'_>) -> u8 {
    let (first, second): (&mut [u8], &mut [u8]) = (&mut one, &mut two);
    first[0] = 1;
    second[0] = 2;
    std::hint::black_box(first)[0]
}

/// Silent copy: a `Vec` becomes a `Buffer` by `From` without a copy, and a `Buffer` becomes a `Vec` by `From` with one.
#[napi]
pub fn same_memory() -> Vec<bool> {
    let bytes = vec![0_u8; 4096];
    let address = bytes.as_ptr();
    let buffer = Buffer::from(bytes);
    let into = buffer.as_ptr() == address;
    let back = Vec::from(buffer);
    vec![into, back.as_ptr() == address]
}

/// Unnamed leak: what goes to script by `&mut` is never freed, by nobody.
#[napi]
pub fn expose_by_reference(env: Env, byte_length: u32) -> napi::Result<bool> {
    let mut array = Uint8Array::new(vec![1; byte_length as usize]);
    let mut object = napi::bindgen_prelude::Object::new(&env)?;
    object.set("array", &mut array)?;
    Ok(true)
}
