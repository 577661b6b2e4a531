//! `bytes::Bytes`: frozen, since its clones read it wherever they are.

use std::ptr::NonNull;

use crate::FrozenOwner;

// SAFETY: I-OWNER-SEND: the bytes of a `Bytes` are never written while a clone of it lives, any thread may read them, and
// they do not move with it.
unsafe impl FrozenOwner for bytes::Bytes {
    fn memory(&self) -> NonNull<[u8]> {
        NonNull::from(&**self)
    }
}
