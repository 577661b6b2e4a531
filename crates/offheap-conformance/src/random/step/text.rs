//! The text of steps for people.

use std::fmt;

use super::{At, Made, Step};

fn quoted(key: Option<&str>) -> String {
    key.map_or(String::new(), |key| format!(", {key:?}"))
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            At::Buffer(slot) => write!(f, "b{slot}"),
            At::View(slot) => write!(f, "v{slot}"),
        }
    }
}

/// A line of script if script performs the step. Native steps are comments.
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Step::Make { store, made, byte_length, max_byte_length } => {
                write!(f, "// native: s{store} = {made:?} store of {byte_length} bytes")?;
                if matches!(made, Made::Resizable | Made::Growable) {
                    write!(f, ", up to {max_byte_length}")
                } else {
                    Ok(())
                }
            }
            Step::Allocate { isolate, buffer, byte_length, max_byte_length, shared } => {
                let constructor = if shared { "SharedArrayBuffer" } else { "ArrayBuffer" };
                let options = max_byte_length.map_or(String::new(), |max| format!(", {{ maxByteLength: {max} }}"));
                write!(f, "b{buffer} = new {constructor}({byte_length}{options}); // in isolate {isolate}")
            }
            Step::Expose { isolate, store, buffer } => {
                write!(f, "b{buffer} = nativeModule.arrayBuffer(s{store}); // in isolate {isolate}")
            }
            Step::Externalize { buffer, store } => write!(f, "s{store} = nativeModule.externalizeBuffer(b{buffer});"),
            Step::Slice { from, store, start, end } => write!(f, "// native: s{store} = s{from}, bytes {start}..{end}"),
            Step::CloneBuffer { from, buffer } => write!(f, "b{buffer} = b{from};"),
            Step::SetGlobal { buffer, name } => write!(f, "globalThis.kept{name} = b{buffer};"),
            Step::Write { buffer, index, value } => write!(f, "new Uint8Array(b{buffer})[{index}] = {value};"),
            Step::Read { buffer, index } => write!(f, "new Uint8Array(b{buffer})[{index}];"),
            Step::Lend { buffer } => write!(f, "// native: borrow all of b{buffer}, then take its store"),
            Step::CopyOut { store } => write!(f, "// native: copy all of s{store}"),
            Step::CopyIn { store, offset, byte_length, value } => {
                write!(f, "// native: write {byte_length} times {value} to s{store}, from byte {offset} on")
            }
            Step::Detach { buffer, key } => write!(f, "nativeModule.detach(b{buffer}{});", quoted(key)),
            Step::Take { buffer, key, store } => {
                write!(f, "// native: s{store} = the memory taken from b{buffer}{}", quoted(key))
            }
            Step::SetDetachKey { buffer, key } => {
                write!(f, "// native: the detach key of b{buffer} is {key:?} from here on")
            }
            Step::Transfer { from, buffer, byte_length } => {
                let byte_length = byte_length.map_or(String::new(), |byte_length| byte_length.to_string());
                write!(f, "b{buffer} = b{from}.transfer({byte_length});")
            }
            Step::Resize { buffer, byte_length } => {
                write!(f, "b{buffer}.resize({byte_length}); // of a SharedArrayBuffer: grow")
            }
            Step::CallBack { first, second, callback } => {
                write!(f, "{{ const a = b{first}, b = b{second}; {callback} }}")
            }
            Step::View { buffer, view, shows } => write!(f, "{{ const a = b{buffer}; v{view} = {shows}; }}"),
            Step::ResizableView { isolate, buffer, view, shows } => write!(
                f,
                "{{ const a = new ArrayBuffer(24, {{ maxByteLength: 40 }}); b{buffer} = a; v{view} = {shows}; }} // in isolate \
                 {isolate}"
            ),
            Step::ResizeUnder { view, byte_length } => write!(f, "v{view}.buffer.resize({byte_length});"),
            Step::ExposeTyped { isolate, store, view, part } => {
                write!(f, "// native: v{view} = {part:?} of s{store}, in isolate {isolate}")
            }
            Step::Act { at, act, store } => write!(f, "// native: {act:?} of {at}; a store goes to s{store}"),
            Step::CallNative { first, second, call, store } => {
                write!(
                    f,
                    "{{ const x = {first}, y = {second}, a = x.buffer ?? x, b = y.buffer ?? y; {call}; a store goes to s{store} }}"
                )
            }
            Step::DropView { view } => write!(f, "v{view} = undefined;"),
            Step::ResizeStore { store, byte_length } => {
                write!(f, "// native: resize or grow s{store} to {byte_length}")
            }
            Step::Free { store } => write!(f, "nativeModule.free(s{store});"),
            Step::TakeUnique { store } => write!(f, "// native: ask to be the only owner of s{store}"),
            Step::DropBuffer { buffer } => write!(f, "b{buffer} = undefined;"),
            Step::DropStore { store } => write!(f, "// native: drop s{store}"),
            Step::Collect { isolate } => write!(f, "nativeModule.gc(); // isolate {isolate}"),
            Step::CollectYoung { isolate } => write!(f, "// native: isolate {isolate} collects young objects"),
            Step::EndIsolate { isolate } => write!(f, "// native: isolate {isolate} ends"),
            Step::Compare => write!(f, "// compare everything"),
            Step::CompareExternalBytes => write!(f, "// compare the external bytes"),
        }
    }
}
