//! `Rejected`: an error together with the value that was not accepted.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use crate::Error;

/// A failed hand-over: the reason, and the value, which is not lost.
///
/// `Rejected<T>` is an [`std::error::Error`], and `Send + Sync + 'static` for every `T: Send + 'static`, so `?` works in a
/// function that returns a boxed error. Converting it into an [`Error`], as `?` does in a function that returns one, drops
/// the value.
///
/// ```
/// use offheap::{BackingStore, UniqueStore};
///
/// let store = BackingStore::from(UniqueStore::zeroed(8)?);
/// let clone = store.clone();
/// let rejected = store.try_into_unique().unwrap_err();
/// assert!(rejected.to_string().contains("2 references to it live"));
/// drop(clone);
/// let unique = rejected.into_inner().try_into_unique()?;
/// # Ok::<(), offheap::Error>(())
/// ```
pub struct Rejected<T, E = Error> {
    error: E,
    // The mutex is never locked. It makes the value `Sync`, as errors are expected to be.
    value: Mutex<T>,
}

impl<T, E> Rejected<T, E> {
    /// Pairs a value with the reason why it was not accepted.
    pub fn new(error: E, value: T) -> Self {
        Rejected { error, value: Mutex::new(value) }
    }

    /// The reason why the value was not accepted.
    pub fn error(&self) -> &E {
        &self.error
    }

    /// Takes the value back.
    pub fn into_inner(self) -> T {
        self.into_parts().1
    }

    /// The reason and the value.
    pub fn into_parts(self) -> (E, T) {
        (self.error, self.value.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn map<U>(self, f: impl FnOnce(T) -> U) -> Rejected<U, E> {
        let (error, value) = self.into_parts();
        Rejected::new(error, f(value))
    }
}

impl<T, E: fmt::Debug> fmt::Debug for Rejected<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rejected").field("error", &self.error).finish_non_exhaustive()
    }
}

impl<T, E: fmt::Display> fmt::Display for Rejected<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl<T, E: std::error::Error + 'static> std::error::Error for Rejected<T, E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}

impl<T> From<Rejected<T>> for Error {
    fn from(rejected: Rejected<T>) -> Error {
        rejected.error
    }
}
