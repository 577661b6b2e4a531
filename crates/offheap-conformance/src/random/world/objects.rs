//! The steps that use views, scopes and native functions.

use std::cell::RefCell;
use std::rc::Rc;

use offheap_engine::{BufferState, Error, Handle, JsArrayBuffer, JsArrayBufferView};

use super::{World, done};
use crate::random::Outcome;
use crate::random::act::{Act, Kept, Object};
use crate::random::step::{At, Step};

/// A view in a slot.
pub(super) struct View {
    isolate: usize,
    view: Handle<JsArrayBufferView>,
    buffer: BufferOfView,
    has_maximum: bool,
}

enum BufferOfView {
    /// Script made the view of this buffer.
    Of(Handle<JsArrayBuffer>),
    /// The engine made the buffer with the view. Its state was this.
    MadeWith(BufferState),
}

impl World<'_> {
    /// Whether the engine made the buffer of an object with a maximum length.
    pub(in crate::random) fn has_maximum_at(&self, at: At) -> bool {
        match at {
            At::Buffer(slot) => self.has_maximum[slot],
            At::View(slot) => self.views[slot].as_ref().is_some_and(|view| view.has_maximum),
        }
    }

    /// The state of the buffer of an object, as script sees it, or saw it when the engine made the buffer with a view.
    pub(in crate::random) fn state_at(&mut self, at: At) -> Option<BufferState> {
        let (isolate, buffer) = match at {
            At::Buffer(slot) => return self.state_of(slot),
            At::View(slot) => {
                let view = self.views[slot].as_ref()?;
                match &view.buffer {
                    BufferOfView::Of(buffer) => (view.isolate, buffer.clone()),
                    BufferOfView::MadeWith(state) => return Some(*state),
                }
            }
        };
        self.isolate(isolate).and_then(|engine| engine.state(&buffer)).ok()
    }

    /// The object in a slot, with its isolate.
    pub(super) fn object(&self, at: At) -> Option<(usize, Object)> {
        Some(match at {
            At::Buffer(slot) => {
                let (isolate, buffer) = self.buffers[slot].clone()?;
                (isolate, Object::Buffer(buffer))
            }
            At::View(slot) => {
                let view = self.views[slot].as_ref()?;
                (view.isolate, Object::View(view.view.clone()))
            }
        })
    }

    /// Performs the steps that need more of an engine than buffers.
    pub(super) fn try_scoped(&mut self, step: Step) -> Result<Outcome, Error> {
        let kept = Rc::<RefCell<Kept>>::default();
        Ok(match step {
            Step::View { buffer, view, shows } => {
                let Some(made) = self.with_buffer(buffer, |engine, buffer| engine.view(buffer, shows))? else {
                    return Ok(Outcome::Nothing);
                };
                let (isolate, of) = self.buffers[buffer].clone().expect("there, as just seen");
                let has_maximum = self.has_maximum[buffer];
                self.keep_view(view, View { isolate, view: made, buffer: BufferOfView::Of(of), has_maximum });
                Outcome::Done
            }
            Step::ResizableView { isolate, buffer, view, shows } => {
                let engine = self.isolate(isolate)?;
                let of = engine.allocate(24, Some(40))?;
                let made = engine.view(&of, shows)?;
                self.keep(buffer, isolate, of.clone());
                self.has_maximum[buffer] = true;
                let buffer = BufferOfView::Of(of);
                self.keep_view(view, View { isolate, view: made, buffer, has_maximum: true });
                Outcome::Done
            }
            Step::ResizeUnder { view, byte_length } => {
                let Some(View { isolate, buffer: BufferOfView::Of(buffer), .. }) = &self.views[view] else {
                    return Ok(Outcome::Nothing);
                };
                let (isolate, buffer) = (*isolate, buffer.clone());
                self.isolate(isolate)?.resize(&buffer, byte_length)?;
                Outcome::Done
            }
            Step::ExposeTyped { isolate, store, view, part } => {
                self.settle();
                let Some(store) = self.stores[store].clone() else { return Ok(Outcome::Nothing) };
                let made = self.isolate(isolate)?.expose_typed(&store, part)?;
                let state = BufferState {
                    byte_length: store.byte_length(),
                    max_byte_length: store.max_byte_length(),
                    detached: false,
                    resizable: false,
                    immutable: store.kind().is_read_only(),
                    shared: store.kind().is_shared(),
                };
                let buffer = BufferOfView::MadeWith(state);
                self.keep_view(view, View { isolate, view: made, buffer, has_maximum: false });
                Outcome::Done
            }
            Step::Act { at, act, store } => {
                if matches!(act, Act::Take | Act::Expose) {
                    // A dead buffer may still count.
                    self.settle();
                }
                self.unsettled |= act.may_change_bytes();
                let Some((isolate, object)) = self.object(at) else { return Ok(Outcome::Nothing) };
                let seen = self.isolate(isolate)?.act(act, &object, &kept);
                self.keep_store(store, &kept);
                Outcome::Seen(vec![seen?])
            }
            Step::CallNative { first, second, call, store } => {
                if self.owners_call || call.has_act(|act| matches!(act, Act::Take | Act::Expose)) {
                    self.settle();
                }
                self.unsettled = true;
                let Some((isolate, x)) = self.object(first) else { return Ok(Outcome::Nothing) };
                // Script has only objects of its own isolate.
                let y =
                    self.object(second).filter(|(other, _)| *other == isolate).map_or_else(|| x.clone(), |(_, y)| y);
                let answer = self.isolate(isolate)?.call_native(call, [&x, &y], &kept);
                let mut seen = std::mem::take(&mut kept.borrow_mut().seen);
                self.keep_store(store, &kept);
                seen.push(format!("{:?}", answer?));
                Outcome::Seen(seen)
            }
            Step::DropView { view } => {
                self.unsettled |= self.views[view].is_some();
                done(self.views[view].take().map(drop))
            }
            step => unreachable!("{step:?} is another step"),
        })
    }

    fn keep_view(&mut self, slot: usize, view: View) {
        self.unsettled |= self.views[slot].is_some();
        self.views[slot] = Some(view);
    }

    /// Puts the store that acts kept last in a slot, and drops the others.
    fn keep_store(&mut self, slot: usize, kept: &RefCell<Kept>) {
        let kept = std::mem::take(&mut *kept.borrow_mut());
        drop(kept.buffers);
        if let Some(store) = kept.stores.last() {
            self.put(slot, store.clone());
        }
    }
}
