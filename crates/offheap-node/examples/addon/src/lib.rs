//! An addon whose functions share memory with script. `docs/node.md` shows how script calls them.
#![deny(unsafe_code)]

// For the longer examples below.
use napi::Task;
use napi::bindgen_prelude::AsyncTask;
use offheap_node::offheap::SharedStore;

use napi::{Env, Result};
use napi_derive::napi;
use offheap_node::prelude::*;

/// How often each byte occurs. The result is over the memory of the `Vec`.
#[napi]
pub fn histogram(env: Env, bytes: Uint8Array) -> Result<Uint32Array> {
    let mut counts = vec![0_u32; 256];
    for byte in bytes.to_vec().or_throw(&env)? {
        counts[usize::from(byte)] += 1;
    }
    counts.try_into().or_throw(&env)
}

/// The sum of samples, on a thread of Rust. Script may do what it likes with the array meanwhile.
#[napi]
pub async fn sum(samples: Float64Array) -> Result<f64> {
    Ok(samples.to_vec()?.iter().sum())
}

/// A picture: 4 bytes a pixel.
#[napi(object)]
pub struct Image {
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// Red, green, blue, alpha.
    pub pixels: Uint8ClampedArray,
}

/// Inverts a picture on a thread of the host's pool.
#[napi]
pub fn inverted(image: Image) -> AsyncTask<Invert> {
    AsyncTask::new(Invert(image))
}

/// The picture to invert.
pub struct Invert(Image);

impl Task for Invert {
    type Output = Image;
    type JsValue = Image;

    fn compute(&mut self) -> Result<Image> {
        let mut pixels = self.0.pixels.to_vec()?;
        for pixel in pixels.chunks_exact_mut(4) {
            pixel[..3].iter_mut().for_each(|colour| *colour = 255 - *colour);
        }
        Ok(Image { width: self.0.width, height: self.0.height, pixels: pixels.try_into()? })
    }

    fn resolve(&mut self, _: Env, image: Image) -> Result<Image> {
        Ok(image)
    }
}

/// Shared memory for counters. Rust adds to the first one on another thread.
#[napi]
pub fn counters(env: Env) -> Result<SharedArrayBuffer> {
    let store = SharedStore::zeroed(64).or_throw(&env)?;
    let counted = store.clone();
    let thread =
        std::thread::spawn(move || counted.atomic_slice::<i32>().map(|counters| counters.fetch_add(0, 1)).is_ok());
    drop(thread.join());
    Ok(store.into())
}

/// A text as a `Buffer`.
#[napi]
pub fn greeting(env: Env, name: String) -> Result<Buffer> {
    format!("Hello, {name}!").into_bytes().try_into().or_throw(&env)
}

/// Whether the bytes that came in are script's own memory.
#[napi]
pub fn how(buffer: Option<ArrayBuffer>) -> String {
    buffer.map_or_else(|| "no buffer".to_owned(), |buffer| format!("{:?}", buffer.exposure()))
}

/// Gives back what it gets, which script still has: an error that says what to do.
#[napi]
pub fn same(buffer: ArrayBuffer) -> ArrayBuffer {
    buffer
}
