//! Implements `Host` for V8. The generic `Isolate` of `offheap-engine` drives it.
#![allow(unsafe_code, reason = "implements `Host`, whose contract it keeps")]

use std::ptr::NonNull;

use offheap::{BackingStore, IsolateId, StoreKind, adapter};
use offheap_engine::{
    ByIsolate, Element, FromScript, Host, NativeFunction, Retainers, Rooted, Roots, ScriptError, Sought, Source,
    ToScript, UseOfBytes, Window,
};

use crate::detach::{detach, resize, set_key, transfer};
use crate::extension::BackingStoreExt;
use crate::modules::evaluate_module;
use crate::script::{catching_with, compile_and_run, was_stopped, with_script_stack};
use crate::sys::{self, Buffer, Facts, Function, OwnIsolate, Root, Running, buffer_of, object_of};
use crate::{BufferState, Capabilities, CopyReason, ENGINE, Error, Exposure, IsolateBuilder, ViewState, typed};

/// V8, as driven by an [`Isolate`](crate::Isolate).
pub struct V8 {
    pub(crate) own: OwnIsolate,
}

/// Only this crate can make this key, so only this crate can reach a [`V8`].
pub struct Key(());

impl Key {
    pub(crate) fn new() -> Self {
        Key(())
    }
}

impl V8 {
    /// Runs work that may run script.
    fn run<R>(&self, work: impl for<'h, 'i> FnOnce(&mut v8::PinScope<'h, 'i>) -> Result<R, Error>) -> Result<R, Error> {
        if self.own.stack_is_exceeded() {
            return Err(stack_is_exceeded());
        }
        let done = self.own.with_scope(work);
        let heap_limit = self.own.heap_limit();
        let done = match heap_limit.is_reached() {
            true => done.map_err(|_| heap_limit.error(false)),
            false => done,
        };
        self.own.restore_full_heap();
        done
    }

    /// Runs script of the program.
    fn run_script<R>(
        &self,
        work: impl for<'h, 'i> FnOnce(&mut v8::PinScope<'h, 'i>) -> Result<R, Error>,
    ) -> Result<R, Error> {
        if self.own.is_stopping() {
            return Err(was_stopped());
        }
        if self.own.keeps_too_much() {
            return Err(self.own.heap_limit().error(true));
        }
        let _script = adapter::script_runs();
        let _running = Running::script_of(&self.own);
        self.run(work)
    }

    /// Runs a module and the microtasks that are due. Returns whether the module has ended.
    pub(crate) fn evaluate_module(&self, name: &str, source: &str) -> Result<bool, Error> {
        self.run_script(|scope| {
            self.catching(scope, |scope| {
                let ended = evaluate_module(scope, name, source)?;
                scope.perform_microtask_checkpoint();
                match ended.state() {
                    _ if scope.is_execution_terminating() => None,
                    v8::PromiseState::Pending => Some(false),
                    v8::PromiseState::Fulfilled => Some(true),
                    v8::PromiseState::Rejected => {
                        // The caller gets the reason, so the promise counts as handled.
                        let nothing = v8::Function::new(scope, ignore)?;
                        ended.catch(scope, nothing)?;
                        let reason = ended.result(scope);
                        scope.throw_exception(reason);
                        None
                    }
                }
            })
        })
    }

    /// Runs work on a buffer that may run script.
    fn run_on<R>(
        &self,
        buffer: Rooted<'_, Root>,
        work: impl for<'h, 'i> FnOnce(&mut v8::PinScope<'h, 'i>, &Buffer<'h>, Facts) -> Result<R, Error>,
    ) -> Result<R, Error> {
        self.run(|scope| {
            let (buffer, facts) = buffer_of(scope, buffer)?;
            work(scope, &buffer, facts)
        })
    }

    /// Runs work that may throw, and turns an exception into an error, which a native function may throw again.
    fn catching<'s, 'i, T>(
        &self,
        scope: &mut v8::PinScope<'s, 'i>,
        attempt: impl FnOnce(&mut v8::PinScope<'s, 'i>) -> Option<T>,
    ) -> Result<T, Error> {
        catching_with(scope, attempt, |scope, exception, error| match exception {
            Some(exception) => self.own.note_thrown(scope, exception, error),
            None => self.own.note_stopped(),
        })
    }

    /// Calls one of V8's own functions with a buffer and numbers.
    fn call_own<R>(
        &self,
        function: Function,
        buffer: Rooted<'_, Root>,
        numbers: &[f64],
        then: impl for<'h> FnOnce(v8::Local<'h, v8::Value>) -> R,
    ) -> Result<R, Error> {
        self.run_on(buffer, |scope, buffer, _| {
            let mut arguments: Vec<v8::Local<'_, v8::Value>> = vec![buffer.object().into()];
            arguments.extend(numbers.iter().map(|&number| v8::Local::from(v8::Number::new(scope, number))));
            let nothing = v8::undefined(scope).into();
            self.own.state().realm(scope)?.call(scope, function, nothing, &arguments).map(then)
        })
    }
}

fn ignore(_: &mut v8::PinScope<'_, '_>, _: v8::FunctionCallbackArguments<'_>, _: v8::ReturnValue<'_, v8::Value>) {}

/// V8 15.2 throws this error if it is called when the stack is used up, and V8 15.0 ends the process.
#[cold]
fn stack_is_exceeded() -> Error {
    let message = "RangeError: Maximum call stack size exceeded".to_owned();
    ScriptError::new(ENGINE, message, String::new()).into()
}

// SAFETY: I-BORROW: `state`, `is_shared`, `is_immutable`, `window`, `lend`, `externalize`, `check_lendable` and
// `check_only_buffer` call no function of V8 that runs script. Script of this isolate runs only through the other calls
// below, and through a scope that `ScopeExt::with_v8` lends. The id is that of the isolate's state, which ends with it.
// `lend` and `check_lendable` account for memory that a program may have taken through a lent scope (`sys::lending`).
unsafe impl Host for V8 {
    const NAME: &'static str = ENGINE;
    const RELEASING_RUNS_CODE: bool = false;
    type Root = Root;
    type Builder = IsolateBuilder;
    type Key = Key;

    fn build(builder: IsolateBuilder, _: ByIsolate) -> Result<Self, Error> {
        builder.start()
    }

    fn id(&self) -> IsolateId {
        self.own.state().isolate()
    }

    fn version(&self) -> String {
        v8::V8::get_version().to_owned()
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::all();
        capabilities.set(Capabilities::IMMUTABLE, self.own.state().enforces_immutable());
        capabilities.set(Capabilities::GENERATIONS, self.own.collects_young());
        capabilities
    }

    fn max_byte_length(&self) -> usize {
        sys::max_byte_length()
    }

    fn enter<R>(&self, work: impl FnOnce() -> R) -> R {
        self.own.make_room_on_stack();
        work()
    }

    fn relieve(&self) {
        self.own.relieve();
    }

    fn release(&self, root: Root) {
        self.own.release(root);
    }

    fn end(self, roots: impl Iterator<Item = Root>) {
        roots.for_each(drop);
    }

    fn evaluate(&self, source: Source<'_>) -> Result<FromScript<Root>, Error> {
        self.run_script(|scope| {
            let value = self.catching(scope, |scope| compile_and_run(scope, source))?;
            sys::from_script(scope, value)
        })
    }

    fn evaluate_buffer(&self, source: Source<'_>) -> Result<Root, Error> {
        self.run_script(|scope| {
            let value = self.catching(scope, |scope| compile_and_run(scope, source))?;
            let buffer = Buffer::of(scope, value)?;
            let facts = buffer.facts();
            Ok(Root::of_buffer(scope, &buffer, facts))
        })
    }

    fn evaluate_view(&self, source: Source<'_>) -> Result<ViewState, Error> {
        self.run_script(|scope| {
            let value = self.catching(scope, |scope| compile_and_run(scope, source))?;
            let view: v8::Local<'_, v8::ArrayBufferView> = value
                .try_into()
                .map_err(|_| Error::NotAnArrayBuffer { engine: ENGINE, found: value.type_repr().to_owned() })?;
            let mut contents = vec![0; view.byte_length()];
            let copied = view.copy_contents(&mut contents);
            contents.truncate(copied);
            Ok(ViewState { byte_offset: view.byte_offset(), byte_length: view.byte_length(), contents })
        })
    }

    fn global(&self, name: &str) -> Result<FromScript<Root>, Error> {
        self.run_script(|scope| {
            let value = self.catching(scope, |scope| {
                let name = v8::String::new(scope, name)?;
                let global = scope.get_current_context().global(scope);
                global.get(scope, name.into())
            })?;
            sys::from_script(scope, value)
        })
    }

    fn call(&self, function: Rooted<'_, Root>, arguments: &[ToScript<'_, Root>]) -> Result<FromScript<Root>, Error> {
        self.run_script(|scope| {
            let function: v8::Local<'_, v8::Function> =
                object_of(scope, function)?.try_into().expect("a handle of a function");
            let arguments: Vec<_> =
                arguments.iter().map(|argument| sys::to_script(scope, *argument)).collect::<Result<_, _>>()?;
            let nothing = v8::undefined(scope).into();
            let value = self.catching(scope, |scope| function.call(scope, nothing, &arguments))?;
            sys::from_script(scope, value)
        })
    }

    fn function(&self, name: &str, native: NativeFunction<Root>) -> Result<Root, Error> {
        self.own.function(name, native)
    }

    fn run_microtasks(&self) -> Result<(), Error> {
        self.run_script(|scope| {
            self.catching(scope, |scope| {
                scope.perform_microtask_checkpoint();
                (!scope.is_execution_terminating()).then_some(())
            })
        })
    }

    fn set_global(&self, name: &str, value: ToScript<'_, Root>) -> Result<(), Error> {
        self.run_script(|scope| {
            let value = sys::to_script(scope, value)?;
            self.catching(scope, |scope| {
                let name = v8::String::new(scope, name)?;
                let global = scope.get_current_context().global(scope);
                global.set(scope, name.into(), value)
            })
            .map(drop)
        })
    }

    fn allocate(&self, byte_length: usize, max_byte_length: Option<usize>, shared: bool) -> Result<Root, Error> {
        self.run(|scope| {
            let buffer = sys::allocate(scope, self.own.state(), byte_length, max_byte_length, shared)?;
            Ok(Root::of_buffer(scope, &buffer, Facts { shared, immutable: false, max_byte_length }))
        })
    }

    fn expose(&self, store: &BackingStore, may_copy: bool) -> Result<(Root, Exposure), Error> {
        if may_copy && store.kind().is_resizable_by_rust() {
            return self.run(|scope| {
                let buffer = sys::copy_resizable(scope, self.own.state(), store)?;
                // Do not read the store again: manual memory may be freed at any time.
                let root = Root::of_buffer(scope, &buffer, buffer.facts());
                Ok((root, Exposure::Copied { reason: CopyReason::Resizable }))
            });
        }
        self.run(|scope| {
            let (buffer, exposure) = match (store.kind().is_shared(), may_copy) {
                (true, _) => (Buffer::Shared(sys::expose_shared(scope, store)?), Exposure::External),
                (false, false) => (Buffer::Unshared(store.expose(scope)?), Exposure::External),
                (false, true) => {
                    let (buffer, exposure) = store.expose_or_copy(scope)?;
                    (Buffer::Unshared(buffer), exposure)
                }
            };
            let facts = match store.kind() {
                _ if !exposure.is_external() => buffer.facts(),
                StoreKind::FIXED | StoreKind::MANUAL => Facts::PLAIN,
                kind if kind.is_read_only() => Facts::IMMUTABLE,
                // If V8 made the memory, only V8 knows the facts of its buffers.
                _ => buffer.facts(),
            };
            Ok((Root::of_buffer(scope, &buffer, facts), exposure))
        })
    }

    fn expose_typed(
        &self,
        store: &BackingStore,
        element: Element,
        byte_offset: usize,
        element_count: usize,
    ) -> Result<Root, Error> {
        self.run(|scope| {
            let array = typed::expose_typed(scope, store, element, byte_offset, element_count)?;
            let byte_length = if adapter::frees_bytes(store) { store.byte_length() } else { 0 };
            let facts = Buffer::of(scope, array.into())?.facts();
            Ok(Root::of_object(scope, array.into(), facts, byte_length))
        })
    }

    fn lend(&self, buffer: Rooted<'_, Root>) -> Result<Option<NonNull<[u8]>>, Error> {
        Ok(sys::lend(&self.own, buffer))
    }

    #[track_caller]
    fn externalize(&self, buffer: Rooted<'_, Root>) -> Result<BackingStore, Error> {
        let (located, _script) = self.own.with_scope(|scope| {
            let (buffer, facts) = buffer_of(scope, buffer)?;
            let located = sys::locate(&buffer, facts);
            let script = with_script_stack(scope, located.wants_script_stack());
            Ok::<_, Error>((located, script))
        })?;
        located.into_store(self.own.state())
    }

    #[track_caller]
    fn externalize_in_scope(&self, buffer: Rooted<'_, Root>) -> Result<BackingStore, Error> {
        let Some(store) = self.own.store_in_scope(buffer) else { return self.externalize(buffer) };
        adapter::note_externalized(&store, self.id());
        Ok(store)
    }

    fn window(&self, object: Rooted<'_, Root>) -> Result<Window, Error> {
        self.own.with_scope(|scope| {
            let value = object_of(scope, object)?.into();
            Ok(sys::window(value, &Buffer::of(scope, value)?))
        })
    }

    fn retainers(&self, sought: &[Sought<'_, Root>], roots: Roots<'_, Root>) -> Result<Vec<Retainers>, Error> {
        sys::retainers(&self.own, sought, roots)
    }

    fn check_only_buffer(&self, object: Rooted<'_, Root>, store: &BackingStore) -> Result<(), Error> {
        self.own.with_scope(|scope| {
            let (buffer, _) = buffer_of(scope, object)?;
            sys::check_only_buffer(self.own.state(), &buffer, store)
        })
    }

    fn check_lendable(
        &self,
        store: &BackingStore,
        use_of_bytes: UseOfBytes,
        buffer: Option<Rooted<'_, Root>>,
        all: Roots<'_, Root>,
    ) -> Result<(), Error> {
        if use_of_bytes == UseOfBytes::CopyIn && store.kind() != StoreKind::ENGINE_RESIZABLE {
            return Ok(());
        }
        // If script may take the memory away, another isolate could do so during a copy.
        sys::check_lendable(&self.own, store, buffer, all, use_of_bytes)
    }

    fn state(&self, buffer: Rooted<'_, Root>) -> Result<BufferState, Error> {
        self.own.with_scope(|scope| {
            let (buffer, facts) = buffer_of(scope, buffer)?;
            Ok(buffer.state(facts))
        })
    }

    fn is_shared(&self, buffer: Rooted<'_, Root>) -> Result<bool, Error> {
        buffer.with(|root| root.facts().shared)
    }

    fn is_immutable(&self, buffer: Rooted<'_, Root>) -> Result<bool, Error> {
        buffer.with(|root| root.facts().immutable)
    }

    fn set_detach_key(&self, buffer: Rooted<'_, Root>, key: Option<&str>) -> Result<(), Error> {
        self.run_on(buffer, |scope, buffer, _| set_key(scope, buffer, key))
    }

    fn detach(
        &self,
        buffer: Rooted<'_, Root>,
        key: Option<&str>,
        check: impl FnOnce() -> Result<(), Error>,
    ) -> Result<(), Error> {
        // V8 compares the keys itself, and runs no code of the program.
        check()?;
        self.run_on(buffer, |scope, buffer, _| detach(scope, self.own.state(), buffer, key))
    }

    fn transfer(
        &self,
        buffer: Rooted<'_, Root>,
        byte_length: Option<usize>,
        check: impl FnOnce(&BufferState) -> Result<(), Error>,
    ) -> Result<Root, Error> {
        self.run_on(buffer, |scope, buffer, facts| {
            check(&buffer.state(facts))?;
            let moved = transfer(scope, self.own.state(), buffer, facts, byte_length)?;
            Ok(Root::of_buffer(scope, &moved, facts))
        })
    }

    fn resize(
        &self,
        buffer: Rooted<'_, Root>,
        byte_length: usize,
        check: impl FnOnce(&BufferState) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.run_on(buffer, |scope, buffer, facts| {
            check(&buffer.state(facts))?;
            resize(scope, self.own.state(), buffer, facts.shared, byte_length)
        })
    }

    fn read(&self, buffer: Rooted<'_, Root>, index: usize) -> Result<Option<u8>, Error> {
        self.call_own(Function::Read, buffer, &[index as f64], |value| {
            v8::Local::<v8::Number>::try_from(value).ok().map(|number| number.value() as u8)
        })
    }

    fn write(&self, buffer: Rooted<'_, Root>, index: usize, value: u8) -> Result<(), Error> {
        self.call_own(Function::Write, buffer, &[index as f64, f64::from(value)], |_| ())
    }

    fn collect(&self) {
        self.own.collect();
    }

    fn collect_young(&self) {
        if self.own.collects_young() {
            self.own.collect_young();
        }
    }
}
