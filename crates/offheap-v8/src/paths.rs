//! Turns steps of a heap snapshot into a path that people read.

use offheap_engine::{PathStep, RetainingPath};

use crate::heap_snapshot::{EdgeKind, FoundStep};

/// The path of these steps, which begin at the root of the snapshot.
pub(crate) fn path_of(steps: &[FoundStep]) -> RetainingPath {
    let (root, mut rest) = root_of(steps);
    let mut path = Vec::new();
    let before = steps.len().checked_sub(rest.len() + 1);
    let mut from = before.map_or("", |before| &*steps[before].to);
    while let [step, after @ ..] = rest {
        rest = after;
        match step.kind {
            EdgeKind::Element => path.extend(step.name.parse().ok().map(PathStep::Element)),
            EdgeKind::Property => path.push(PathStep::Property(property(&step.name))),
            EdgeKind::Context => path.push(PathStep::Variable(step.name.clone())),
            EdgeKind::Internal | EdgeKind::Shortcut | EdgeKind::Weak => {
                // Entries of a table are numbered as V8 has them in memory.
                while let [inner, after @ ..] = rest
                    && is_number(&inner.name)
                    && inner.kind == EdgeKind::Internal
                {
                    rest = after;
                }
                path.extend(internal(from, &step.name));
            }
        }
        from = &step.to;
    }
    RetainingPath::new(root, path)
}

/// The name of the root, and the steps from there.
fn root_of(steps: &[FoundStep]) -> (String, &[FoundStep]) {
    let at = |name: &str| steps.iter().position(|step| step.name == name && step.kind == EdgeKind::Internal);
    // A global object, with the properties of `globalThis`.
    if let Some(global) = at("global_object") {
        return ("globalThis".to_owned(), &steps[global + 1..]);
    }
    // What `let`, `const` and `class` of scripts declare.
    if let Some(table) = at("script_context_table")
        && let Some(variable) = steps[table..].iter().position(|step| step.kind == EdgeKind::Context)
    {
        return (steps[table + variable].name.clone(), &steps[table + variable + 1..]);
    }
    // The first step leads to all roots, and the second to those of one kind.
    let (first, rest) = steps.split_at(steps.len().min(2));
    let kind = first.last().map_or("", |step| step.to.as_str());
    let (root, rest) = match kind {
        "(Global handles)" => ("a `v8::Global` of the program", rest.get(1..).unwrap_or_default()),
        "(Handle scope)" => ("a `v8::Local` of a running function", rest.get(1..).unwrap_or_default()),
        "(Stack roots)" => ("a value of a running function", rest.get(1..).unwrap_or_default()),
        _ => return (format!("{kind} of V8"), rest),
    };
    (root.to_owned(), rest)
}

fn is_number(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit())
}

/// A property's name as script writes it. V8 describes symbols as `<symbol x>`.
fn property(name: &str) -> String {
    let symbol = name.strip_prefix("<symbol ").and_then(|name| name.strip_suffix('>'));
    symbol.map_or_else(|| name.to_owned(), |symbol| format!("Symbol({symbol})"))
}

/// A field of V8's own in an object of the class `from`, in words. `None` where script does not see an object of its own: the
/// variables of a function.
fn internal(from: &str, name: &str) -> Option<PathStep> {
    let words = match (from, name) {
        (_, "context" | "previous") => return None,
        (_, "target" | "handler") => format!("{name} of the proxy"),
        // The cell of a variable, for example.
        _ if from.starts_with("system / ") => return None,
        (_, "buffer") => return Some(PathStep::Property("buffer".to_owned())),
        ("Map", "table") => "entry of the Map".to_owned(),
        ("Set", "table") => "element of the Set".to_owned(),
        (_, "parameters_and_registers") => "variable of the suspended function".to_owned(),
        (_, "reactions_or_result") => "result or reaction of the promise".to_owned(),
        _ => name.replace('_', " "),
    };
    Some(PathStep::Other(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(steps: &[(EdgeKind, &str, &str)]) -> String {
        let step = |&(kind, name, to): &(EdgeKind, &str, &str)| FoundStep { kind, name: name.into(), to: to.into() };
        path_of(&steps.iter().map(step).collect::<Vec<_>>()).to_string()
    }

    #[test]
    fn steps_become_words_of_script() {
        use EdgeKind::{Context, Element, Internal, Property};
        let context = [
            (Element, "1", "(GC roots)"),
            (Element, "10", "(Global handles)"),
            (Internal, "1", "system / NativeContext"),
        ];
        let global = [&context[..], &[(Internal, "global_object", "Object")]].concat();
        let after = |start: &[_], steps: &[_]| path(&[start, steps].concat());
        assert_eq!(after(&global, &[(Property, "frames", "Array"), (Element, "3", "Object")]), "globalThis.frames[3]");
        let map = [(Property, "map", "Map"), (Internal, "table", ""), (Internal, "9", "ArrayBuffer")];
        assert_eq!(after(&global, &map), "globalThis.map (entry of the Map)");
        let closure =
            [(Property, "read", "read"), (Internal, "context", ""), (Internal, "previous", ""), (Context, "x", "")];
        assert_eq!(after(&global, &closure), "globalThis.read (variable x)");
        let table =
            [(Internal, "script_context_table", ""), (Internal, "2", ""), (Context, "top", ""), (Property, "b", "")];
        assert_eq!(after(&context, &table), "top.b");
        let cell = [(Property, "f", "f"), (Context, "x", "system / ContextCell"), (Internal, "<dummy>", "ArrayBuffer")];
        assert_eq!(after(&global, &cell), "globalThis.f (variable x)");
        let cell = [(Internal, "script_context_table", ""), (Context, "x", "system / Cell"), (Internal, "<dummy>", "")];
        assert_eq!(after(&context, &cell), "x");
        let handle = [context[0], context[1], (Internal, "7", "Array"), (Element, "0", "ArrayBuffer")];
        assert_eq!(path(&handle), "a `v8::Global` of the program[0]");
        assert_eq!(
            path(&[(Element, "1", "(GC roots)"), (Element, "4", "(Strong root list)")]),
            "(Strong root list) of V8"
        );
        assert_eq!(after(&global, &[(Property, "<symbol x>", "Object")]), "globalThis[\"Symbol(x)\"]");
    }
}
