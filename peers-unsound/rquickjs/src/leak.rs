//! A Rust function holds the buffer whose property it is: a cycle that QuickJS's collector does not see.
//! The documentation of `Persistent` says that the runtime then aborts the process.
//! Seen: an assertion of QuickJS ends the process when the runtime is dropped. Nothing names the buffer.

use rquickjs::{ArrayBuffer, Function, Persistent};

pub(super) fn main() {
    let context = super::context();
    context.with(|ctx| {
        let buffer = ArrayBuffer::new(ctx.clone(), vec![0_u8; 1 << 20]).unwrap();
        let kept = Persistent::save(&ctx, buffer.clone());
        let length = Function::new(ctx.clone(), move |ctx| kept.clone().restore(&ctx).unwrap().len()).unwrap();
        buffer.set("length", length).unwrap();
    });
}
