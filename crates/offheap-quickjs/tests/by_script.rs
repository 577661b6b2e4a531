//! Stores that native functions make, expose and externalize while script waits: the ledger names the lines of script. It has
//! a separate file, because a process has one observer.

use offheap_conformance::ledger::{check_lines_of_script, last, refused_at};
use offheap_ledger::{Ledger, Level};
use offheap_quickjs::offheap::{BackingStore, UniqueStore};
use offheap_quickjs::rquickjs::context::EvalOptions;
use offheap_quickjs::rquickjs::{Context, Ctx, Function, Runtime, Value};
use offheap_quickjs::{BackingStoreExt, Isolate, Source, UniqueStoreExt, copy_of, transfer};

#[test]
fn the_ledger_names_the_script_that_waited() {
    let ledger = offheap_ledger::install(Level::Full).unwrap();
    let mut isolate = Isolate::new().unwrap();
    check_lines_of_script(&mut isolate, ledger, "<eval>");
    a_transfer_of_script_is_told(&mut isolate, ledger);
    uses_after_detach_in_a_context_of_ones_own(ledger);
}

/// An isolate replaces script's own function.
fn a_transfer_of_script_is_told(isolate: &mut Isolate, ledger: &Ledger) {
    isolate.enter(|scope| scope.eval::<()>(Source::named("move.js", "shown = shown.transfer(); undefined")).unwrap());
    let (event, site) = last(ledger);
    assert_eq!(event, "transferred");
    assert!(site.unwrap().to_string().starts_with("move.js:1:"), "{site:?}");
}

const OWN: &str = "
const gone = new ArrayBuffer(8), view = new Uint8Array(gone);
gone.transfer();
use(gone, 0);
use(view, 1);
use(gone, 2);
use(gone, 3);
use(gone, 4);
";

fn uses_after_detach_in_a_context_of_ones_own(ledger: &Ledger) {
    let before = ledger.report().refusals.len();
    let context = Context::full(&Runtime::new().unwrap()).unwrap();
    context.with(|ctx| {
        let use_it = |ctx: Ctx<'_>, value: Value<'_>, how: u32| match how {
            0 => BackingStore::externalize(&ctx, &value).is_ok(),
            1 => BackingStore::externalize_view(&ctx, &value).is_ok(),
            2 => UniqueStore::take(&ctx, &value, None).is_ok(),
            3 => transfer(&ctx, &value, None).is_ok(),
            _ => copy_of::<u8>(&ctx, &value).is_ok(),
        };
        ctx.globals().set("use", Function::new(ctx.clone(), use_it)).unwrap();
        let mut options = EvalOptions::default();
        options.filename = Some("own.js".to_owned());
        ctx.eval_with_options::<(), _>(OWN, options).unwrap();
    });
    refused_at(ledger, before, file!(), &[4, 5, 6, 7, 8]);
}
