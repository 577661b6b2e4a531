//! An isolate of V8 with its own settings, for our side and for the peer.

use offheap_v8::v8::{self, Global, Local, PinScope};
use offheap_v8::{Isolate, ScopeExt};

/// Runs `work` in a new context of a new isolate.
pub(crate) fn in_isolate<R>(work: impl FnOnce(&mut PinScope<'_, '_>) -> R) -> R {
    let isolate = &mut v8::Isolate::new(v8::CreateParams::default());
    v8::scope!(let scope, isolate);
    let context = v8::Context::new(scope, v8::ContextOptions::default());
    let scope = &mut v8::ContextScope::new(scope, context);
    work(scope)
}

/// The function that `source` evaluates to.
pub(crate) fn function<'s>(scope: &mut PinScope<'s, '_>, source: &str) -> Local<'s, v8::Function> {
    let source = v8::String::new(scope, source).expect("a short string");
    let script = v8::Script::compile(scope, source, None).expect("it parses");
    script.run(scope).and_then(|value| value.try_into().ok()).expect("a function")
}

/// A function in its own isolate.
pub(crate) struct Prepared {
    isolate: Isolate,
    function: Global<v8::Function>,
}

impl Prepared {
    /// Makes a function in an isolate of ours, with our allocator.
    pub(crate) fn ours(source: &str) -> Self {
        Self::new(Isolate::new().expect("an isolate"), source)
    }

    /// Makes a function in an isolate with V8's allocator.
    pub(crate) fn theirs(source: &str) -> Self {
        Self::new(Isolate::builder().v8_allocator().build().expect("an isolate"), source)
    }

    fn new(mut isolate: Isolate, source: &str) -> Self {
        let function = isolate.enter(|scope| {
            scope.with_v8(|scope| {
                let function = function(scope, source);
                Global::new(scope, function)
            })
        });
        Prepared { isolate, function }
    }

    /// Calls the function with `count`, and `work` with the result.
    pub(crate) fn call<R>(
        &mut self,
        count: u32,
        work: impl for<'s> FnOnce(&mut PinScope<'s, '_>, Local<'s, v8::Value>) -> R,
    ) -> R {
        self.isolate.enter(|scope| {
            scope.with_v8(|scope| {
                let nothing = v8::undefined(scope).into();
                let count = v8::Number::new(scope, f64::from(count)).into();
                let function = Local::new(scope, &self.function);
                let value = function.call(scope, nothing, &[count]).expect("it does not throw");
                work(scope, value)
            })
        })
    }
}
