//! Mapped files that another process writes at the same time.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use offheap_v8::offheap::{MapMode, Mapped};

use crate::common::{in_child, isolate};

const BYTE_LENGTH: usize = 1 << 16;

/// A file that is removed when this value is dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("offheap-v8-maps-{name}-{}", std::process::id()));
        fs::write(&path, vec![1; BYTE_LENGTH]).unwrap();
        Scratch(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Writes the file again and again, as another process would: not through the mapping.
fn write_until(done: &AtomicBool, file: &File) {
    let mut state = 1_u64;
    let mut bytes = vec![0_u8; 4096];
    while !done.load(Ordering::Relaxed) {
        for byte in &mut bytes {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            *byte = (state >> 56) as u8;
        }
        let offset = (state >> 33) % (BYTE_LENGTH as u64 / 4096) * 4096;
        file.write_all_at(&bytes, offset).unwrap();
    }
}

fn sort_beside_a_writer(test: &str, mode: MapMode) {
    if let Some(output) = in_child(test) {
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{:?} {stderr}", output.status);
        return;
    }
    let scratch = Scratch::new(test.rsplit(':').next().unwrap());
    let file = OpenOptions::new().write(true).open(&scratch.0).unwrap();
    let mapped = Mapped::open(&scratch.0, mode).unwrap();
    let done = AtomicBool::new(false);
    let mut isolate = isolate();
    thread::scope(|threads| {
        threads.spawn(|| write_until(&done, &file));
        isolate.enter(|scope| {
            let buffer = scope.expose(mapped.store()).unwrap();
            scope.set_global("b", &buffer).unwrap();
            let sort = "const views = [Uint8Array, Float32Array, Float64Array, Uint32Array, BigInt64Array].map((V) => new V(b));
                for (let i = 0; i < 60; i++) for (const view of views) { view.sort(); view.toSorted(); }
                b.constructor.name";
            let name = scope.eval::<String>(sort);
            done.store(true, Ordering::Relaxed);
            assert_eq!(name.unwrap(), "SharedArrayBuffer");
        });
    });
}

#[test]
fn b11_sort_over_a_file_that_others_write_does_not_end_the_process() {
    sort_beside_a_writer("maps::b11_sort_over_a_file_that_others_write_does_not_end_the_process", MapMode::ReadWrite);
}

#[test]
fn b11_sort_over_a_private_map_of_a_file_that_others_write_does_not_end_the_process() {
    let test = "maps::b11_sort_over_a_private_map_of_a_file_that_others_write_does_not_end_the_process";
    sort_beside_a_writer(test, MapMode::CopyOnWrite);
}
