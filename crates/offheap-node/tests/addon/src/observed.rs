//! An observer that breaks its rule: it runs script in the middle of a call of this addon.

use std::cell::{Cell, RefCell};

use napi::bindgen_prelude::{Function, FunctionRef, Unknown};
use napi::{Env, Result};
use napi_derive::napi;
use offheap_node::offheap::observe::{Event, EventKind, Observer, set_observer};

use crate::scenarios::failed;

thread_local! {
    static ENV: Cell<Option<Env>> = const { Cell::new(None) };
    static DURING: RefCell<Option<FunctionRef<(), ()>>> = const { RefCell::new(None) };
}

/// Runs the function once, when a store is made.
struct RunsScript;

impl Observer for RunsScript {
    fn event(&self, event: &Event) {
        let Some(env) = ENV.get().filter(|_| event.kind == EventKind::Created) else { return };
        if let Some(during) = DURING.take() {
            let _ = during.borrow_back(&env).and_then(|during| during.call(()));
        }
    }
}

/// The first byte of what comes in, where `during` runs as soon as the store is made.
#[napi]
pub fn externalize_while(env: Env, value: Unknown<'_>, during: Function<(), ()>) -> Result<u8> {
    let _ = set_observer(&RunsScript);
    DURING.set(Some(during.create_ref()?));
    ENV.set(Some(env));
    let incoming = offheap_node::externalize(&value);
    ENV.set(None);
    let mut first = [0];
    incoming.map_err(failed)?.view.store.copy_to_slice(0, &mut first).map_err(failed)?;
    Ok(first[0])
}
