//! The isolate of a thread. It is made when the thread runs its first function, and ends with the thread.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use offheap_arrow::{AggregateFunction, Reason, ScalarFunction};
use offheap_v8::v8::{self, IsolateHandle, PinScope};
use offheap_v8::{Isolate, IsolateExt, ScopeExt};

use crate::Error;
use crate::definition::{Compiled, Definition};
use crate::function::Function;
use crate::settings::Limits;
use crate::watchdog::Watch;

/// How many functions a thread keeps compiled. Each has a context of its own, of about 190 KiB.
const KEPT: usize = 64;

/// A batch that takes longer is the last one of its task's turn.
const LONG: Duration = Duration::from_millis(1);

struct Engine {
    /// The function that was used last is the last one. They are dropped before the isolate.
    compiled: Vec<(Arc<Definition>, Rc<Compiled>)>,
    isolate: Isolate,
    handle: IsolateHandle,
    /// The isolate was made with the memory limits of these.
    limits: Limits,
}

thread_local! {
    static ENGINE: RefCell<Option<Engine>> = const { RefCell::new(None) };
}

/// Compiles a scalar function, if this thread has not yet, and does something with it, within its limits.
///
/// # Errors
/// Those of `work`, and those of limits. After a limit was hit, the thread's next function gets a new isolate.
pub(crate) fn scalar<R>(
    function: &Function,
    work: impl FnOnce(&mut PinScope<'_, '_>, &ScalarFunction) -> Result<R, offheap_arrow::Error>,
) -> Result<R, Error> {
    run(function, |scope, compiled| match compiled {
        Compiled::Scalar(compiled) => work(scope, compiled),
        Compiled::Aggregate(_) => unreachable!("its definition says that it is a scalar function"),
    })
}

/// Like [`scalar`], for an aggregate.
///
/// # Errors
/// Those of [`scalar`].
pub(crate) fn aggregate<R>(
    function: &Function,
    work: impl FnOnce(&mut PinScope<'_, '_>, &AggregateFunction) -> Result<R, offheap_arrow::Error>,
) -> Result<R, Error> {
    run(function, |scope, compiled| match compiled {
        Compiled::Aggregate(compiled) => work(scope, compiled),
        Compiled::Scalar(_) => unreachable!("its definition says that it is an aggregate"),
    })
}

fn run<R>(
    function: &Function,
    work: impl FnOnce(&mut PinScope<'_, '_>, &Compiled) -> Result<R, offheap_arrow::Error>,
) -> Result<R, Error> {
    let Function { definition, limits } = function;
    let name = || definition.name.clone();
    // The engine is taken out, so that one in which native code panicked is not used again.
    let kept = ENGINE.take().filter(|engine| engine.limits.memory() == limits.memory());
    let mut engine = match kept {
        Some(engine) => engine,
        None => Engine::new(limits).map_err(|source| Error::Isolate { function: name(), source })?,
    };
    let began = Instant::now();
    let watch = Watch::begin(&engine.handle, began + limits.time())
        .map_err(|source| Error::Watchdog { function: name(), source })?;
    let compiled = &mut engine.compiled;
    let (mut is_compiled, mut is_stopped) = (false, false);
    let result = engine.isolate.enter(|scope| {
        scope.with_v8(|scope| {
            let result = compiled_once(scope, compiled, definition).and_then(|function| {
                is_compiled = true;
                work(scope, &function)
            });
            // Nothing runs after a stop, because the watchdog stops only once.
            is_stopped = result.as_ref().is_err_and(offheap_arrow::Error::is_terminated) || !run_microtasks(scope);
            result
        })
    });
    let is_late = watch.end();
    if began.elapsed() > LONG {
        end_turn();
    }
    if !is_late && !is_stopped {
        ENGINE.set(Some(engine));
    }
    if is_stopped {
        return Err(match is_late {
            true => Error::TimeLimit { function: name(), time_limit_ms: limits.time_limit_ms },
            false => Error::HeapLimit { function: name(), heap_limit_mb: limits.heap_limit_mb },
        });
    }
    result.map_err(|error| match error.reason() {
        reason if is_of_buffers(reason) => {
            Error::BufferLimit { source: Box::new(error), buffer_limit_mb: limits.buffer_limit_mb }
        }
        Reason::TooLarge { .. } if is_compiled => Error::BatchTooLarge { source: Box::new(error) },
        _ => Error::Function(error),
    })
}

/// Uses up what tokio lets a task do in one turn, so that the query's next batch is asked for in another. A query that was cancelled
/// ends between two turns, and DataFusion would ask for up to 128 batches in one.
fn end_turn() {
    let mut context = Context::from_waker(Waker::noop());
    // What runs outside of tokio's tasks has no such limit.
    for _ in 0..256 {
        match tokio::task::coop::poll_proceed(&mut context) {
            Poll::Ready(unit) => unit.made_progress(),
            Poll::Pending => return,
        }
    }
}

/// Runs what functions gave to `then`. V8 also lets go of what WeakRefs have shown. Returns whether nothing was stopped.
fn run_microtasks(scope: &mut PinScope<'_, '_>) -> bool {
    v8::tc_scope!(let scope, scope);
    scope.perform_microtask_checkpoint();
    !scope.is_execution_terminating()
}

/// Whether V8 had no memory for an ArrayBuffer. It throws a RangeError with this message.
fn is_of_buffers(reason: &Reason) -> bool {
    match reason {
        Reason::Script { message, .. } => message.contains("Array buffer allocation failed"),
        Reason::ResultsTooLarge { .. } => true,
        _ => false,
    }
}

impl Engine {
    fn new(limits: &Limits) -> Result<Engine, offheap_v8::Error> {
        let (heap_bytes, buffer_bytes) = limits.memory();
        let builder = Isolate::builder().name("offheap-datafusion");
        let isolate = builder.heap_limits(0, heap_bytes).max_buffer_bytes(buffer_bytes).build()?;
        let handle = isolate.thread_safe_handle();
        Ok(Engine { compiled: Vec::new(), isolate, handle, limits: *limits })
    }
}

fn compiled_once(
    scope: &mut PinScope<'_, '_>,
    compiled: &mut Vec<(Arc<Definition>, Rc<Compiled>)>,
    definition: &Arc<Definition>,
) -> Result<Rc<Compiled>, offheap_arrow::Error> {
    // Equal definitions come from several plans, and from one plan that was decoded several times.
    let found = compiled.iter().rposition(|(each, _)| Arc::ptr_eq(each, definition) || each == definition);
    let entry = match found {
        Some(at) => compiled.remove(at),
        None => (Arc::clone(definition), Rc::new(definition.compile(scope)?)),
    };
    if compiled.len() >= KEPT {
        compiled.remove(0);
    }
    let function = Rc::clone(&entry.1);
    compiled.push(entry);
    Ok(function)
}
