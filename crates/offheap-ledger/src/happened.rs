//! What happened to a store, as it is kept in its history and handed to the stream.

use offheap::observe::{Event, EventKind};
use offheap::{IsolateId, Site, StoreId, StoreKind};

use crate::site::Weight;
use crate::stack::Stack;
use crate::thread;

/// Something that happened to a store.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Happened {
    pub(crate) what: What,
    /// Nanoseconds since the ledger began.
    pub(crate) time: u64,
    pub(crate) store: StoreId,
    pub(crate) byte_length: usize,
    pub(crate) site: Option<Site>,
    pub(crate) stack: Option<Stack>,
    pub(crate) thread: u32,
    pub(crate) isolate: Option<IsolateId>,
}

/// What it was.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum What {
    Created {
        kind: StoreKind,
        weight: Weight,
    },
    Exposed,
    Externalized,
    Detached,
    Transferred,
    Released,
    Resized,
    Freed,
    Static,
    /// A handle was made, over the bytes from `from` to `to`.
    Referenced {
        reference: u64,
        from: usize,
        to: usize,
    },
    /// A handle was dropped.
    Dropped {
        reference: u64,
    },
}

impl Happened {
    /// An event of the core, while script was at `script`. Whatever the core tells that is not known here is left out.
    pub(crate) fn new(event: &Event, weight: Weight, stack: Option<Stack>, script: Option<Site>) -> Option<Happened> {
        let (what, isolate, site) = match event.kind {
            EventKind::Created => (What::Created { kind: event.store_kind, weight }, None, Some(event.created)),
            EventKind::Exposed { isolate } => (What::Exposed, Some(isolate), script),
            EventKind::Externalized { isolate } => (What::Externalized, Some(isolate), script),
            EventKind::Detached { isolate } => (What::Detached, Some(isolate), None),
            EventKind::Transferred { isolate } => (What::Transferred, Some(isolate), script),
            EventKind::Referenced { reference, at, from, to } => {
                (What::Referenced { reference: reference.get(), from, to }, None, Some(at))
            }
            EventKind::Dropped { reference } => (What::Dropped { reference: reference.get() }, None, None),
            EventKind::Released { isolate } => (What::Released, isolate, None),
            EventKind::Resized => (What::Resized, None, None),
            EventKind::Freed { at } => (What::Freed, None, at),
            _ => return None,
        };
        let (store, byte_length, thread) = (event.store, event.byte_length, thread::number());
        Some(Happened { what, time: 0, store, byte_length, site, stack, thread, isolate })
    }

    /// The word for it, as in the stream's format.
    pub(crate) fn word(&self) -> &'static str {
        match self.what {
            What::Created { .. } => "created",
            What::Exposed => "exposed",
            What::Externalized => "externalized",
            What::Detached => "detached",
            What::Transferred => "transferred",
            What::Released => "released",
            What::Resized => "resized",
            What::Freed => "freed",
            What::Static => "static",
            What::Referenced { .. } => "referenced",
            What::Dropped { .. } => "dropped",
        }
    }
}
