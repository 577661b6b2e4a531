//! Helpers that several tests use.
#![allow(dead_code, reason = "each test file uses some of it")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use offheap_quickjs::offheap::{BackingStore, UniqueStore};
use offheap_quickjs::rquickjs::{Context, Ctx, Runtime};

/// Counts drops.
#[derive(Clone, Default)]
pub(crate) struct Count(Arc<AtomicUsize>);

impl Count {
    pub(crate) fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A store over these bytes, and the number of times that its owner was dropped.
pub(crate) fn counted(bytes: Vec<u8>) -> (BackingStore, Count) {
    let count = Count::default();
    let told = count.clone();
    let unique = UniqueStore::from_owner_with_deleter(bytes, move |_, _| told.add()).unwrap();
    (unique.into(), count)
}

/// A store of this length with the bytes 0, 1, 2 and so on.
pub(crate) fn numbered(byte_length: usize) -> BackingStore {
    let filled = UniqueStore::filled(byte_length, |bytes| {
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = index as u8;
        }
    });
    filled.unwrap().into()
}

/// Calls `work` with a context that belongs to no `Isolate`.
pub(crate) fn in_own_context<R>(work: impl FnOnce(&Ctx<'_>) -> R) -> R {
    let runtime = Runtime::new().unwrap();
    let context = Context::full(&runtime).unwrap();
    context.with(|ctx| work(&ctx))
}

/// Runs a script, and panics with its exception if it throws.
pub(crate) fn run(ctx: &Ctx<'_>, source: &str) {
    let wrapped = format!("{{{source}\n}}\n;undefined");
    if ctx.eval::<(), _>(wrapped).is_err() {
        let thrown = ctx.catch();
        let text = thrown.get::<offheap_quickjs::rquickjs::Coerced<String>>().unwrap().0;
        let stack = thrown.as_exception().and_then(|exception| exception.stack()).unwrap_or_default();
        panic!("{text}\n{stack}\nin {source}");
    }
}
