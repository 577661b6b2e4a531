//! A place in a program in one pointer, as a control block has it.

use std::panic::Location;
use std::ptr::NonNull;

use crate::Site;
use crate::site::ScriptPlace;

/// A site in one pointer: the lowest bit is set for a place in a script.
#[derive(Clone, Copy)]
pub(super) struct PackedSite(NonNull<()>);

const _: () = assert!(align_of::<Location<'static>>() > 1 && align_of::<ScriptPlace>() > 1);

impl PackedSite {
    #[inline]
    pub(super) fn new(site: Site) -> Self {
        PackedSite(match site {
            Site::Native(place) => NonNull::from(place).cast(),
            Site::Script(place) => NonNull::from(place).cast().map_addr(|address| address | 1),
        })
    }

    pub(super) fn get(self) -> Site {
        let address = self.0.as_ptr();
        if address.addr() & 1 == 0 {
            // SAFETY: I-LAYOUT: a pointer without the bit came from a `&'static Location`.
            Site::Native(unsafe { &*address.cast::<Location<'static>>() })
        } else {
            let place = address.map_addr(|address| address & !1).cast::<ScriptPlace>();
            // SAFETY: I-LAYOUT: a pointer with the bit, which is removed, came from a `&'static ScriptPlace`.
            Site::Script(unsafe { &*place })
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::site::script_site;

    #[test]
    fn a_place_of_either_sort_is_packed_and_found_again() {
        for site in [Site::here(), script_site("a.js", 1, 2)] {
            assert_eq!(PackedSite::new(site).get(), site);
        }
    }
}
