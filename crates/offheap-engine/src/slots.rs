//! The slots of a table of roots: values, each with a count of its handles.

use offheap::Error as CoreError;

use crate::Error;

/// The values that the handles of one isolate keep.
///
/// Only a new value may need memory: copies of a handle share its slot, and the lists of free and released slots
/// are linked through the slots themselves. Methods here never drop a value, since a drop may run any code. They
/// return the value, and the table drops it after it has stopped borrowing the slots.
#[derive(Debug)]
pub(crate) struct Slots<T> {
    slots: Vec<Slot<T>>,
    free: Option<usize>,
    released: Option<usize>,
}

#[derive(Debug)]
struct Slot<T> {
    /// `None` if the slot is free.
    value: Option<T>,
    state: State,
}

#[derive(Debug)]
enum State {
    Free {
        next: Option<usize>,
    },
    Root {
        handles: usize,
    },
    /// The last handle of the value was dropped while the value could not be freed.
    Released {
        next: Option<usize>,
    },
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Slots { slots: Vec::new(), free: None, released: None }
    }
}

impl<T> Slots<T> {
    /// Reserves memory for one more value.
    ///
    /// # Errors
    /// [`Error::Memory`] if there is no memory.
    #[inline]
    pub(crate) fn reserve(&mut self) -> Result<(), Error> {
        if self.free.is_none() {
            let requested = size_of::<Slot<T>>();
            self.slots.try_reserve(1).map_err(|_| CoreError::OutOfMemory { requested })?;
        }
        Ok(())
    }

    /// Inserts a value with one handle, after [`reserve`](Self::reserve), and returns its slot.
    #[inline]
    pub(crate) fn insert(&mut self, value: T) -> usize {
        let (value, state) = (Some(value), State::Root { handles: 1 });
        let Some(slot) = self.free else {
            self.slots.push(Slot { value, state });
            return self.slots.len() - 1;
        };
        let there = &mut self.slots[slot];
        let State::Free { next } = there.state else { unreachable!("it was free") };
        *there = Slot { value, state };
        self.free = next;
        slot
    }

    /// The value in a slot, or `None` if two handles were made for it, so that it was removed early.
    #[inline]
    pub(crate) fn get(&self, slot: usize) -> Option<&T> {
        self.slots.get(slot).and_then(Slot::root)
    }

    /// The next value that has handles, in the slot `from` or after it, and its slot.
    pub(crate) fn next(&self, from: usize) -> Option<(usize, &T)> {
        let rest = self.slots.iter().enumerate().skip(from);
        rest.filter_map(|(slot, there)| Some((slot, there.root()?))).next()
    }

    /// The number of handles of the value in a slot.
    #[inline]
    pub(crate) fn handles(&self, slot: usize) -> usize {
        match self.slots.get(slot) {
            Some(Slot { state: State::Root { handles }, .. }) => *handles,
            _ => 0,
        }
    }

    /// Adds a handle and returns its slot; `usize::MAX`, which is not a slot, if the value is gone.
    pub(crate) fn duplicate(&mut self, slot: usize) -> usize {
        match self.slots.get_mut(slot) {
            Some(Slot { state: State::Root { handles }, .. }) => {
                *handles += 1;
                slot
            }
            _ => usize::MAX,
        }
    }

    /// Removes a handle, and returns the value if that was its last. With `put_off`, the value is kept for
    /// [`take_released`](Self::take_released) instead.
    #[inline]
    pub(crate) fn release(&mut self, slot: usize, put_off: bool) -> Option<T> {
        let there = self.slots.get_mut(slot)?;
        let State::Root { handles } = &mut there.state else { return None };
        *handles -= 1;
        if *handles != 0 {
            return None;
        }
        if put_off {
            there.state = State::Released { next: self.released.replace(slot) };
            return None;
        }
        there.state = State::Free { next: self.free.replace(slot) };
        there.value.take()
    }

    /// Whether there are postponed values.
    #[inline]
    pub(crate) fn has_released(&self) -> bool {
        self.released.is_some()
    }

    /// Removes and returns one of the postponed values.
    pub(crate) fn take_released(&mut self) -> Option<T> {
        let slot = self.released?;
        let there = &mut self.slots[slot];
        let State::Released { next } = there.state else { unreachable!("it was put off") };
        self.released = next;
        there.state = State::Free { next: self.free.replace(slot) };
        there.value.take()
    }

    /// All remaining values.
    pub(crate) fn into_values(self) -> impl Iterator<Item = T> {
        self.slots.into_iter().filter_map(|slot| slot.value)
    }
}

impl<T> Slot<T> {
    /// The value, if it has handles.
    #[inline]
    fn root(&self) -> Option<&T> {
        self.value.as_ref().filter(|_| matches!(self.state, State::Root { .. }))
    }
}

#[cfg(test)]
mod tests {
    use super::Slots;

    fn insert(slots: &mut Slots<char>, value: char) -> usize {
        slots.reserve().unwrap();
        slots.insert(value)
    }

    #[test]
    fn handles_are_counted_and_slots_used_again() {
        let mut slots = Slots::default();
        let (first, second) = (insert(&mut slots, 'a'), insert(&mut slots, 'b'));
        assert_eq!(slots.duplicate(first), first);
        assert_eq!([first, second, 7].map(|slot| slots.handles(slot)), [2, 1, 0]);
        assert_eq!((slots.release(first, false), slots.get(first)), (None, Some(&'a')));
        assert_eq!((slots.release(first, false), slots.get(first)), (Some('a'), None));
        // The slot is empty now.
        assert_eq!((slots.release(first, false), slots.duplicate(first)), (None, usize::MAX));
        assert_eq!(slots.release(usize::MAX, false), None);
        assert_eq!(insert(&mut slots, 'c'), first);
        assert_ne!(first, second);
        assert_eq!(slots.into_values().collect::<String>(), "cb");
    }

    #[test]
    fn a_postponed_value_keeps_its_slot_until_it_is_taken() {
        let mut slots = Slots::default();
        let held: Vec<usize> = ['a', 'b', 'c'].map(|value| insert(&mut slots, value)).into();
        assert!(!slots.has_released());
        assert_eq!((slots.release(held[0], true), slots.release(held[2], true)), (None, None));
        assert_eq!((slots.get(held[0]), slots.has_released()), (None, true));
        assert_eq!(slots.duplicate(held[2]), usize::MAX);
        assert_eq!((slots.next(0), slots.next(2)), (Some((held[1], &'b')), None));
        assert_eq!(insert(&mut slots, 'd'), 3);
        assert_eq!((slots.take_released(), slots.take_released(), slots.take_released()), (Some('c'), Some('a'), None));
        assert_eq!(insert(&mut slots, 'e'), held[0]);
        assert_eq!(slots.release(held[1], true), None);
        assert_eq!(slots.into_values().collect::<String>(), "ebd");
    }
}
