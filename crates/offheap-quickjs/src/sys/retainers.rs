//! What keeps buffers alive: the handles of an isolate, and paths of objects from the roots of script.

use std::collections::HashSet;
use std::ptr::NonNull;

use offheap::StoreId;
use offheap_engine::{PathStep, Retainers, RetainingPath, Roots, Sought};
use rquickjs::{Ctx, qjs};

use super::callback::hold_of_buffer;
use super::graph::{Layout, Reference, address, is_object};
use super::layout::{BufferFields, layout_changed};
use super::middle::NoCollection;
use super::moved::with_hold;
use super::own::Root;
use super::realm::{Realm, text};
use super::state::with_state;
use crate::Error;

/// What a walk does not see.
const UNSEEN: &str = "QuickJS does not tell what suspended generators and async functions, modules whose functions script cannot reach, the \
                      namespaces of modules, and Rust code keep";

/// What keeps each of these buffers alive. Runs no script.
pub(crate) fn retainers(
    ctx: &Ctx<'_>,
    sought: &[Sought<'_, Root>],
    roots: Roots<'_, Root>,
) -> Result<Vec<Retainers>, Error> {
    with_state(ctx, |state| {
        let realm = state.realm(ctx)?;
        let _no_collection = NoCollection::begin(ctx.as_raw());
        // SAFETY: a live context, of this thread; the realm has no code of the program.
        let layout = unsafe { Layout::probe(realm.context()) }.filter(|_| realm.layout_known.get());
        let layout = layout.ok_or_else(layout_changed)?;
        let sought = sought.iter().map(|sought| {
            Ok(match sought {
                Sought::Object(object) => Wanted::Object(buffer_at(realm, object.with(Root::as_raw)?)?),
                Sought::Store(store) => Wanted::Store(store.store),
            })
        });
        let sought: Vec<Wanted> = sought.collect::<Result<_, Error>>()?;
        let handles = handles(realm, &sought, roots)?;
        let mut walk = Walk { realm, ctx: ctx.as_raw(), layout, seen: HashSet::new(), nodes: Vec::new() };
        let found = walk.find(&sought)?;
        let retainers = found.into_iter().zip(handles);
        Ok(retainers
            .map(|(node, handles)| Retainers::new(handles, node.map(|node| walk.path(node)), Some(UNSEEN)))
            .collect())
    })
}

enum Wanted {
    /// The object at this address.
    Object(usize),
    Store(StoreId),
}

impl Wanted {
    /// Whether this is it: the buffer at `object`, over this store.
    fn is(&self, object: usize, store: Option<StoreId>) -> bool {
        match *self {
            Wanted::Object(wanted) => wanted == object,
            Wanted::Store(wanted) => Some(wanted) == store,
        }
    }
}

/// The address of a buffer, or of the buffer of a view.
fn buffer_at(realm: &Realm, value: qjs::JSValue) -> Result<usize, Error> {
    Ok(match realm.buffer_of_view(value)? {
        Some(buffer) => {
            // The view keeps the buffer.
            realm.free(buffer);
            address(buffer)
        }
        None => address(value),
    })
}

/// The store that a live buffer is over; `None` for another object.
fn store_of(realm: &Realm, value: qjs::JSValue) -> Option<StoreId> {
    // SAFETY: reads the class of a live value.
    if !unsafe { qjs::JS_IsArrayBuffer(value) } && !realm.is_shared(value) {
        return None;
    }
    // SAFETY: I-LAYOUT: a live buffer, and the layout was probed.
    let fields = unsafe { BufferFields::of(value) };
    // SAFETY: I-LAYOUT: no code of QuickJS runs while this reference lives.
    let fields = unsafe { fields.as_ref() };
    if fields.detached != 0 {
        return None;
    }
    let (hold, byte_length) = (hold_of_buffer(fields)?, fields.byte_length as usize);
    // SAFETY: I-FREE-ONCE: a buffer of ours that is not detached, so QuickJS has not freed its hold.
    Some(unsafe { with_hold(hold, fields.data, |hold, data| hold.store(data, byte_length).id()) })
}

/// The number of handles of each wanted buffer and of its views.
fn handles(realm: &Realm, wanted: &[Wanted], roots: Roots<'_, Root>) -> Result<Vec<usize>, Error> {
    let (mut counts, mut from) = (vec![0; wanted.len()], 0);
    while let Some((slot, value)) = roots.next(from, Root::as_raw) {
        from = slot + 1;
        let view_of = realm.buffer_of_view(value)?;
        let (object, store) = (address(view_of.unwrap_or(value)), store_of(realm, view_of.unwrap_or(value)));
        for (count, _) in counts.iter_mut().zip(wanted).filter(|(_, wanted)| wanted.is(object, store)) {
            *count += roots.handles(slot);
        }
        if let Some(buffer) = view_of {
            realm.free(buffer);
        }
    }
    Ok(counts)
}

/// A walk over all objects that script can reach, those that are near the roots first.
struct Walk<'a> {
    realm: &'a Realm,
    ctx: NonNull<qjs::JSContext>,
    layout: Layout,
    /// The addresses of the objects that were found.
    seen: HashSet<usize>,
    nodes: Vec<Node>,
}

struct Node {
    value: qjs::JSValue,
    /// The object that refers to this one, and how. A root has none.
    from: Option<(usize, How)>,
}

#[derive(Clone, Copy)]
enum How {
    Refers(Reference),
    /// The buffer of a view.
    Buffer,
}

impl Walk<'_> {
    /// Finds objects that reach the wanted ones: for each, its place among the nodes.
    fn find(&mut self, wanted: &[Wanted]) -> Result<Vec<Option<usize>>, Error> {
        // SAFETY: a live context.
        let global = unsafe { qjs::JS_GetGlobalObject(self.ctx.as_ptr()) };
        // SAFETY: a live context, and its global object.
        let variables = unsafe { self.layout.variables(self.ctx, global) };
        // The context keeps the object.
        self.realm.free(global);
        self.add(global, None);
        if let Some(variables) = variables {
            self.add(variables, None);
        }
        let mut found = vec![None; wanted.len()];
        let mut at = 0;
        while at < self.nodes.len() && found.contains(&None) {
            let value = self.nodes[at].value;
            let (object, store) = (address(value), store_of(self.realm, value));
            for (found, _) in found.iter_mut().zip(wanted).filter(|(_, wanted)| wanted.is(object, store)) {
                *found = found.or(Some(at));
            }
            self.follow(at)?;
            at += 1;
        }
        Ok(found)
    }

    fn add(&mut self, value: qjs::JSValue, from: Option<(usize, How)>) {
        if self.seen.insert(address(value)) {
            self.nodes.push(Node { value, from });
        }
    }

    fn follow(&mut self, at: usize) -> Result<(), Error> {
        let value = self.nodes[at].value;
        if let Some(buffer) = self.realm.buffer_of_view(value)? {
            // The view keeps the buffer.
            self.realm.free(buffer);
            self.add(buffer, Some((at, How::Buffer)));
        }
        let (seen, nodes) = (&mut self.seen, &mut self.nodes);
        let mut found = |how, value| {
            if seen.insert(address(value)) {
                nodes.push(Node { value, from: Some((at, How::Refers(how))) });
            }
        };
        // In the realm of our own: for an error, QuickJS would call the program's `Error.prepareStackTrace`.
        // SAFETY: I-LAYOUT: the object lives, because a root leads to it and nothing has changed since the walk began.
        unsafe { self.layout.references(self.realm.context(), value, &mut found) };
        Ok(())
    }

    fn path(&self, node: usize) -> RetainingPath {
        let (mut steps, mut at) = (Vec::new(), node);
        while let Some((from, how)) = self.nodes[at].from {
            steps.extend(self.step(from, how));
            at = from;
        }
        // The second root has the variables of scripts as its properties.
        let root = match (at, steps.last()) {
            (0, _) => "globalThis".to_owned(),
            (_, Some(PathStep::Property(name))) => {
                let name = name.clone();
                steps.pop();
                name
            }
            _ => "a variable of a script".to_owned(),
        };
        steps.reverse();
        RetainingPath::new(root, steps)
    }

    fn step(&self, from: usize, how: How) -> Option<PathStep> {
        let How::Refers(how) = how else { return Some(PathStep::Property("buffer".to_owned())) };
        // SAFETY: reads the class of a live object.
        let is_map = unsafe { qjs::JS_IsMap(self.nodes[from].value) };
        let words = match how {
            Reference::Property(name) => return Some(self.property(name)),
            Reference::Variable(name) => return Some(PathStep::Variable(self.name(name))),
            Reference::Getter(name) => format!("accessor of {}", self.name(name)),
            Reference::Prototype => return Some(PathStep::Property("__proto__".to_owned())),
            Reference::Bound => "bound value".to_owned(),
            Reference::Key if is_map => "key of the Map".to_owned(),
            Reference::Key => "element of the Set".to_owned(),
            Reference::Entry(key) => match self.primitive(key) {
                Some(key) => format!("value of {key} in the Map"),
                None => "value in the Map".to_owned(),
            },
            Reference::Promise => "result of the promise".to_owned(),
            Reference::ProxyTarget => "target of the proxy".to_owned(),
            Reference::ProxyHandler => "handler of the proxy".to_owned(),
        };
        Some(PathStep::Other(words))
    }

    fn property(&self, name: qjs::JSAtom) -> PathStep {
        /// QuickJS marks names that are small numbers.
        const NUMBER: qjs::JSAtom = 1 << 31;
        match name & NUMBER {
            0 => PathStep::Property(self.name(name)),
            _ => PathStep::Element(u64::from(name & !NUMBER)),
        }
    }

    /// The text of a name. The object that has the property keeps the name.
    fn name(&self, name: qjs::JSAtom) -> String {
        // SAFETY: a live context, and a live name.
        let value = unsafe { qjs::JS_AtomToValue(self.realm.as_ptr(), name) };
        let text = match is_text(value) {
            true => text(self.realm.context(), value),
            false => self.symbol(name),
        };
        self.realm.free(value);
        text.unwrap_or_else(|| "?".to_owned())
    }

    /// A symbol as script describes it, or the name of a private field.
    fn symbol(&self, name: qjs::JSAtom) -> Option<String> {
        let description = self.realm.atom_text(name)?;
        Some(if description.starts_with('#') { description } else { format!("Symbol({description})") })
    }

    /// A key of a Map, unless it is an object.
    fn primitive(&self, key: qjs::JSValue) -> Option<String> {
        if is_object(key) {
            return None;
        }
        // SAFETY: only reads the tag.
        if unsafe { qjs::JS_IsSymbol(key) } {
            return None;
        }
        let text = text(self.realm.context(), key)?;
        Some(if is_text(key) { format!("{text:?}") } else { text })
    }
}

fn is_text(value: qjs::JSValue) -> bool {
    // SAFETY: only reads the tag.
    unsafe { qjs::JS_IsString(value) }
}
