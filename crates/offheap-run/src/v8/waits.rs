//! The promises of `Atomics.waitAsync` with a timeout. A run lasts until they have ended. V8 keeps their timers among
//! tasks of its platform that a program need not wait for, so that the promises are counted here.

use offheap_v8::v8;

/// The promises of an isolate that end by a timeout.
#[derive(Default)]
pub(super) struct Waits {
    promises: Vec<v8::Global<v8::Promise>>,
    /// How many of them were pending at the last look.
    were_pending: usize,
}

/// This many are kept before the first look at which have ended.
const KEPT_WITHOUT_A_LOOK: usize = 64;

impl Waits {
    /// Whether one of them has not ended.
    pub(super) fn are_pending(scope: &mut v8::PinScope<'_, '_>) -> bool {
        loop {
            let last = scope.get_slot::<Waits>().and_then(|waits| waits.promises.last().cloned());
            let Some(last) = last else { return false };
            if is_pending(scope, &last) {
                return true;
            }
            if let Some(waits) = scope.get_slot_mut::<Waits>() {
                waits.promises.pop();
            }
        }
    }

    fn add(scope: &mut v8::PinScope<'_, '_>, promise: v8::Global<v8::Promise>) {
        let Some(mut waits) = scope.remove_slot::<Waits>() else { return };
        // A look at each doubling costs little for each promise.
        if waits.promises.len() >= KEPT_WITHOUT_A_LOOK.max(waits.were_pending * 2) {
            waits.promises.retain(|promise| is_pending(scope, promise));
            waits.were_pending = waits.promises.len();
        }
        waits.promises.push(promise);
        scope.set_slot(waits);
    }
}

fn is_pending(scope: &mut v8::PinScope<'_, '_>, promise: &v8::Global<v8::Promise>) -> bool {
    v8::scope!(let scope, scope);
    v8::Local::new(scope, promise).state() == v8::PromiseState::Pending
}

/// Replaces `Atomics.waitAsync` by a function that notes its promises, before any script runs. `None` where an
/// exception is pending.
pub(super) fn install(scope: &mut v8::PinScope<'_, '_>) -> Option<()> {
    let global = scope.get_current_context().global(scope);
    let atomics = get(scope, global, "Atomics")?.cast::<v8::Object>();
    let original = get(scope, atomics, "waitAsync")?;
    let function = v8::Function::builder(wait_async).data(original).length(4);
    let function = function.constructor_behavior(v8::ConstructorBehavior::Throw).build(scope)?;
    let name = v8::String::new(scope, "waitAsync")?;
    function.set_name(name);
    let attributes = v8::PropertyAttribute::DONT_ENUM;
    atomics.define_own_property(scope, name.into(), function.into(), attributes).map(drop)
}

fn get<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    object: v8::Local<'s, v8::Object>,
    name: &str,
) -> Option<v8::Local<'s, v8::Value>> {
    let name = v8::String::new(scope, name)?;
    object.get(scope, name.into())
}

fn wait_async<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    arguments: v8::FunctionCallbackArguments<'s>,
    mut result: v8::ReturnValue<'_, v8::Value>,
) {
    if let Some(waiting) = wait(scope, &arguments) {
        result.set(waiting);
    }
}

/// `None` where an exception is pending.
fn wait<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    arguments: &v8::FunctionCallbackArguments<'s>,
) -> Option<v8::Local<'s, v8::Value>> {
    let original = arguments.data().cast::<v8::Function>();
    let timeout = arguments.get(3);
    // V8 converts an object to a number once, after it has looked at all other arguments.
    let asked = v8::Local::<v8::Object>::try_from(timeout).ok().map(|object| asked_once(scope, object));
    let asked = asked.map_or(Some(None), |asked| asked.map(Some))?;
    let given = asked.map_or(timeout, Into::into);
    let given = [arguments.get(0), arguments.get(1), arguments.get(2), given];
    let waiting = original.call(scope, arguments.this().into(), &given)?;
    let object = waiting.cast::<v8::Object>();
    // These are own properties of an object that no script has seen.
    let Ok(promise) = v8::Local::<v8::Promise>::try_from(get(scope, object, "value")?) else { return Some(waiting) };
    let milliseconds = match asked {
        Some(asked) => get(scope, asked, NUMBER)?.number_value(scope)?,
        None => timeout.number_value(scope)?,
    };
    // Infinity and NaN mean: for ever.
    if milliseconds < f64::INFINITY {
        let promise = v8::Global::new(scope, promise);
        Waits::add(scope, promise);
    }
    Some(waiting)
}

const NUMBER: &str = "number";
const OBJECT: &str = "object";

/// An object that converts to the number that `object` converts to, and keeps that as a property.
fn asked_once<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    object: v8::Local<'s, v8::Object>,
) -> Option<v8::Local<'s, v8::Object>> {
    let nothing = v8::null(scope).into();
    let asked = v8::Object::with_prototype_and_properties(scope, nothing, &[], &[]);
    let name = v8::String::new(scope, OBJECT)?;
    asked.create_data_property(scope, name.into(), object.into())?;
    let convert = v8::Function::builder(convert).data(asked.into()).build(scope)?;
    let symbol = v8::Symbol::get_to_primitive(scope);
    asked.create_data_property(scope, symbol.into(), convert.into())?;
    Some(asked)
}

fn convert<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    arguments: v8::FunctionCallbackArguments<'s>,
    mut result: v8::ReturnValue<'_, v8::Value>,
) {
    let asked = arguments.data().cast::<v8::Object>();
    let number = get(scope, asked, OBJECT).and_then(|object| object.number_value(scope));
    let Some(number) = number else { return };
    let (number, name) = (v8::Number::new(scope, number), v8::String::new(scope, NUMBER));
    if name.and_then(|name| asked.create_data_property(scope, name.into(), number.into())).is_some() {
        result.set(number.into());
    }
}
