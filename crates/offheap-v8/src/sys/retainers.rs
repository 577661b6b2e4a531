//! What keeps buffers alive: the handles of the isolate, and paths from a heap snapshot.

use std::collections::HashSet;
use std::ffi::c_void;
use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroUsize;
use std::ptr;

use offheap_engine::{Retainers, Roots, Sought};

use super::block::TABLE;
use super::engine_memory::drop_released;
use super::object::Buffer;
use super::own_isolate::OwnIsolate;
use super::root::{Root, object_of};
use crate::heap_snapshot::{Marks, Reader};
use crate::paths::path_of;
use crate::{ENGINE, Error};

/// What keeps each of these buffers alive. Collects garbage, and runs no script.
pub(crate) fn retainers(
    own: &OwnIsolate,
    sought: &[Sought<'_, Root>],
    roots: Roots<'_, Root>,
) -> Result<Vec<Retainers>, Error> {
    let marks = Marks::from(RandomState::new().hash_one(sought.len()) as u32);
    let mut list = List { marks, targets: Vec::new(), memories: Vec::new(), handles: vec![0; sought.len()] };
    let reader = own.with_scope(|scope| {
        // Only this handle keeps the list, so that the snapshot tells which node stands for all handles.
        let kept = list.make(scope, sought, roots)?;
        let mut reader = Reader::new(marks, sought.len(), std::mem::take(&mut list.memories));
        scope.take_heap_snapshot(|bytes| reader.read(bytes));
        drop(kept);
        Ok::<_, Error>(reader)
    })?;
    drop_released(own.state());
    let failed = Error::EngineFailed { engine: ENGINE, attempted: "take a heap snapshot" };
    let paths = reader.finish().ok_or(failed)?;
    let retainers = paths.into_iter().zip(list.handles);
    Ok(retainers.map(|(path, handles)| Retainers::new(handles, path.as_deref().map(path_of), None)).collect())
}

/// The object by which the sought buffers are recognised in a snapshot.
struct List {
    marks: Marks,
    /// For each sought buffer, what it is recognised by among the objects of handles.
    targets: Vec<Target>,
    /// Which sought buffer each memory in the list belongs to.
    memories: Vec<usize>,
    /// The number of handles of each sought buffer.
    handles: Vec<usize>,
}

enum Target {
    Object(v8::Global<v8::Object>),
    At(HashSet<usize>),
}

impl List {
    fn make(
        &mut self,
        scope: &mut v8::PinScope<'_, '_>,
        sought: &[Sought<'_, Root>],
        roots: Roots<'_, Root>,
    ) -> Result<v8::Global<v8::Object>, Error> {
        // The locals end with this scope. Otherwise the snapshot would show them as what keeps the buffers.
        v8::scope!(let scope, scope);
        let null = v8::null(scope).into();
        // Without a prototype, whose setters could be script.
        let list = v8::Object::with_prototype_and_properties(scope, null, &[], &[]);
        self.put(scope, list, self.marks.list(), list)?;
        let global = scope.get_current_context().global(scope);
        self.put(scope, list, self.marks.global(), global)?;
        for (at, sought) in sought.iter().enumerate() {
            let target = match sought {
                Sought::Object(object) => {
                    let object = object_of(scope, *object)?;
                    let buffer = Buffer::of(scope, object.into())?.object();
                    self.put(scope, list, self.marks.object + at as u32, buffer)?;
                    Target::Object(v8::Global::new(scope, buffer))
                }
                Sought::Store(store) => {
                    let addresses = TABLE.addresses_of(store.store).into_iter().chain([store.address]);
                    let addresses: HashSet<usize> = addresses.collect();
                    for address in addresses.iter().copied().filter_map(NonZeroUsize::new) {
                        let memory = self.marks.memory + self.memories.len() as u32;
                        let probe = buffer_at(scope, address);
                        self.put(scope, list, memory, probe.into())?;
                        self.memories.push(at);
                    }
                    Target::At(addresses)
                }
            };
            self.targets.push(target);
        }
        self.put_handles(scope, list, roots)?;
        self.targets.clear();
        Ok(v8::Global::new(scope, list))
    }

    /// Counts the handles of the sought buffers and of their views, and puts their objects into the list.
    fn put_handles<'s>(
        &mut self,
        scope: &mut v8::PinScope<'s, '_>,
        list: v8::Local<'s, v8::Object>,
        roots: Roots<'_, Root>,
    ) -> Result<(), Error> {
        let (mut from, mut count) = (0, 0);
        while let Some((slot, object)) = roots.next(from, |root| root.object(scope)) {
            from = slot + 1;
            // A handle of another object.
            let Ok(buffer) = Buffer::of(scope, object.into()) else { continue };
            for at in 0..self.targets.len() {
                let is_it = match &self.targets[at] {
                    Target::Object(target) => *target == buffer.object(),
                    Target::At(addresses) => buffer.data().is_some_and(|data| addresses.contains(&data.addr().get())),
                };
                if is_it {
                    self.handles[at] += roots.handles(slot);
                    self.put(scope, list, self.marks.handle + count, object)?;
                    count += 1;
                    break;
                }
            }
        }
        Ok(())
    }

    fn put<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        list: v8::Local<'s, v8::Object>,
        index: u32,
        object: v8::Local<'s, v8::Object>,
    ) -> Result<(), Error> {
        let failed = Error::EngineFailed { engine: ENGINE, attempted: "list the buffers that are sought" };
        let Some(name) = v8::String::new(scope, &index.to_string()) else { return Err(failed) };
        match list.create_data_property(scope, name.into(), object.into()) {
            Some(true) => Ok(()),
            _ => Err(failed),
        }
    }
}

/// A buffer over the byte at an address. In a snapshot it leads to all buffers that begin there.
fn buffer_at<'s>(scope: &mut v8::PinScope<'s, '_>, address: NonZeroUsize) -> v8::Local<'s, v8::ArrayBuffer> {
    unsafe extern "C" fn free_nothing(_: *mut c_void, _: usize, _: *mut c_void) {}
    let data = ptr::without_provenance_mut(address.get());
    // SAFETY: I-MAPPED: nobody reads or writes the byte, which may be gone: script and native code get neither the buffer nor
    // its block, and V8 does not touch the bytes of a buffer by itself.
    let block = unsafe { v8::ArrayBuffer::new_backing_store_from_ptr(data, 1, free_nothing, ptr::null_mut()) };
    v8::ArrayBuffer::with_backing_store(scope, &block.make_shared())
}
