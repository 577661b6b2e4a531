//! Operations that were refused, with the places that are to blame.

use std::fmt;

use crate::{Error, Site, StoreId};

/// An operation that was refused, because a correct program does not attempt it. The core tells refused frees of manual
/// memory. Adapters tell more, such as the use of a buffer after its detach, with
/// [`note_refused`](crate::adapter::note_refused).
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Refusal<'a> {
    /// The store, if it is known: the address of a foreign pointer names none.
    pub store: Option<StoreId>,
    /// The code of the error: `"DOUBLE_FREE"`. See [`Error::code`].
    pub code: &'static str,
    /// The place of the refused operation.
    pub at: Site,
    /// The place that made the operation wrong: the first free, the detach, or for memory in use its allocation.
    pub earlier: Option<Site>,
    /// Where the store was made.
    pub created: Option<Site>,
    /// The error that the caller gets. Its text names the places too.
    pub error: &'a dyn fmt::Display,
}

impl<'a> Refusal<'a> {
    /// A refusal of an operation at a place, without a store or an earlier place. Set these fields where they are known.
    pub fn new(code: &'static str, at: Site, error: &'a dyn fmt::Display) -> Self {
        Refusal { store: None, code, at, earlier: None, created: None, error }
    }

    /// The refusal of a free; `None` for an error of another sort.
    pub(crate) fn of_free(error: &'a Error) -> Option<Self> {
        let (store, at, earlier, created) = match *error {
            Error::DoubleFree { store, allocated, first, second, .. } => {
                (Some(store), second, Some(first), Some(allocated))
            }
            Error::FreeInUse { store, allocated, attempted, .. } => {
                (Some(store), attempted, Some(allocated), Some(allocated))
            }
            Error::UnknownAddress { attempted, .. } => (None, attempted, None, None),
            Error::AddressReused { first, allocated, attempted, .. } => (None, attempted, Some(first), Some(allocated)),
            _ => return None,
        };
        Some(Refusal { store, code: error.code(), at, earlier, created, error })
    }
}

impl fmt::Debug for Refusal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refusal")
            .field("store", &self.store)
            .field("code", &self.code)
            .field("at", &self.at)
            .field("earlier", &self.earlier)
            .field("created", &self.created)
            .field("error", &format_args!("{}", self.error))
            .finish()
    }
}
