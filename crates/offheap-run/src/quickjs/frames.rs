//! Stacks and places, from QuickJS's call sites.

use std::cell::Cell;
use std::rc::Rc;

use offheap::observe::ScriptStack;
use offheap::{Site, adapter};
use offheap_quickjs::rquickjs::function::FuncArg;
use offheap_quickjs::rquickjs::object::Property;
use offheap_quickjs::rquickjs::{self, Ctx, Function, Object, Value};
use offheap_quickjs::script_site;

use super::columns::Columns;
use super::functions::evaluate_source;
use crate::glue::FRAMES;

/// The property of `trace` with the function that makes a stack. The engine's garbage collector sees it there, as it
/// would not see a value that a Rust closure keeps.
const FORMAT: &str = "format";

/// Makes stacks from call sites in `ctx`, and returns what the description of values asks about them.
pub(super) fn install<'js>(ctx: &Ctx<'js>, columns: &Rc<Columns>) -> rquickjs::Result<Object<'js>> {
    let columns = Rc::clone(columns);
    let column_of = move |file: String, line: u32, column: u32, is_unparsed: bool| match is_unparsed {
        true => columns.of_unparsed(&file, line, column),
        false => columns.of_token(&file, line, column),
    };
    let is_quiet = Rc::new(Cell::new(false));
    let quiet = Rc::clone(&is_quiet);
    let be_quiet = move |is: bool| quiet.set(is);
    // A Rust function, because QuickJS calls it even where its own stack is full.
    let trace = move |ctx: Ctx<'js>, FuncArg(trace): FuncArg<Object<'js>>, thrown: Value<'js>, sites: Value<'js>| {
        if is_quiet.get() {
            return sites;
        }
        let format = trace.get::<_, Option<Function<'js>>>(FORMAT);
        let formatted = format.and_then(|format| match format {
            Some(format) => format.call((thrown, sites.clone())),
            None => Ok(sites.clone()),
        });
        formatted.unwrap_or_else(|_| {
            ctx.catch();
            sites
        })
    };
    let host = Object::new(ctx.clone())?;
    let trace = Function::new(ctx.clone(), trace)?;
    host.set("isProxy", Function::new(ctx.clone(), |value: Value<'js>| value.is_proxy())?)?;
    host.set("columnOf", Function::new(ctx.clone(), column_of)?)?;
    host.set("beQuiet", Function::new(ctx.clone(), be_quiet)?)?;
    host.set("trace", trace.clone())?;
    let engine: Object<'js> = evaluate_source(ctx, FRAMES)?.call((host,))?;
    let format: Function<'js> = engine.get("format")?;
    trace.prop(FORMAT, Property::from(format))?;
    Ok(engine)
}

/// The place of the call that is running; `None` where QuickJS cannot tell.
pub(super) fn site(ctx: &Ctx<'_>, columns: &Columns) -> Option<Site> {
    script_site(ctx).map(|site| corrected(site, columns))
}

/// The functions of script in the call that is running.
pub(super) fn script_stack(ctx: &Ctx<'_>, columns: &Columns) -> ScriptStack {
    let mut stack = ScriptStack::new();
    for mut frame in offheap_quickjs::script_stack(ctx).frames() {
        frame.at = corrected(frame.at, columns);
        stack.push(frame);
    }
    stack
}

/// A place with the column that editors show.
fn corrected(site: Site, columns: &Columns) -> Site {
    let Site::Script(place) = site else { return site };
    let column = columns.of_token(place.file(), place.line(), place.column());
    adapter::script_site(place.file(), place.line(), column)
}
