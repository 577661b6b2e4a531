//! Errors of Rust in script, and errors of script in Rust.

use offheap_quickjs::offheap::{self, BackingStore, Rejected, UniqueStore};
use offheap_quickjs::prelude::*;
use offheap_quickjs::rquickjs::{self, Coerced, Ctx, Function};
use offheap_quickjs::{Error, Isolate, copy_of, detach};

use crate::common::{in_own_context, numbered};

/// A function of rquickjs that fails by a bare `?`, without a `Ctx`.
fn fails(store: &BackingStore) -> rquickjs::Result<Vec<u8>> {
    Ok(store.slice(..99)?.to_vec()?)
}

/// A function with our error that calls rquickjs.
fn evaluates(ctx: &Ctx<'_>, source: &str) -> Result<u32, Error> {
    Ok(ctx.eval::<u32, _>(source)?)
}

fn caught_in_script(ctx: &Ctx<'_>, call: &str) -> String {
    let source = format!("try {{ {call} }} catch (e) {{ `${{e.name}} ${{e.code}} ${{e.message}}` }}");
    ctx.eval::<Coerced<String>, _>(source).unwrap().0
}

#[test]
fn or_throw_gives_class_code_and_message_for_all_our_errors() {
    in_own_context(|ctx| {
        let store = numbered(4);
        let clone = store.clone();
        let unique: fn(&BackingStore) -> Result<UniqueStore, Rejected<BackingStore>> =
            |store| store.clone().try_into_unique();
        let core = move |ctx: Ctx<'_>| store.slice(..99).map(drop).or_throw(&ctx);
        let rejected = move |ctx: Ctx<'_>| unique(&clone).map(drop).or_throw(&ctx);
        let engine = |ctx: Ctx<'_>| detach(&ctx, ctx.globals().as_value(), None).or_throw(&ctx);
        ctx.globals().set("core", Function::new(ctx.clone(), core).unwrap()).unwrap();
        ctx.globals().set("rejected", Function::new(ctx.clone(), rejected).unwrap()).unwrap();
        ctx.globals().set("engine", Function::new(ctx.clone(), engine).unwrap()).unwrap();
        assert!(caught_in_script(ctx, "core()").starts_with("RangeError OUT_OF_RANGE bytes 0..99 do not lie in store"));
        assert!(caught_in_script(ctx, "rejected()").starts_with("TypeError NOT_UNIQUE store "));
        assert!(
            caught_in_script(ctx, "engine()").starts_with("TypeError NOT_AN_ARRAY_BUFFER QuickJS: expected an Array")
        );
    });
}

#[test]
fn a_bare_question_mark_keeps_the_message_in_script() {
    in_own_context(|ctx| {
        let function = |_: Ctx<'_>| fails(&numbered(4)).map(|bytes| bytes.len());
        ctx.globals().set("bare", Function::new(ctx.clone(), function).unwrap()).unwrap();
        let says = caught_in_script(ctx, "bare()");
        assert!(says.starts_with("Error undefined IO Error: bytes 0..99 do not lie in store"), "{says}");
    });
}

#[test]
fn or_throw_after_a_bare_question_mark_gives_class_and_code_again() {
    in_own_context(|ctx| {
        let function = |ctx: Ctx<'_>| fails(&numbered(4)).map(|bytes| bytes.len()).or_throw(&ctx);
        ctx.globals().set("again", Function::new(ctx.clone(), function).unwrap()).unwrap();
        assert!(
            caught_in_script(ctx, "again()").starts_with("RangeError OUT_OF_RANGE bytes 0..99 do not lie in store")
        );
        let foreign = |ctx: Ctx<'_>| -> rquickjs::Result<()> {
            Err(rquickjs::Error::from(std::io::Error::other("mine"))).or_throw(&ctx)
        };
        ctx.globals().set("foreign", Function::new(ctx.clone(), foreign).unwrap()).unwrap();
        assert_eq!(caught_in_script(ctx, "foreign()"), "Error undefined IO Error: mine");
        let js = |ctx: Ctx<'_>| ctx.eval::<(), _>("throw new RangeError('own')").or_throw(&ctx);
        ctx.globals().set("js", Function::new(ctx.clone(), js).unwrap()).unwrap();
        assert_eq!(caught_in_script(ctx, "js()"), "RangeError undefined own");
    });
}

#[test]
fn our_error_survives_both_ways_of_question_marks() {
    fn ours(store: &BackingStore) -> Result<Vec<u8>, Error> {
        Ok(fails(store)?)
    }
    let error = ours(&numbered(4)).unwrap_err();
    assert!(matches!(error, Error::Memory(offheap::Error::OutOfRange { .. })), "{error:?}");
    let error = Error::from(rquickjs::Error::from(Error::IsolateGone));
    assert!(matches!(error, Error::IsolateGone), "{error:?}");
    let rejected: Rejected<u8, Error> = Rejected::new(Error::IsolateGone, 1);
    assert!(matches!(Error::from(rquickjs::Error::from(rejected)), Error::IsolateGone));
    let error = Error::from(rquickjs::Error::from(std::io::Error::other("mine")));
    assert_eq!(error.to_string(), "QuickJS: IO Error: mine");
}

#[test]
fn a_question_mark_on_an_exception_says_where_its_message_is() {
    in_own_context(|ctx| {
        let error = evaluates(ctx, "null.x").unwrap_err();
        assert!(error.to_string().contains("call `caught(&ctx)` on the result"), "{error}");
        let error = ctx.eval::<u32, _>("'x'").caught(ctx).unwrap_err();
        assert_eq!(error.to_string(), "QuickJS: Error converting from js 'string' into type 'f64'");
    });
}

#[test]
fn caught_takes_message_and_place_out_of_the_context() {
    let error = in_own_context(|ctx| {
        let result = ctx.eval::<(), _>("function f() {\n  throw new RangeError('far')\n}\nf()").caught(ctx);
        assert!(!ctx.has_exception());
        result.unwrap_err()
    });
    assert_eq!(error.to_string(), "QuickJS: RangeError: far at eval_script:2:13");
    let Error::Script(thrown) = &error else { panic!("{error}") };
    assert_eq!((thrown.engine(), thrown.message()), ("QuickJS", "RangeError: far"));
    assert_eq!(thrown.place(), Some("eval_script:2:13"));
    // `main` prints the `Debug` of what it returns.
    let boxed: Box<dyn std::error::Error + Send + Sync> = error.into();
    let printed = format!("Error: {boxed:?}");
    assert!(
        printed
            .starts_with("Error: Script(QuickJS: RangeError: far at eval_script:2:13\n    at f (eval_script:2:13)\n"),
        "{printed}"
    );
}

#[test]
fn an_error_that_script_lets_pass_is_caught_with_its_message() {
    in_own_context(|ctx| {
        let buffer: rquickjs::ArrayBuffer<'_> = ctx.eval("new ArrayBuffer(8)").unwrap();
        detach(ctx, buffer.as_value(), None).unwrap();
        ctx.globals().set("buffer", buffer).unwrap();
        fn copies<'js>(ctx: Ctx<'js>, value: rquickjs::Value<'js>) -> rquickjs::Result<usize> {
            Ok(copy_of::<u8>(&ctx, &value).or_throw(&ctx)?.len())
        }
        ctx.globals().set("copies", Function::new(ctx.clone(), copies).unwrap()).unwrap();
        let error = ctx.eval::<u32, _>("copies(buffer)").caught(ctx).unwrap_err();
        assert!(
            error.to_string().starts_with("QuickJS: TypeError: QuickJS: cannot copy the buffer: it is detached"),
            "{error}"
        );
        let thrown = ctx.eval::<(), _>("throw 1").caught(ctx).unwrap_err();
        assert_eq!(thrown.to_string(), "QuickJS: 1");
        assert!(ctx.eval::<u32, _>("1").caught(ctx).is_ok());
    });
}

#[test]
fn the_error_of_an_isolate_prints_message_and_place() {
    let error = Isolate::new().unwrap().enter(|scope| scope.eval::<()>("\n null.x")).unwrap_err();
    let boxed: Box<dyn std::error::Error> = error.into();
    assert!(
        format!("{boxed:?}").contains("TypeError: cannot read property 'x' of null at eval_script:2:2"),
        "{boxed:?}"
    );
}
