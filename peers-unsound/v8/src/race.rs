//! `BackingStore` dereferences to `&[Cell<u8>]` and is `Sync`: two threads write the same bytes without a lock.
//! Seen: "Possible data race" (helgrind), and lost updates.

use std::hint::black_box;

use v8::ArrayBuffer;

pub(super) fn main() {
    let rounds = super::rounds(128_000_000);
    let store = ArrayBuffer::new_backing_store_from_vec(vec![0; 64]).make_shared();
    let count_up = || {
        for round in 0..rounds {
            let cell = &store[black_box(round % 64)];
            cell.set(cell.get().wrapping_add(1));
        }
    };
    std::thread::scope(|threads| {
        threads.spawn(count_up);
        threads.spawn(count_up);
    });
    let expected = (2 * (rounds / 64)) as u8;
    let lost = store.iter().filter(|cell| cell.get() != expected).count();
    println!("{lost} of 64 counters lost updates");
}
