//! Handles that are used while QuickJS marks live objects. Marking subtracts references from the counts of objects.

use std::cell::{Cell, RefCell};

use offheap_quickjs::offheap::UniqueStore;
use offheap_quickjs::rquickjs::class::{JsClass, Readable, Trace, Tracer};
use offheap_quickjs::rquickjs::function::Constructor;
use offheap_quickjs::rquickjs::{self, Class, Ctx, JsLifetime};
use offheap_quickjs::{Handle, Isolate, JsArrayBuffer, ManuallyExternalizedBuffer, ScopeExt};

thread_local! {
    static HANDLES: RefCell<Vec<Handle<JsArrayBuffer>>> = const { RefCell::new(Vec::new()) };
    static ASKED: Cell<usize> = const { Cell::new(0) };
}

/// A value that script keeps. It asks for the handles' stores whenever it is marked.
struct Asks;

// SAFETY: the type has no lifetime.
unsafe impl<'js> JsLifetime<'js> for Asks {
    type Changed<'to> = Asks;
}

impl<'js> Trace<'js> for Asks {
    fn trace<'a>(&self, _tracer: Tracer<'a, 'js>) {
        HANDLES.with_borrow(|handles| {
            for handle in handles {
                ASKED.set(ASKED.get() + 1);
                drop(ManuallyExternalizedBuffer::new(handle.clone()));
            }
        });
    }
}

impl<'js> JsClass<'js> for Asks {
    const NAME: &'static str = "Asks";
    type Mutable = Readable;

    fn constructor(_ctx: &Ctx<'js>) -> rquickjs::Result<Option<Constructor<'js>>> {
        Ok(None)
    }
}

#[test]
fn handles_give_no_store_of_a_buffer_kept_by_its_view_while_values_are_marked() {
    let mut isolate = Isolate::new().unwrap();
    isolate.enter(|scope| {
        // The buffer has one reference, that of the view, which marking subtracts from its count.
        let store = UniqueStore::from_owner(vec![7_u8; 64]).unwrap().into();
        let view = scope.expose_typed::<u8>(&store, 0, 64).unwrap().into_handle();
        let foreign = scope.eval_buffer("new ArrayBuffer(64)").unwrap().into_handle();
        let over_a_store = scope.expose(&store).unwrap().into_handle();
        HANDLES.set(vec![foreign, over_a_store]);
        scope.with_ctx(|ctx| ctx.globals().set("asks", Class::instance(ctx.clone(), Asks).unwrap()).unwrap());
        scope.set_global("view", &view).unwrap();
        scope.collect();
        assert_ne!(ASKED.get(), 0);
        let read = "let sum = 0; for (const byte of new Uint8Array(view.buffer)) sum += byte; sum";
        assert_eq!(scope.eval::<u32>(read).unwrap(), 7 * 64);
        scope.collect();
        HANDLES.take();
    });
}
