//! A store that is taken out of its smart pointer by safe `into_raw`, and that nobody frees.
//! Seen: the program ends with status 0 and says nothing; valgrind says "definitely lost".

use v8::ArrayBuffer;

pub(super) fn main() {
    let pointer = ArrayBuffer::new_backing_store_from_vec(vec![0; 1 << 20]).into_raw();
    assert!(!pointer.is_null());
}
