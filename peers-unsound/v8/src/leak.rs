//! Safe `into_raw` takes a store out of its smart pointer, and the store is never freed.
//! Seen: the program ends with status 0 and no message; valgrind reports "definitely lost".

use v8::ArrayBuffer;

pub(super) fn main() {
    let pointer = ArrayBuffer::new_backing_store_from_vec(vec![0; 1 << 20]).into_raw();
    assert!(!pointer.is_null());
}
