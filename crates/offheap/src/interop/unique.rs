//! `UniqueStore` as an owner: memory that was written, and is frozen from then on.

use std::ptr::NonNull;

use crate::{FrozenOwner, UniqueStore};

// SAFETY: I-OWNER-SEND: a unique store is the only way to its memory, which stays where it is; as an owner it is not
// written any more, and `&[u8]` may be read by any thread.
unsafe impl FrozenOwner for UniqueStore {
    fn memory(&self) -> NonNull<[u8]> {
        NonNull::from(&**self)
    }
}
