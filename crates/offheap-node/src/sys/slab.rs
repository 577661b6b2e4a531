//! Memory for small values of which several share one allocation.
//!
//! V8 frees most blocks on a thread of its own, while the main thread makes the next ones. Each piece of memory that goes from one
//! thread to the other through `malloc` costs both of them: its lists are in the other processor's cache.

use std::cell::{Cell, UnsafeCell};
use std::mem::MaybeUninit;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering, fence};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many values share a slab. One that lives keeps the memory of all.
const PLACES: usize = 15;
/// How many slabs without values are kept. `malloc` would join them to large pieces, and empty its lists of small ones for that.
const SPARE: usize = 256;

/// The memory of values of which each is made by one thread, and ended by any.
pub(super) struct Slab<T> {
    /// The places that were not given back.
    left: AtomicUsize,
    places: [UnsafeCell<MaybeUninit<T>>; PLACES],
}

// SAFETY: I-OWNER-SEND: a slab that changes threads as a `Box` has no values, and its count is atomic.
unsafe impl<T> Send for Slab<T> {}

/// The slabs without values.
pub(super) struct Spare<T>(Mutex<Vec<Box<Slab<T>>>>);

impl<T> Spare<T> {
    pub(super) const fn new() -> Self {
        Spare(Mutex::new(Vec::new()))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Box<Slab<T>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> NonNull<Slab<T>> {
        let spare = self.lock().pop();
        let mut slab = spare.unwrap_or_else(|| {
            let places = [const { UnsafeCell::new(MaybeUninit::uninit()) }; PLACES];
            Box::new(Slab { left: AtomicUsize::new(0), places })
        });
        *slab.left.get_mut() = PLACES;
        NonNull::from(Box::leak(slab))
    }

    /// Keeps a slab, or frees it if there are enough, or no memory to keep it.
    fn keep(&self, slab: Box<Slab<T>>) {
        let mut spare = self.lock();
        if spare.len() < SPARE && spare.try_reserve(1).is_ok() {
            spare.push(slab);
        }
    }

    /// Gives places of a slab back, of which no value is left.
    ///
    /// # Safety
    /// [`Places`] over this value gave the slab with these places. They are given back once, and not used any more.
    pub(super) unsafe fn give_back(&self, slab: NonNull<Slab<T>>, places: usize) {
        // SAFETY: I-FREE-ONCE: the places that the caller gives back keep the slab.
        let left = unsafe { &slab.as_ref().left };
        if left.fetch_sub(places, Ordering::Release) == places {
            fence(Ordering::Acquire);
            // SAFETY: I-FREE-ONCE: `take` leaked the box, and these were its last places.
            self.keep(unsafe { Box::from_raw(slab.as_ptr()) });
        }
    }
}

/// The places that one thread takes next.
pub(super) struct Places<T: 'static> {
    spare: &'static Spare<T>,
    /// A slab with places that nobody has taken.
    slab: Cell<Option<NonNull<Slab<T>>>>,
    /// How many of its places were taken.
    taken: Cell<usize>,
}

impl<T> Places<T> {
    pub(super) const fn new(spare: &'static Spare<T>) -> Self {
        Places { spare, slab: Cell::new(None), taken: Cell::new(0) }
    }

    /// A place that nobody else has, and the slab to which it is [given back](Spare::give_back).
    #[inline]
    pub(super) fn take(&self) -> (NonNull<T>, NonNull<Slab<T>>) {
        let slab = self.slab.get().unwrap_or_else(|| self.spare.take());
        let place = self.taken.get();
        let is_last = place + 1 == PLACES;
        self.taken.set(if is_last { 0 } else { place + 1 });
        self.slab.set(Some(slab).filter(|_| !is_last));
        // SAFETY: I-FREE-ONCE: the place that is taken here keeps the slab.
        let places = unsafe { &slab.as_ref().places };
        (NonNull::from(&places[place]).cast(), slab)
    }
}

impl<T> Drop for Places<T> {
    fn drop(&mut self) {
        if let Some(slab) = self.slab.get() {
            // SAFETY: I-FREE-ONCE: nobody has taken these places, and nobody can any more.
            unsafe { self.spare.give_back(slab, PLACES - self.taken.get()) };
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::*;

    type Counted = Arc<()>;

    fn spare() -> &'static Spare<Counted> {
        Box::leak(Box::new(Spare::new()))
    }

    /// A value, and the slab that it is in.
    struct Made(NonNull<Counted>, NonNull<Slab<Counted>>);

    // SAFETY: I-OWNER-SEND: the value may be sent, and a slab's count is atomic.
    unsafe impl Send for Made {}

    impl Made {
        fn new(places: &Places<Counted>, value: &Counted) -> Self {
            let (place, slab) = places.take();
            // SAFETY: I-LAYOUT: nobody else has the place.
            unsafe { place.write(Arc::clone(value)) };
            Made(place, slab)
        }

        fn end(self, spare: &Spare<Counted>) {
            // SAFETY: I-FREE-ONCE: `new` wrote the value, and this is called once.
            unsafe { self.0.drop_in_place() };
            // SAFETY: I-FREE-ONCE: the place came with this slab.
            unsafe { spare.give_back(self.1, 1) };
        }
    }

    #[test]
    fn places_are_different_and_a_slab_without_values_is_used_again() {
        let (spare, value) = (spare(), Counted::default());
        let places = Places::new(spare);
        let made: Vec<_> = (0..PLACES + 1).map(|_| Made::new(&places, &value)).collect();
        let mut addresses: Vec<_> = made.iter().map(|it| it.0.addr()).collect();
        addresses.sort_unstable();
        addresses.dedup();
        assert_eq!((addresses.len(), Arc::strong_count(&value)), (PLACES + 1, PLACES + 2));
        let (first, next) = (made[0].1, made[PLACES].1);
        assert!(made[..PLACES].iter().all(|it| it.1 == first) && next != first);
        made.into_iter().for_each(|it| it.end(spare));
        // The second slab has places that were not taken.
        assert_eq!((Arc::strong_count(&value), spare.lock().len()), (1, 1));
        drop(places);
        assert_eq!(spare.lock().len(), 2);
        assert_eq!(Places::new(spare).take().1, next);
    }

    #[test]
    fn a_value_outlives_the_thread_that_made_it() {
        let (spare, value) = (spare(), Counted::default());
        let of_thread = Arc::clone(&value);
        let made = thread::spawn(move || Made::new(&Places::new(spare), &of_thread)).join().unwrap();
        // SAFETY: I-LAYOUT: the value lives until `end`.
        assert_eq!(Arc::strong_count(unsafe { made.0.as_ref() }), 2);
        assert_eq!(spare.lock().len(), 0);
        made.end(spare);
        assert_eq!((Arc::strong_count(&value), spare.lock().len()), (1, 1));
    }

    #[test]
    fn slabs_beyond_what_is_kept_are_freed() {
        let (spare, value) = (spare(), Counted::default());
        let places = Places::new(spare);
        let made: Vec<_> = (0..(SPARE + 3) * PLACES).map(|_| Made::new(&places, &value)).collect();
        made.into_iter().for_each(|it| it.end(spare));
        assert_eq!((Arc::strong_count(&value), spare.lock().len()), (1, SPARE));
    }

    #[test]
    fn threads_end_what_another_one_makes() {
        let (spare, value) = (spare(), Counted::default());
        let places = Places::new(spare);
        for _ in 0..100 {
            let mut parts: [Vec<Made>; 3] = Default::default();
            (0..6 * PLACES).for_each(|number| parts[number % 3].push(Made::new(&places, &value)));
            let threads = parts.map(|part| thread::spawn(|| part.into_iter().for_each(|it| it.end(spare))));
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        }
        assert_eq!((Arc::strong_count(&value), spare.lock().len()), (1, 6));
    }
}
