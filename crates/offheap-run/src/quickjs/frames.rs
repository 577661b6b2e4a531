//! Stacks and places, from QuickJS's call sites.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use offheap::Site;
use offheap::adapter;
use offheap_quickjs::rquickjs::{self, Ctx, Function, Object, Persistent, Value};
use offheap_quickjs::script_site;

use super::columns::Columns;
use super::functions::own_function;
use crate::glue::FRAMES;

/// Knows the places in scripts.
#[derive(Clone, Default)]
pub(super) struct Frames {
    pub(super) columns: Rc<Columns>,
    // No value may outlive its engine: gone once that ends.
    format: Rc<RefCell<Option<Persistent<Function<'static>>>>>,
}

impl Frames {
    /// Makes stacks from call sites in `ctx`, and returns what describes values there has to ask.
    pub(super) fn install<'js>(&self, ctx: &Ctx<'js>) -> rquickjs::Result<Object<'js>> {
        let columns = Rc::clone(&self.columns);
        let column_of = move |file: String, line: u32, column: u32, is_unparsed: bool| match is_unparsed {
            true => columns.of_unparsed(&file, line, column),
            false => columns.of_token(&file, line, column),
        };
        let kept = Rc::clone(&self.format);
        let is_quiet = Rc::new(Cell::new(false));
        let quiet = Rc::clone(&is_quiet);
        let be_quiet = move |is: bool| quiet.set(is);
        // QuickJS calls a Rust function where its own stack is full, too.
        let trace = move |ctx: Ctx<'js>, thrown: Value<'js>, sites: Value<'js>| -> Value<'js> {
            if is_quiet.get() {
                return sites;
            }
            let format = kept.borrow().clone().and_then(|format| format.restore(&ctx).ok());
            let Some(format) = format else { return sites };
            format.call((thrown, sites.clone())).unwrap_or_else(|_| {
                ctx.catch();
                sites
            })
        };
        let host = Object::new(ctx.clone())?;
        host.set("isProxy", Function::new(ctx.clone(), |value: Value<'js>| value.is_proxy())?)?;
        host.set("columnOf", Function::new(ctx.clone(), column_of)?)?;
        host.set("beQuiet", Function::new(ctx.clone(), be_quiet)?)?;
        host.set("trace", Function::new(ctx.clone(), trace)?)?;
        let engine: Object<'js> = own_function(ctx, "offheap:frames", FRAMES)?.call((host,))?;
        let format: Function<'js> = engine.get("format")?;
        *self.format.borrow_mut() = Some(Persistent::save(ctx, format));
        Ok(engine)
    }

    /// Where the call that is going on is; `None` where QuickJS cannot tell.
    pub(super) fn site(&self, ctx: &Ctx<'_>) -> Option<Site> {
        match script_site(ctx)? {
            Site::Script(place) => {
                let column = self.columns.of_token(place.file(), place.line(), place.column());
                Some(adapter::script_site(place.file(), place.line(), column))
            }
            native => Some(native),
        }
    }

    /// Lets go of what it has of the engine.
    pub(super) fn close(&self) {
        self.format.borrow_mut().take();
    }
}
