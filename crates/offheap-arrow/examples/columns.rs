//! Moves the memory of columns into stores and back. docs/arrow.md shows parts of it.

use offheap_arrow::AlignedStore;
use offheap_arrow::arrow_buffer::{Buffer, ScalarBuffer};
use offheap_arrow::offheap::BackingStore;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let rows = Buffer::from_vec((0..100_i16).collect::<Vec<_>>()).slice(3 * size_of::<i16>());

    let aligned = AlignedStore::of(&rows)?;
    // The store begins before the rows, so that an engine takes it. Script makes `new Int16Array(buffer, 6, 97)`.
    assert_eq!((aligned.byte_offset, aligned.is_copy), (6, false));
    assert_eq!(aligned.store[6..].as_ptr(), rows.as_ptr());

    let store = BackingStore::from_owner(vec![0.0_f64; 4])?;
    // … `store.expose(scope)?`, script fills it, and the buffer is detached …
    let filled: Vec<f64> = store.try_into_unique()?.try_into_owner()?;
    let column = ScalarBuffer::from(filled); // the same memory, which Arrow may write

    println!("{} bytes of one allocation, {} rows of another", aligned.store.byte_length(), column.len());
    Ok(())
}
