//! `UniqueStore` as a frozen owner: its memory was written before, and is frozen from then on.

use std::ptr::NonNull;

use crate::{FrozenOwner, UniqueStore};

// SAFETY: I-OWNER-SEND: a unique store has the only reference to its memory, which stays where it is. As an owner it is not
// written any more, and any thread may read a `&[u8]`.
unsafe impl FrozenOwner for UniqueStore {
    fn memory(&self) -> NonNull<[u8]> {
        NonNull::from(&**self)
    }
}
