//! `cargo bench -p benches --bench peers`: the cost of offheap, compared with code that does the work by hand. Prints
//! rows of `what | ours | peer | ratio`, and writes `peers.json` to the target directory. `-- TEXT` selects the rows
//! whose names contain TEXT.

mod engine;
mod function;
mod growth;
mod memory;
mod script_memory;

use std::error::Error;
use std::hint::black_box;
use std::sync::Arc;

use benches::{Measure, Row, profile_directory, row, run};
use offheap::{BackingStore, CONTROL_BLOCK_BYTES, SharedStore, UniqueStore};

/// The largest size of the control block before its owner.
const CONTROL_BLOCK_LIMIT: usize = 64;

fn main() -> Result<(), Box<dyn Error>> {
    let all: [(&str, Measure); 18] = [
        ("clone_drop", clone_drop),
        ("from_vec_64", from_vec_64),
        ("copy_64", |name| copy(name, 64, 2.5)),
        ("copy_64k", |name| copy(name, 64 << 10, 1.1)),
        ("copy_16m", |name| copy(name, 16 << 20, 1.1)),
        ("atomic_copy_1m", atomic_copy_1m),
        ("substore", substore),
        ("grow_4k_steps_mprotect", growth::beside_mprotect),
        ("grow_4k_steps_vec", growth::beside_vec),
        ("quickjs_expose_64", |name| engine::expose(name, 64)),
        ("quickjs_expose_1m", |name| engine::expose(name, 1 << 20)),
        ("quickjs_expose_vs_rquickjs_64", |name| engine::expose_vs_rquickjs(name, 64)),
        ("quickjs_expose_vs_rquickjs_1m", |name| engine::expose_vs_rquickjs(name, 1 << 20)),
        ("quickjs_function_call_bytes", function::call_bytes),
        ("quickjs_read_script_64m", script_memory::read),
        ("quickjs_externalize_first_1m", script_memory::externalize_first),
        ("quickjs_externalize_again", script_memory::externalize_again),
        ("quickjs_round_trip_16m", script_memory::round_trip),
    ];
    run("peers.json", &all, || {
        let verdict = if CONTROL_BLOCK_BYTES <= CONTROL_BLOCK_LIMIT { "reached" } else { "MISSED" };
        println!(
            "control block before the owner: {CONTROL_BLOCK_BYTES} bytes, to reach {CONTROL_BLOCK_LIMIT}: {verdict}"
        );
        println!("{}", script_memory::peak_of_reading());
        println!("{}", memory::of_lines_on_a_large_file(&profile_directory()?));
        Ok(())
    })
}

fn clone_drop(name: &'static str) -> Row {
    let store = store_of(vec![1; 64]);
    let arc = Arc::new(vec![1_u8; 64]);
    row(name, 1.1, || black_box(&store).clone(), || black_box(&arc).clone())
}

/// From `Vec` to free, without an observer.
fn from_vec_64(name: &'static str) -> Row {
    let vec = || {
        let mut vec = vec![1_u8; 64];
        // The `Vec` itself is not used: both sides would write it and read it back, which takes as long as the measured
        // code.
        black_box(vec.as_mut_ptr());
        vec
    };
    let ours = || UniqueStore::from_owner(vec()).map(BackingStore::from).expect("room for a control block");
    row(name, 1.05, ours, || bytes::Bytes::from_owner(vec()))
}

/// `copy_to_slice` compared with `memcpy`, which `copy_from_slice` calls if the length is not known at compile time.
fn copy(name: &'static str, byte_length: usize, goal: f64) -> Row {
    let source: Vec<u8> = (0..byte_length).map(|index| index as u8).collect();
    let store = store_of(source.clone());
    let (mut ours, mut peer) = (vec![0; byte_length], vec![0; byte_length]);
    let copied = row(
        name,
        goal,
        || black_box(&store).copy_to_slice(0, black_box(&mut ours)).expect("no guard writes"),
        || black_box(&mut peer[..]).copy_from_slice(black_box(&source)),
    );
    assert!(ours == source && peer == source, "both copy all");
    copied
}

/// `copy_to_slice` of shared memory, which takes no lock, compared with `memcpy`.
fn atomic_copy_1m(name: &'static str) -> Row {
    let source: Vec<u8> = (0..1 << 20).map(|index: usize| index as u8).collect();
    let store = SharedStore::from_owner(source.clone()).expect("room for a control block");
    let (mut ours, mut peer) = (vec![0; source.len()], vec![0; source.len()]);
    row(
        name,
        1.1,
        || black_box(&store).copy_to_slice(0, black_box(&mut ours)).expect("the same length"),
        || black_box(&mut peer[..]).copy_from_slice(black_box(&source)),
    )
}

/// Makes and drops a handle to a part.
fn substore(name: &'static str) -> Row {
    let store = store_of(vec![1; 64]);
    let whole = bytes::Bytes::from_owner(vec![1_u8; 64]);
    row(name, 1.1, || black_box(&store).slice(8..40).expect("a part of it"), || black_box(&whole).slice(8..40))
}

fn store_of(vec: Vec<u8>) -> BackingStore {
    BackingStore::from(UniqueStore::from_owner(vec).expect("room for a control block"))
}
