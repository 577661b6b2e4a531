//! The object of an aggregate's text, and what its loops do with states.

use std::fmt::Write;

use offheap_v8::{copy_of, v8};

use super::arguments::Arguments;
use super::error::{Count, Reason};
use super::groups::{AggregateState, StateField};
use super::results::ResultType;
use super::rows::{BuiltIns, Code, Loop, Wrong};
use super::{script, source};

/// The methods, with the number of their parameters. `step` has one more for each argument.
const METHODS: [(&str, usize); 3] = [("step", 1), ("merge", 2), ("finish", 1)];

/// # Errors
/// [`Reason::NotAnAggregate`] unless `value`, what the text is, has all methods and a state. `step` is checked elsewhere.
pub(crate) fn of_object<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    name: &str,
    value: v8::Local<'s, v8::Value>,
) -> Result<(v8::Local<'s, v8::Object>, AggregateState), Reason> {
    let Ok(object) = v8::Local::<v8::Object>::try_from(value) else {
        let expected =
            "an object such as `({ state: { n: 0 }, step(st, x) { .. }, merge(st, other) { .. }, finish(st) { .. } })`";
        return Err(refused("text", script::described(scope, value), expected.to_owned()));
    };
    for (method, parameter_count) in METHODS {
        let found = property(scope, name, object, method)?;
        let Ok(function) = v8::Local::<v8::Function>::try_from(found) else {
            return Err(refused(&format!("`{method}`"), script::described(scope, found), "a function".to_owned()));
        };
        let declared = source::length(scope, name, function)?;
        if method != "step" && declared != parameter_count {
            return Err(parameters(method, declared, parameter_count));
        }
    }
    let state = property(scope, name, object, "state")?;
    let fields = fields(scope, name, state)?;
    Ok((object, AggregateState::new(name, fields)))
}

/// The error for a method with other parameters than it must have.
pub(crate) fn parameters(method: &str, declared: usize, expected: usize) -> Reason {
    let [declared, expected] = [declared, expected].map(|count| format!("a function of {}", Count(count, "parameter")));
    refused(&format!("`{method}`"), declared, expected)
}

fn refused(part: &str, value: String, expected: String) -> Reason {
    Reason::NotAnAggregate { part: part.to_owned(), value, expected }
}

pub(crate) fn property<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    name: &str,
    object: v8::Local<'s, v8::Object>,
    key: &str,
) -> Result<v8::Local<'s, v8::Value>, Reason> {
    let key = script::string(scope, key)?;
    script::catching(scope, name, |scope| object.get(scope, key.into()))
}

/// The most fields of a state. One batch with a state of 20,000 took more than a minute.
const MAX_FIELDS: u32 = 1000;

fn fields<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    name: &str,
    state: v8::Local<'s, v8::Value>,
) -> Result<Vec<StateField>, Reason> {
    let expected = || "an object with a number or a Float64Array in each field".to_owned();
    let Ok(object) = v8::Local::<v8::Object>::try_from(state) else {
        return Err(refused("`state`", script::described(scope, state), expected()));
    };
    let filter = v8::PropertyFilter::ONLY_ENUMERABLE | v8::PropertyFilter::SKIP_SYMBOLS;
    let arguments = v8::GetPropertyNamesArgsBuilder::new()
        .mode(v8::KeyCollectionMode::OwnOnly)
        .property_filter(filter)
        .key_conversion(v8::KeyConversionMode::ConvertToString)
        .build();
    let keys = script::catching(scope, name, |scope| object.get_own_property_names(scope, arguments))?;
    if keys.length() > MAX_FIELDS {
        let [given, expected] = [keys.length(), MAX_FIELDS].map(|count| format!("an object with {count} fields"));
        return Err(refused("`state`", given, expected.replace("an object with", "an object with at most")));
    }
    let mut fields = Vec::new();
    for index in 0..keys.length() {
        let (key, value) = script::catching(scope, name, |scope| {
            let key = keys.get_index(scope, index)?;
            Some((key, object.get(scope, key)?))
        })?;
        let field = key.to_rust_string_lossy(scope);
        if !script::string(scope, &field)?.strict_equals(key) {
            let expected = "a name without half of a surrogate pair".to_owned();
            return Err(refused("`state`", format!("an object with the field {field:?}"), expected));
        }
        let (initial, is_array) = match (value.is_number(), value.is_float64_array()) {
            (true, _) => (value.number_value(scope).into_iter().collect(), false),
            (_, true) => (copy_of::<f64>(scope, value)?, true),
            (false, false) => (Vec::new(), false),
        };
        if initial.is_empty() || i32::try_from(initial.len()).is_err() {
            let expected = "a number, or a Float64Array that is not empty".to_owned();
            return Err(refused(&format!("`state.{field}`"), script::described(scope, value), expected));
        }
        fields.push(StateField { name: field, initial, is_array });
    }
    match fields.is_empty() {
        true => Err(refused("`state`", "an object without fields".to_owned(), expected())),
        false => Ok(fields),
    }
}

/// The columns of a state, for an error.
pub(crate) fn described(state: &AggregateState) -> String {
    state.columns().map(|(name, data_type)| format!("`{name}` of {data_type}")).collect::<Vec<_>>().join(", ")
}

/// The error for a loop that ended because of what a method left in a state: the index of the field, and the value.
pub(crate) fn wrong<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    state: &AggregateState,
    method: &'static str,
    wrong: &Wrong<'s>,
) -> Reason {
    let row = wrong.row;
    let list = v8::Local::<v8::Object>::try_from(wrong.value).ok();
    let [index, value] = [0, 1].map(|index| list.and_then(|list| list.get_index(scope, index)));
    let index = index.and_then(|index| index.uint32_value(scope));
    match (index.and_then(|index| state.fields().get(index as usize)), value) {
        (Some(field), Some(value)) => {
            let expected = match field.is_array {
                false => "a number".into(),
                true => {
                    let width = field.width();
                    format!("the Float64Array of {width} elements that it was given, which it may write to").into()
                }
            };
            let (value, value_type) = script::told(scope, value);
            let [field, value, value_type] = [field.name.clone(), value, value_type].map(String::into_boxed_str);
            Reason::WrongState { method, row, field, value, value_type, expected }
        }
        _ => script::FAILED.into(),
    }
}

/// The loops around the methods of an object.
#[derive(Debug)]
pub(crate) struct Loops {
    pub(crate) step: Loop,
    pub(crate) merge: Loop,
    pub(crate) finish: Loop,
}

impl Loops {
    /// Makes the loops around `object`. Their parameters are the columns of the states `T`; for `step` and `merge` the groups `G`; the
    /// arrays `S` for a state; then, for `step`, the arguments; for `merge`, the columns of other states `U`, and arrays `Q` for one
    /// of them; for `finish`, the memory of the results.
    pub(crate) fn around<'s>(
        scope: &mut v8::PinScope<'s, '_>,
        built_ins: &BuiltIns<'s>,
        object: v8::Local<'s, v8::Object>,
        state: &AggregateState,
        (arguments, result): (&Arguments, &ResultType),
    ) -> Result<Self, Reason> {
        let [columns, scratches] = [columns(state, 'T'), scratches(state, 'S')];
        let before = class(state);
        let mut around = |parameters: &str, extra: &str, body: &str| {
            Loop::around(
                scope,
                built_ins,
                object,
                Code { is_in_pieces: false, before: &before, parameters, extra, body },
            )
        };
        let (read_group, write) = (read_group(state), write(state));
        let step = around(
            &format!("{columns}, G{scratches}{}", arguments.parameters()),
            "undefined",
            &format!("const g = G[i]; {read_group}f.step(st, {}); {write}", arguments.values()),
        )?;
        let read_other = read(state, "other", ('U', 'Q'), "i");
        let merge = around(
            &format!("{columns}, G{scratches}{}{}", self::columns(state, 'U'), self::scratches(state, 'Q')),
            "undefined",
            &format!("const g = G[i]; {read_group}{read_other}f.merge(st, other); {write}"),
        )?;
        let finish = around(
            &format!("{columns}{scratches}{}", result.parameters()),
            &result.extra(),
            &format!("{}const r = f.finish(st); {}", read(state, "st", ('T', 'S'), "i"), result.store()),
        )?;
        Ok(Loops { step, merge, finish })
    }
}

/// The parameters of a loop for columns of states and for the arrays of one state: each begins with a comma.
fn columns(state: &AggregateState, column: char) -> String {
    (0..state.fields().len()).map(|k| format!(", {column}{k}")).collect()
}

/// See [`columns`].
fn scratches(state: &AggregateState, scratch: char) -> String {
    let is_array = |(k, field): (usize, &StateField)| field.is_array.then(|| format!(", {scratch}{k}"));
    state.fields().iter().enumerate().filter_map(is_array).collect()
}

/// The class of the states that methods change. It is an object with all fields of its own. Script that sets another field gets to the
/// object's prototypes, and there to a Proxy that throws. V8 makes such an object as fast as one from a literal.
fn class(state: &AggregateState) -> String {
    let mut text = String::from("class State { ");
    for field in state.fields() {
        let _ = write!(text, "[{}] = {}; ", quoted(&field.name), if field.is_array { "undefined" } else { "0.5" });
    }
    // No trap comes from `Object.prototype`, which is script's.
    text + "}
delete State.prototype.constructor;
setPrototypeOf(State.prototype, new Proxy({}, { __proto__: null, set(_, key) {
  throw new TypeError(`the state has no field \\`${typeof key === 'string' ? key : 'of a symbol'}\\``);
} }));"
}

/// Statements that make the object `st` of row `g` of the columns `T`.
fn read_group(state: &AggregateState) -> String {
    let (mut arrays, mut set) = (String::new(), String::new());
    for (k, field) in state.fields().iter().enumerate() {
        let value = value(&mut arrays, (k, field), ('T', 'S'), "g");
        let _ = write!(set, "st[{}] = {value}; ", quoted(&field.name));
    }
    format!("{arrays}const st = new State(); {set}")
}

/// Statements that make the object `object` of row `row` of the columns.
fn read(state: &AggregateState, object: &str, names: (char, char), row: &str) -> String {
    let (mut arrays, mut literal) = (String::new(), String::new());
    for (k, field) in state.fields().iter().enumerate() {
        let value = value(&mut arrays, (k, field), names, row);
        let _ = write!(literal, "[{}]: {value}, ", quoted(&field.name));
    }
    format!("{arrays}const {object} = {{ {literal} }}; ")
}

/// The value of field `k` in row `row` of its column. `arrays` gets the statements that fill the array of the field.
fn value(arrays: &mut String, (k, field): (usize, &StateField), (column, scratch): (char, char), row: &str) -> String {
    let width = field.width();
    if !field.is_array {
        return format!("{column}{k}[{row}]");
    }
    let copy = format!("{scratch}{k}[j] = {column}{k}[k]");
    let _ = write!(arrays, "for (let j = 0, k = {row} * {width}; j < {width}; j++, k++) {copy}; ");
    format!("{scratch}{k}")
}

/// Statements that write the object `st` back to row `g` of the columns `T`, or end the loop.
fn write(state: &AggregateState) -> String {
    let (mut check, mut store) = (String::new(), String::new());
    for (k, field) in state.fields().iter().enumerate() {
        let (name, width) = (quoted(&field.name), field.width());
        let _ = write!(check, "const r{k} = st[{name}]; ");
        let is_wrong = match field.is_array {
            false => format!("typeof r{k} !== 'number'"),
            true => format!("r{k} !== S{k}"),
        };
        let _ = write!(check, "if ({is_wrong}) {{ return [[{k}, r{k}], i, -1]; }} ");
        let _ = match field.is_array {
            false => write!(store, "T{k}[g] = r{k}; "),
            true => write!(store, "for (let j = 0, k = g * {width}; j < {width}; j++, k++) T{k}[k] = S{k}[j]; "),
        };
    }
    check + &store
}

/// A name as a string of script.
fn quoted(name: &str) -> String {
    let mut text = String::from("\"");
    for character in name.chars() {
        match character.is_ascii_alphanumeric() || character == '_' {
            true => text.push(character),
            false => {
                let _ = write!(text, "\\u{{{:x}}}", u32::from(character));
            }
        }
    }
    text + "\""
}
