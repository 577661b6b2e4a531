//! V8's own functions, unaffected by replacements in script. They answer queries that the crate `v8` does not bind. A
//! program's own snapshot may have replaced them before, so memory safety does not depend on their answers.

use super::allocator::for_this_crate;
use super::natives;
use crate::script::{catching, compile_and_run};
use crate::{ENGINE, Error};

pub(crate) struct Realm {
    context: v8::Global<v8::Context>,
    functions: Vec<Option<v8::Global<v8::Function>>>,
    /// Whether V8 has immutable buffers, and no operation of script writes to them.
    pub(crate) enforces_immutable: bool,
}

/// The functions, in the order of [`FUNCTIONS`].
#[derive(Clone, Copy)]
pub(crate) enum Function {
    Transfer,
    Resize,
    Grow,
    TransferToImmutable,
    Allocate,
    Read,
    Write,
    ProbeImmutable,
}

const FUNCTIONS: &str = include_str!("realm.js");

impl Realm {
    pub(super) fn in_entered_context(scope: &mut v8::PinScope<'_, '_>) -> Result<Self, Error> {
        let context = scope.get_current_context();
        let context = v8::Global::new(scope, context);
        let list = catching(scope, |scope| compile_and_run(scope, FUNCTIONS.into()))?;
        let list: v8::Local<'_, v8::Array> = list.try_into().map_err(|_| FAILED)?;
        let mut functions = Vec::new();
        for index in 0..list.length() {
            let value = list.get_index(scope, index).ok_or(FAILED)?;
            let function = v8::Local::<v8::Function>::try_from(value).ok();
            functions.push(function.map(|function| v8::Global::new(scope, function)));
        }
        let mut realm = Realm { context, functions, enforces_immutable: false };
        let nothing = v8::undefined(scope).into();
        realm.enforces_immutable = realm.has_v8s_own_transfer(scope)
            && for_this_crate(|| realm.call(scope, Function::ProbeImmutable, nothing, &[]))?.is_true();
        Ok(realm)
    }

    /// Whether `transferToImmutable` is V8's own function, because it is given memory that must not be written. V8's
    /// own function has no script, and V8 reports this name for it; V8 reports a different name for bound functions.
    fn has_v8s_own_transfer(&self, scope: &mut v8::PinScope<'_, '_>) -> bool {
        self.functions[Function::TransferToImmutable as usize].as_ref().is_some_and(|function| {
            let function = v8::Local::new(scope, function);
            const NO_SCRIPT: i32 = 0;
            let name = function.get_name(scope).to_rust_string_lossy(scope);
            function.script_id() == NO_SCRIPT && name == "transferToImmutable"
        })
    }

    pub(super) fn in_new_context(scope: &mut v8::PinScope<'_, '_>) -> Result<Self, Error> {
        let context = catching(scope, |scope| natives::new_context(scope))?;
        let scope = &mut v8::ContextScope::new(scope, context);
        Self::in_entered_context(scope)
    }

    /// Releases all handles at the end of the isolate, when the crate's handles no longer free anything. A snapshot
    /// cannot be made while such handles exist.
    pub(super) fn end(self) {
        natives::reset(self.context);
        self.functions.into_iter().flatten().for_each(natives::reset);
    }

    /// Calls one of V8's own functions, which by itself runs no user code.
    pub(crate) fn call<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        function: Function,
        receiver: v8::Local<'s, v8::Value>,
        arguments: &[v8::Local<'s, v8::Value>],
    ) -> Result<v8::Local<'s, v8::Value>, Error> {
        let function = self.functions[function as usize].as_ref().ok_or(FAILED)?;
        let function = v8::Local::new(scope, function);
        catching(scope, |scope| function.call(scope, receiver, arguments))
    }

    /// Makes a buffer over `store` in this realm.
    pub(crate) fn buffer_over<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        store: &v8::SharedRef<v8::BackingStore>,
    ) -> v8::Local<'s, v8::ArrayBuffer> {
        let context = v8::Local::new(scope, &self.context);
        let scope = &mut v8::ContextScope::new(scope, context);
        v8::ArrayBuffer::with_backing_store(scope, store)
    }
}

const FAILED: Error = Error::EngineFailed { engine: ENGINE, attempted: "give its own functions" };
