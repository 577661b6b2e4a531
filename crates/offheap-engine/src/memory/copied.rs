//! Stores that hold a copy of an engine's bytes.

use offheap::{BackingStore, FrozenStore, SharedStore, UniqueStore};

use super::BlockUse;
use crate::Error;

/// Copies the bytes of a buffer into a new store, for an engine that may free its own memory at any time. The store
/// is of the kind that a store over the buffer's own memory would have. Afterwards the adapter makes the buffer use
/// the store, if the engine allows that.
///
/// Memory that may grow can grow up to `max_byte_length`.
///
/// # Errors
/// [`Error::Memory`] if there is no memory for the store.
#[track_caller]
pub fn copy_into_store(bytes: &[u8], usage: BlockUse, max_byte_length: Option<usize>) -> Result<BackingStore, Error> {
    let byte_length = bytes.len();
    match usage {
        BlockUse::Shared => {
            let store = match max_byte_length {
                Some(max_byte_length) => SharedStore::growable(byte_length, max_byte_length)?,
                None => SharedStore::zeroed(byte_length)?,
            };
            store.copy_from_slice(0, bytes)?;
            Ok(store.into())
        }
        BlockUse::Resizable | BlockUse::Growable => {
            let mut unique = UniqueStore::resizable(byte_length, max_byte_length.unwrap_or(byte_length))?;
            unique.copy_from_slice(bytes);
            Ok(unique.into())
        }
        BlockUse::Fixed | BlockUse::Frozen => {
            let unique = UniqueStore::filled(byte_length, |into| into.copy_from_slice(bytes))?;
            match usage {
                BlockUse::Frozen => Ok(FrozenStore::from_owner(unique)?.into()),
                _ => Ok(unique.into()),
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use offheap::StoreKind;

    use super::*;

    #[test]
    fn the_copy_has_the_bytes_the_kind_and_the_maximum_of_the_buffer() {
        let cases = [
            (BlockUse::Fixed, None, StoreKind::FIXED, 3),
            (BlockUse::Frozen, None, StoreKind::FROZEN, 3),
            (BlockUse::Shared, None, StoreKind::SHARED, 3),
            (BlockUse::Shared, Some(8), StoreKind::SHARED_GROWABLE, 8),
            (BlockUse::Resizable, Some(8), StoreKind::RESIZABLE, 8),
            (BlockUse::Growable, Some(8), StoreKind::RESIZABLE, 8),
        ];
        for (usage, max_byte_length, kind, most) in cases {
            let store = copy_into_store(&[1, 2, 3], usage, max_byte_length).unwrap();
            assert_eq!(store.to_vec().unwrap(), [1, 2, 3], "{usage:?}");
            assert_eq!((store.kind(), store.max_byte_length(), store.exposure()), (kind, most, None), "{usage:?}");
        }
    }

    #[test]
    fn an_empty_buffer_has_an_empty_store() {
        for usage in [BlockUse::Fixed, BlockUse::Frozen, BlockUse::Shared, BlockUse::Resizable] {
            assert_eq!(copy_into_store(&[], usage, None).unwrap().byte_length(), 0, "{usage:?}");
        }
    }
}
