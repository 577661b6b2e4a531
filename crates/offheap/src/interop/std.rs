//! Conversions between types of std and stores.

use std::sync::Arc;

use bytemuck::{NoUninit, Pod};

use crate::{BackingStore, FrozenStore, ManualMemory, Mapped, Rejected, UniqueStore};

impl<T: Pod + Send> TryFrom<Vec<T>> for UniqueStore {
    type Error = Rejected<Vec<T>>;

    /// [`UniqueStore::from_owner`].
    #[track_caller]
    fn try_from(vec: Vec<T>) -> Result<UniqueStore, Rejected<Vec<T>>> {
        UniqueStore::from_owner(vec)
    }
}

impl<T: Pod + Send> TryFrom<Box<[T]>> for UniqueStore {
    type Error = Rejected<Box<[T]>>;

    /// [`UniqueStore::from_owner`].
    #[track_caller]
    fn try_from(slice: Box<[T]>) -> Result<UniqueStore, Rejected<Box<[T]>>> {
        UniqueStore::from_owner(slice)
    }
}

impl<T: Pod + Send> TryFrom<Vec<T>> for BackingStore {
    type Error = Rejected<Vec<T>>;

    /// [`BackingStore::from_owner`].
    #[track_caller]
    fn try_from(vec: Vec<T>) -> Result<BackingStore, Rejected<Vec<T>>> {
        BackingStore::from_owner(vec)
    }
}

impl<T: Pod + Send> TryFrom<Box<[T]>> for BackingStore {
    type Error = Rejected<Box<[T]>>;

    /// [`BackingStore::from_owner`].
    #[track_caller]
    fn try_from(slice: Box<[T]>) -> Result<BackingStore, Rejected<Box<[T]>>> {
        BackingStore::from_owner(slice)
    }
}

impl<T: Pod + Send> TryFrom<UniqueStore> for Vec<T> {
    type Error = Rejected<UniqueStore>;

    /// [`UniqueStore::try_into_owner`]: the `Vec` that the store was made from, with its capacity.
    fn try_from(store: UniqueStore) -> Result<Vec<T>, Rejected<UniqueStore>> {
        store.try_into_owner()
    }
}

impl<T: NoUninit + Sync> TryFrom<&'static [T]> for FrozenStore {
    type Error = Rejected<&'static [T]>;

    /// [`FrozenStore::from_owner`].
    #[track_caller]
    fn try_from(slice: &'static [T]) -> Result<FrozenStore, Rejected<&'static [T]>> {
        FrozenStore::from_owner(slice)
    }
}

impl<T: NoUninit + Send + Sync> TryFrom<Arc<[T]>> for FrozenStore {
    type Error = Rejected<Arc<[T]>>;

    /// [`FrozenStore::from_owner`].
    #[track_caller]
    fn try_from(slice: Arc<[T]>) -> Result<FrozenStore, Rejected<Arc<[T]>>> {
        FrozenStore::from_owner(slice)
    }
}

impl<T: NoUninit + Send + Sync> TryFrom<Vec<T>> for FrozenStore {
    type Error = Rejected<Vec<T>>;

    /// [`FrozenStore::from_owner`].
    #[track_caller]
    fn try_from(vec: Vec<T>) -> Result<FrozenStore, Rejected<Vec<T>>> {
        FrozenStore::from_owner(vec)
    }
}

impl<T: NoUninit + Send + Sync> TryFrom<Box<[T]>> for FrozenStore {
    type Error = Rejected<Box<[T]>>;

    /// [`FrozenStore::from_owner`].
    #[track_caller]
    fn try_from(slice: Box<[T]>) -> Result<FrozenStore, Rejected<Box<[T]>>> {
        FrozenStore::from_owner(slice)
    }
}

impl<T: NoUninit + Send + Sync> TryFrom<Arc<Vec<T>>> for FrozenStore {
    type Error = Rejected<Arc<Vec<T>>>;

    /// [`FrozenStore::from_owner`].
    #[track_caller]
    fn try_from(vec: Arc<Vec<T>>) -> Result<FrozenStore, Rejected<Arc<Vec<T>>>> {
        FrozenStore::from_owner(vec)
    }
}

impl<T: NoUninit + Sync, const N: usize> TryFrom<&'static [T; N]> for FrozenStore {
    type Error = Rejected<&'static [T; N]>;

    /// [`FrozenStore::from_owner`].
    #[track_caller]
    fn try_from(array: &'static [T; N]) -> Result<FrozenStore, Rejected<&'static [T; N]>> {
        FrozenStore::from_owner(array)
    }
}

impl TryFrom<String> for FrozenStore {
    type Error = Rejected<String>;

    /// [`FrozenStore::from_owner`].
    #[track_caller]
    fn try_from(text: String) -> Result<FrozenStore, Rejected<String>> {
        FrozenStore::from_owner(text)
    }
}

impl TryFrom<&'static str> for FrozenStore {
    type Error = Rejected<&'static str>;

    /// [`FrozenStore::from_owner`].
    #[track_caller]
    fn try_from(text: &'static str) -> Result<FrozenStore, Rejected<&'static str>> {
        FrozenStore::from_owner(text)
    }
}

impl TryFrom<BackingStore> for UniqueStore {
    type Error = Rejected<BackingStore>;

    /// [`BackingStore::try_into_unique`].
    fn try_from(store: BackingStore) -> Result<UniqueStore, Rejected<BackingStore>> {
        store.try_into_unique()
    }
}

impl From<Mapped> for BackingStore {
    /// [`Mapped::store`].
    fn from(mapped: Mapped) -> BackingStore {
        mapped.into_store()
    }
}

impl From<ManualMemory> for BackingStore {
    /// [`ManualMemory::store`]. The memory is still freed by hand: by its address, or through a clone of the handle.
    fn from(memory: ManualMemory) -> BackingStore {
        memory.store().clone()
    }
}
