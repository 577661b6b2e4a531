//! Stores whose length changes while their address stays.

use crate::raw::{Refused, UniqueRef};
use crate::sys::Reservation;
use crate::{BackingStore, Error, Length, Site, UniqueStore};

impl UniqueStore {
    /// A store of `byte_length` zeroed bytes that can be resized up to `max_byte_length`, at one address: V8's
    /// `NewResizableBackingStore`. It is aligned to a page.
    ///
    /// What is reserved is addresses; memory is used as bytes are written, and given back by shrinking.
    ///
    /// ```
    /// use offheap::{BackingStore, Error, UniqueStore};
    ///
    /// let mut store = UniqueStore::resizable(4, 1 << 30)?;        // room for 1 GiB, memory for one page
    /// let address = store.as_ptr();
    /// store.fill(7);
    /// store.resize(8)?;
    /// assert_eq!((store.as_ptr(), &store[..]), (address, &[7, 7, 7, 7, 0, 0, 0, 0][..]));
    /// store.resize(2)?;
    /// store.resize(4)?;
    /// assert_eq!(store[..], [7, 7, 0, 0]);                        // what shrinking took comes back as zeros
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::MaximumTooSmall`], [`Error::TooLarge`] beyond `isize::MAX` bytes, [`Error::OutOfMemory`].
    #[track_caller]
    pub fn resizable(byte_length: usize, max_byte_length: usize) -> Result<Self, Error> {
        Self::resizable_over(byte_length, max_byte_length, Reservation::new, Site::here())
    }

    /// The same with what reserves the addresses.
    fn resizable_over(
        byte_length: usize,
        max_byte_length: usize,
        reserve: fn(usize) -> Result<Reservation, Error>,
        site: Site,
    ) -> Result<Self, Error> {
        if byte_length > max_byte_length {
            return Err(Error::MaximumTooSmall { byte_length, max_byte_length });
        }
        UniqueRef::resizable(reserve(max_byte_length)?, byte_length, site).map(UniqueStore::from_unique)
    }

    /// The most bytes that it can have without moving (V8's `MaxByteLength`): its length, unless it is resizable.
    pub fn max_byte_length(&self) -> usize {
        self.raw().max_byte_length()
    }

    /// Changes the length of a [resizable](Self::resizable) store. New bytes are zero; the address stays.
    ///
    /// # Errors
    /// [`Error::NotResizable`], [`Error::AboveMaximum`], [`Error::OutOfMemory`]; nothing has changed then.
    pub fn resize(&mut self, byte_length: usize) -> Result<(), Error> {
        self.unique_mut().resize(byte_length).map_err(|refused| match refused {
            Refused::Error(error) => error,
            Refused::Denied(denied) => unreachable!("{denied:?}, with one reference and no buffer"),
        })
    }
}

impl BackingStore {
    /// The most bytes that it can have without moving (V8's `MaxByteLength`): its length, unless this is a handle to all
    /// of a resizable or growable store, or of memory that an engine resizes.
    #[inline]
    pub fn max_byte_length(&self) -> usize {
        match self.is_whole() && self.kind().length() != Length::Fixed {
            true => self.raw().max_byte_length(),
            false => self.byte_length(),
        }
    }

    /// Changes the length of a [resizable](UniqueStore::resizable) store, for all handles, while it is exposed nowhere.
    /// New bytes are zero; the address stays. An exposed one is resized by its engine.
    ///
    /// Shrinking zeroes the bytes that it takes and gives their memory back, so no guard may live; growing touches no
    /// byte that anybody has, so guards may. Copies on other threads may run during both: where they read what is being
    /// taken they see the bytes as they were, or zeros.
    ///
    /// # Errors
    /// [`Error::NotResizable`], also for a handle to a part, [`Error::EngineResizes`] for memory of an engine,
    /// [`Error::AboveMaximum`], [`Error::OutOfMemory`],
    /// [`Error::Exposed`] while an isolate has the store, [`Error::Busy`] while a guard lives (to shrink), or somebody
    /// else resizes it. Nothing has changed then.
    pub fn resize(&mut self, byte_length: usize) -> Result<(), Error> {
        if !self.is_whole() {
            return Err(self.part_is_not_resizable("resize", byte_length));
        }
        self.raw().resize(None, byte_length).map_err(|refused| self.refused("resize", None, refused))
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// As the kernel allows it, and as where it does not.
    fn of_both_sorts(byte_length: usize, max_byte_length: usize) -> [UniqueStore; 2] {
        [Reservation::new, Reservation::without_access]
            .map(|reserve| UniqueStore::resizable_over(byte_length, max_byte_length, reserve, Site::here()).unwrap())
    }

    #[test]
    fn every_byte_is_there_when_it_grows_in_steps_of_any_size() {
        for step in [1, 511, 4096, 4097, 65_536, 100_000] {
            for mut store in of_both_sorts(0, 300_000) {
                let address = store.as_ptr();
                for byte_length in (step..=300_000).step_by(step).chain([300_000]) {
                    if store.byte_length() < byte_length {
                        let before = store.byte_length();
                        store.resize(byte_length).unwrap();
                        assert!(store[before..].iter().all(|&byte| byte == 0));
                        store[before..].fill(1);
                    }
                }
                assert!(store.iter().all(|&byte| byte == 1));
                assert_eq!((store.as_ptr(), store.byte_length()), (address, 300_000));
            }
        }
    }

    #[test]
    fn what_shrinking_took_comes_back_as_zeros() {
        for mut store in of_both_sorts(50_000, 1 << 20) {
            for (shorter, longer) in [(49_999, 50_000), (4097, 60_000), (4096, 4097), (0, 1 << 20)] {
                store.fill(1);
                store.resize(shorter).unwrap();
                assert!(store.iter().all(|&byte| byte == 1));
                store.resize(longer).unwrap();
                assert!(store[shorter..].iter().all(|&byte| byte == 0), "{shorter} {longer}");
            }
        }
    }

    #[test]
    fn without_access_memory_is_committed_in_steps_that_double() {
        let reservation = Reservation::without_access(1 << 20).unwrap();
        reservation.commit(1).unwrap();
        reservation.commit(65_536).unwrap();
        reservation.commit(65_537).unwrap();
        reservation.commit((1 << 20) - 1).unwrap();
        reservation.commit(1 << 20).unwrap();
    }
}
