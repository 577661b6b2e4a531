//! The objects to which an object of QuickJS refers, read without running script.
//!
//! Properties come from QuickJS's API, which gives accessors as the functions that they are. QuickJS has no API for the variables
//! that a function has captured, for the entries of a `Map` or a `Set`, for bound functions, and for the variables that scripts
//! declare with `let` and `const`. They are read from its private structs, as version 0.16.2 lays them out on machines with 64
//! bits. [`Layout::probe`] compares them with objects that it makes; without a match nothing is read.

use std::ffi::{CStr, c_int, c_void};
use std::mem::{MaybeUninit, offset_of};
use std::ptr::{self, NonNull};
use std::slice;

use rquickjs::qjs;

use super::layout::version;
use super::middle::forget_exception;

/// How an object refers to another. Names are atoms, which live as long as the reference.
#[derive(Clone, Copy)]
pub(super) enum Reference {
    Property(qjs::JSAtom),
    Getter(qjs::JSAtom),
    Prototype,
    /// A variable that a function has captured.
    Variable(qjs::JSAtom),
    Bound,
    /// A key of a `Map`, or an element of a `Set`.
    Key,
    /// The value of a `Map`, with its key.
    Entry(qjs::JSValue),
    Promise,
    ProxyTarget,
    ProxyHandler,
}

/// QuickJS 0.16.2's `JSContext`, up to what we use.
#[repr(C)]
struct ContextFields {
    skipped: [u64; 62],
    global: qjs::JSValue,
    /// The object whose properties are the variables that scripts declare with `let`, `const` and `class`.
    variables: qjs::JSValue,
}

/// `JSObject` of a function that has bytecode.
#[repr(C)]
struct FunctionFields {
    skipped: [u64; 6],
    bytecode: *const BytecodeFields,
    variables: *const *const VariableFields,
}

/// `JSFunctionBytecode`.
#[repr(C)]
struct BytecodeFields {
    skipped: [u64; 6],
    names: *const NameFields,
    skipped_counts: [u16; 5],
    variable_count: u16,
}

/// `JSClosureVar`.
#[repr(C)]
struct NameFields {
    flags: u32,
    name: qjs::JSAtom,
}

/// `JSVarRef`.
#[repr(C)]
struct VariableFields {
    skipped: [u64; 3],
    value: *const qjs::JSValue,
}

/// `JSMapState`.
#[repr(C)]
struct MapFields {
    is_weak: u64,
    records: Link,
}

/// `struct list_head`.
#[repr(C)]
struct Link {
    before: *const Link,
    next: *const Link,
}

/// `JSMapRecord`.
#[repr(C)]
struct RecordFields {
    count_and_empty: [u32; 2],
    map: *const c_void,
    link: Link,
    hash_link: Link,
    key: qjs::JSValue,
    value: qjs::JSValue,
}

/// `JSBoundFunction`.
#[repr(C)]
struct BoundFields {
    function: qjs::JSValue,
    this: qjs::JSValue,
    count: c_int,
    arguments: [qjs::JSValue; 0],
}

/// The classes of the objects whose structs are known. A value of this type is the proof that the layout was probed.
pub(super) struct Layout {
    functions: [qjs::JSClassID; 4],
    bound: qjs::JSClassID,
    /// Classes from here on are those of other libraries, whose properties may be code of theirs.
    others: qjs::JSClassID,
}

/// The number of QuickJS's own classes in this version.
const OWN_CLASSES: qjs::JSClassID = 67;

/// The class of the namespace of a module, in this version.
const NAMESPACE: qjs::JSClassID = 11;

const PROBE: &CStr = c"(() => {
    const x = {};
    const f = () => x;
    return [x, f, function* () { return x; }, async () => x, async function* () { return x; }, f.bind(x, x), new Map([[f, x]])];
})()";

impl Layout {
    /// The layout, if it is the known one.
    ///
    /// # Safety
    /// `ctx` is a live context whose runtime this thread may use; it runs no code of the program.
    pub(super) unsafe fn probe(ctx: NonNull<qjs::JSContext>) -> Option<Layout> {
        if version() != "0.16.2" || cfg!(not(target_pointer_width = "64")) {
            return None;
        }
        let (raw, length) = (ctx.as_ptr(), PROBE.count_bytes() as qjs::size_t);
        // SAFETY: a live context, and a source text that ends with NUL.
        let made = unsafe {
            qjs::JS_Eval(raw, PROBE.as_ptr(), length, c"offheap".as_ptr(), qjs::JS_EVAL_TYPE_GLOBAL as c_int)
        };
        // SAFETY: `index` is one of an array that was just made; for another value, the call gives an exception.
        let at = |index| unsafe { qjs::JS_GetPropertyUint32(raw, made, index) };
        let probes: [qjs::JSValue; 7] = [0, 1, 2, 3, 4, 5, 6].map(at);
        // SAFETY: only reads the tags.
        let are_objects = probes.iter().all(|value| unsafe { qjs::JS_IsObject(*value) });
        // SAFETY: live objects.
        let layout = if are_objects { unsafe { Layout::of(probes) } } else { None };
        for value in probes.into_iter().chain([made]) {
            // SAFETY: the calls above returned owned values.
            unsafe { qjs::JS_FreeValue(raw, value) };
        }
        forget_exception(raw);
        layout
    }

    /// # Safety
    /// The values are live objects: those of [`PROBE`].
    unsafe fn of([x, arrow, generator, asynchronous, both, bound, map]: [qjs::JSValue; 7]) -> Option<Layout> {
        // SAFETY: reads the classes of live objects.
        let class = |value| unsafe { qjs::JS_GetClassID(value) };
        let functions = [arrow, generator, asynchronous, both];
        let layout = Layout { functions: functions.map(class), bound: class(bound), others: OWN_CLASSES };
        // SAFETY: reads the class of a live object.
        let is_map = unsafe { qjs::JS_IsMap(map) };
        let is = |value: qjs::JSValue, expected| address(value) == address(expected);
        let mut seen = 0;
        for function in functions {
            // SAFETY: I-LAYOUT: live functions of the probe, in a QuickJS of the known version.
            unsafe { of_function(function, &mut |how, value| seen += usize::from(is_variable(how) && is(value, x))) };
        }
        // SAFETY: I-LAYOUT: a live bound function, as above.
        unsafe { of_bound(bound, &mut |_, value| seen += usize::from(is(value, x) || is(value, arrow))) };
        if is_map {
            // SAFETY: I-LAYOUT: a live Map, as above.
            unsafe {
                of_map(map, &mut |how, value| seen += usize::from(is(value, if is_key(how) { arrow } else { x })))
            };
        }
        let classes = functions.map(class);
        let are_distinct = classes.iter().all(|class| *class < OWN_CLASSES && *class != layout.bound);
        // Four variables, three bound values, and a key with its value.
        (seen == 4 + 3 + 2 && are_distinct).then_some(layout)
    }

    /// The object with the variables that scripts of `ctx` declared with `let`, `const` and `class`. `None` if it is not where
    /// the known layout has it.
    ///
    /// # Safety
    /// `ctx` is a live context, and `global` is its global object.
    pub(super) unsafe fn variables(&self, ctx: NonNull<qjs::JSContext>, global: qjs::JSValue) -> Option<qjs::JSValue> {
        // SAFETY: I-LAYOUT: a context of this version has 592 bytes.
        let fields = unsafe { ctx.cast::<ContextFields>().as_ref() };
        let are_objects = is_object(fields.global) && is_object(fields.variables);
        (are_objects && address(fields.global) == address(global)).then_some(fields.variables)
    }

    /// Calls `found` for each object to which the object `value` refers, except for the buffer of a view. The objects live as long as nothing changes. `found`
    /// must not call QuickJS.
    ///
    /// # Safety
    /// `ctx` is a live context of the object's runtime, which this thread may use.
    pub(super) unsafe fn references(
        &self,
        ctx: NonNull<qjs::JSContext>,
        value: qjs::JSValue,
        found: &mut impl FnMut(Reference, qjs::JSValue),
    ) {
        let raw = ctx.as_ptr();
        // SAFETY: reads the class of a live object.
        let class = unsafe { qjs::JS_GetClassID(value) };
        // SAFETY: reads the class of a live object.
        if unsafe { qjs::JS_IsProxy(value) } {
            // Everything else would ask the handler, which is script.
            // SAFETY: a live proxy.
            owned(raw, unsafe { qjs::JS_GetProxyTarget(raw, value) }, |value| found(Reference::ProxyTarget, value));
            // SAFETY: a live proxy.
            owned(raw, unsafe { qjs::JS_GetProxyHandler(raw, value) }, |value| found(Reference::ProxyHandler, value));
            return;
        }
        if class >= self.others {
            return;
        }
        // SAFETY: reads the class of a live object.
        let is_typed_array = unsafe { qjs::JS_GetTypedArrayType(value) } >= 0;
        // The elements of a typed array are no objects, and there may be millions. To read an export that has no value is an
        // error, and QuickJS calls `Error.prepareStackTrace` for its stack, which is script.
        if !is_typed_array && class != NAMESPACE {
            // SAFETY: a live object of one of QuickJS's own classes that is no proxy, so no script is asked.
            unsafe { of_properties(raw, value, found) };
        }
        // SAFETY: a live object that is no proxy.
        owned(raw, unsafe { qjs::JS_GetPrototype(raw, value) }, |value| found(Reference::Prototype, value));
        if self.functions.contains(&class) {
            // SAFETY: I-LAYOUT: a live function of a class that was probed.
            unsafe { of_function(value, found) };
        } else if class == self.bound {
            // SAFETY: I-LAYOUT: a live bound function, as above.
            unsafe { of_bound(value, found) };
        } else if is_collection(value) {
            // SAFETY: I-LAYOUT: a live Map or Set, which have the same struct.
            unsafe { of_map(value, found) };
        // SAFETY: reads the class of a live object.
        } else if unsafe { qjs::JS_PromiseState(raw, value) } > qjs::JSPromiseStateEnum_JS_PROMISE_PENDING {
            // SAFETY: a live promise.
            owned(raw, unsafe { qjs::JS_PromiseResult(raw, value) }, |value| found(Reference::Promise, value));
        }
    }
}

/// The address of an object.
pub(super) fn address(value: qjs::JSValue) -> usize {
    // SAFETY: reads the payload of a value that has a pointer.
    unsafe { qjs::JS_VALUE_GET_PTR(value) }.addr()
}

/// Whether an object is a Map or a Set, and not a WeakMap or a WeakSet.
fn is_collection(value: qjs::JSValue) -> bool {
    // SAFETY: reads the class of a live object.
    let is_map = unsafe { qjs::JS_IsMap(value) };
    // SAFETY: reads the class of a live object.
    is_map || unsafe { qjs::JS_IsSet(value) }
}

fn is_variable(how: Reference) -> bool {
    matches!(how, Reference::Variable(_))
}

fn is_key(how: Reference) -> bool {
    matches!(how, Reference::Key)
}

/// Passes an object that a call returned to `found`, and gives up the reference: the object that refers to it keeps it.
fn owned(ctx: *mut qjs::JSContext, value: qjs::JSValue, found: impl FnOnce(qjs::JSValue)) {
    if is_object(value) {
        found(value);
    }
    // SAFETY: only reads the tag.
    if unsafe { qjs::JS_IsException(value) } {
        return forget_exception(ctx);
    }
    // SAFETY: the caller owns the value.
    unsafe { qjs::JS_FreeValue(ctx, value) };
}

pub(super) fn is_object(value: qjs::JSValue) -> bool {
    // SAFETY: only reads the tag.
    unsafe { qjs::JS_IsObject(value) }
}

/// # Safety
/// `value` is a live object that asks no script for its properties, of a runtime that this thread may use.
unsafe fn of_properties(
    ctx: *mut qjs::JSContext,
    value: qjs::JSValue,
    found: &mut impl FnMut(Reference, qjs::JSValue),
) {
    const ALL: u32 = qjs::JS_GPN_STRING_MASK | qjs::JS_GPN_SYMBOL_MASK | qjs::JS_GPN_PRIVATE_MASK;
    let (mut names, mut count) = (ptr::null_mut(), 0);
    // SAFETY: a live object, and places for the results.
    if unsafe { qjs::JS_GetOwnPropertyNames(ctx, &mut names, &mut count, value, ALL as c_int) } < 0 {
        return forget_exception(ctx);
    }
    for index in 0..count as usize {
        // SAFETY: I-LAYOUT: QuickJS returned this many names.
        let name = unsafe { &*names.wrapping_add(index) }.atom;
        let mut property = MaybeUninit::uninit();
        // SAFETY: a live object and a live name. A getter is not called: the call gives the function.
        match unsafe { qjs::JS_GetOwnProperty(ctx, property.as_mut_ptr(), value, name) } {
            1 => {
                // SAFETY: the call has written it, because it found the property.
                let property: qjs::JSPropertyDescriptor = unsafe { property.assume_init() };
                owned(ctx, property.value, |value| found(Reference::Property(name), value));
                owned(ctx, property.getter, |value| found(Reference::Getter(name), value));
                owned(ctx, property.setter, |value| found(Reference::Getter(name), value));
            }
            0 => {}
            // A variable that has no value yet.
            _ => forget_exception(ctx),
        }
    }
    // SAFETY: the call above made this many names.
    unsafe { qjs::JS_FreePropertyEnum(ctx, names, count) };
}

/// # Safety
/// `value` is a live function with bytecode, of the known layout.
unsafe fn of_function(value: qjs::JSValue, found: &mut impl FnMut(Reference, qjs::JSValue)) {
    // SAFETY: a live object.
    let object = unsafe { qjs::JS_VALUE_GET_PTR(value) }.cast::<FunctionFields>();
    // SAFETY: I-LAYOUT: the caller promises the layout.
    let fields = unsafe { &*object };
    // SAFETY: I-LAYOUT: as above.
    let Some(bytecode) = (unsafe { fields.bytecode.as_ref() }) else { return };
    let count = usize::from(bytecode.variable_count);
    if fields.variables.is_null() || bytecode.names.is_null() {
        return;
    }
    // SAFETY: I-LAYOUT: a function has as many variables as its bytecode says.
    let variables = unsafe { slice::from_raw_parts(fields.variables, count) };
    // SAFETY: I-LAYOUT: as above.
    let names = unsafe { slice::from_raw_parts(bytecode.names, count) };
    for (variable, name) in variables.iter().zip(names) {
        // SAFETY: I-LAYOUT: as above; a variable may be missing while a module is loaded.
        let Some(variable) = (unsafe { variable.as_ref() }) else { continue };
        // SAFETY: I-LAYOUT: the value is in the variable, or on a stack that lives as long as it.
        let Some(value) = (unsafe { variable.value.as_ref() }) else { continue };
        if is_object(*value) {
            found(Reference::Variable(name.name), *value);
        }
    }
}

/// # Safety
/// `value` is a live bound function, of the known layout.
unsafe fn of_bound(value: qjs::JSValue, found: &mut impl FnMut(Reference, qjs::JSValue)) {
    let mut class = 0;
    // SAFETY: reads a field of a live object.
    let fields = unsafe { qjs::JS_GetAnyOpaque(value, &mut class) }.cast::<BoundFields>();
    // SAFETY: I-LAYOUT: the caller promises the layout.
    let Some(bound) = (unsafe { fields.as_ref() }) else { return };
    let arguments = fields.cast::<u8>().wrapping_add(offset_of!(BoundFields, arguments)).cast::<qjs::JSValue>();
    // SAFETY: I-LAYOUT: the arguments are behind the struct, as many as it says.
    let arguments = unsafe { slice::from_raw_parts(arguments, bound.count.max(0) as usize) };
    for value in [bound.function, bound.this].iter().chain(arguments) {
        if is_object(*value) {
            found(Reference::Bound, *value);
        }
    }
}

/// # Safety
/// `value` is a live Map or Set, of the known layout.
unsafe fn of_map(value: qjs::JSValue, found: &mut impl FnMut(Reference, qjs::JSValue)) {
    let mut class = 0;
    // SAFETY: reads a field of a live object.
    let fields = unsafe { qjs::JS_GetAnyOpaque(value, &mut class) }.cast::<MapFields>();
    if fields.is_null() {
        return;
    }
    let head = fields.cast::<u8>().wrapping_add(offset_of!(MapFields, records)).cast::<Link>().cast_const();
    // SAFETY: I-LAYOUT: the caller promises the layout.
    let mut at = unsafe { (*head).next };
    while at != head {
        let record = at.cast::<u8>().wrapping_sub(offset_of!(RecordFields, link)).cast::<RecordFields>();
        // SAFETY: I-LAYOUT: each link but the head is in a record.
        let record = unsafe { &*record };
        // A removed entry stays while it is iterated, with values that are no objects.
        if is_object(record.key) {
            found(Reference::Key, record.key);
        }
        if is_object(record.value) {
            found(Reference::Entry(record.key), record.value);
        }
        at = record.link.next;
    }
}
