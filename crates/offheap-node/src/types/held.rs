//! What all types are made of.

use napi::Env;
use napi::bindgen_prelude::Unknown;
use offheap::BackingStore;

use crate::sys::Sort;
use crate::{Error, Exposure, Incoming, engine, expose_or_copy, externalize, give};

/// The bytes of a buffer or view, and how they came in.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) store: BackingStore,
    pub(super) exposure: Exposure,
}

impl From<BackingStore> for Held {
    fn from(store: BackingStore) -> Self {
        Held { store, exposure: Exposure::External }
    }
}

impl Held {
    /// What a value shows, if it is an object of one of these kinds.
    #[track_caller]
    pub(super) fn of(value: &Unknown<'_>, is_it: impl Fn(Sort) -> bool, name: &str) -> Result<Self, Error> {
        let sort = Sort::of(value);
        if !is_it(sort) {
            let found = format!("{sort}, where the function takes the type {name}");
            return Err(Error::NotAnArrayBuffer { engine: engine(), found });
        }
        let Incoming { view, exposure } = externalize(value)?;
        Ok(Held { store: view.store, exposure })
    }

    /// A buffer of script over the bytes, or over a copy of them. Who wants to know which calls `give` or `expose_or_copy`.
    pub(super) fn into_buffer(self, env: &Env) -> Result<Unknown<'_>, Error> {
        match self.store.try_into_unique() {
            Ok(unique) => Ok(give(env, unique).map_err(|rejected| rejected.into_parts().0)?.0),
            Err(rejected) => Ok(expose_or_copy(env, &rejected.into_parts().1)?.0),
        }
    }
}

/// What every type has.
macro_rules! store_type {
    ($name:ident) => {
        impl $name {
            /// Whether this is script's memory itself, or a copy, and the reason. It is always the memory if Rust made the value.
            pub fn exposure(&self) -> crate::Exposure {
                self.0.exposure
            }

            /// The store. A clone of it is a reference to the same memory.
            pub fn into_store(self) -> offheap::BackingStore {
                self.0.store
            }
        }

        impl std::ops::Deref for $name {
            type Target = offheap::BackingStore;

            fn deref(&self) -> &offheap::BackingStore {
                &self.0.store
            }
        }

        impl From<offheap::BackingStore> for $name {
            fn from(store: offheap::BackingStore) -> Self {
                $name(store.into())
            }
        }

        impl From<$name> for offheap::BackingStore {
            fn from(value: $name) -> Self {
                value.into_store()
            }
        }
    };
}

/// What every type of unshared memory has.
macro_rules! unshared_type {
    ($name:ident, $element:ty) => {
        impl From<offheap::UniqueStore> for $name {
            /// Script is then the only one that has the memory.
            fn from(store: offheap::UniqueStore) -> Self {
                $name::from(offheap::BackingStore::from(store))
            }
        }

        impl From<offheap::FrozenStore> for $name {
            /// Script gets a copy, since functions of the host write into buffers that script cannot write
            /// ([`CopyReason::HostWrites`](crate::CopyReason::HostWrites)).
            fn from(store: offheap::FrozenStore) -> Self {
                $name::from(offheap::BackingStore::from(store))
            }
        }

        impl TryFrom<Vec<$element>> for $name {
            type Error = crate::Error;

            /// The memory of the `Vec` itself. The `Vec` is dropped when script has released it.
            ///
            /// # Errors
            /// [`Error::Memory`](crate::Error::Memory) if there is no memory for the store, or the
            /// [budget](offheap::Budget) is used up.
            #[track_caller]
            fn try_from(elements: Vec<$element>) -> Result<Self, crate::Error> {
                let store = offheap::UniqueStore::from_owner(elements).map_err(|rejected| rejected.into_parts().0)?;
                Ok(store.into())
            }
        }
    };
}

pub(super) use {store_type, unshared_type};
