//! Places in scripts.

use napi_derive::napi;
use offheap_ledger::{Level, installed};
use offheap_node::offheap::Site;
use offheap_node::offheap::adapter::{on_behalf_of, script_site};

/// The place in a script that called a function of the package.
#[napi(object)]
pub struct Place {
    /// The name of the file or module.
    pub file: String,
    /// Counted from 1; 0 if it is not known.
    pub line: u32,
    /// Counted from 1; 0 if it is not known.
    pub column: u32,
}

impl Place {
    pub(crate) fn site(&self) -> Site {
        script_site(&self.file, self.line, self.column)
    }
}

/// Whether a ledger records places, so that it is worth finding out who called.
#[napi]
pub fn records_places() -> bool {
    installed().is_some_and(|ledger| ledger.level() != Level::Counts)
}

/// Calls `run`; what it makes was made at this place.
pub(crate) fn at<R>(place: Option<&Place>, run: impl FnOnce() -> R) -> R {
    match place {
        Some(place) => on_behalf_of(place.site(), run),
        None => run(),
    }
}
