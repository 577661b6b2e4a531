//! Stores whose length changes and whose address does not.

use crate::raw::{Refused, UniqueRef};
use crate::sys::Reservation;
use crate::{BackingStore, Error, Length, Site, UniqueStore};

impl UniqueStore {
    /// A store of `byte_length` zeroed bytes that can be resized up to `max_byte_length`, at one address: V8's
    /// `NewResizableBackingStore`. It is aligned to a page.
    ///
    /// Only addresses are reserved. Memory is used when bytes are written, and given back by shrinking.
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
    /// assert_eq!(store[..], [7, 7, 0, 0]);                        // bytes that shrinking took come back as zeros
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::MaximumTooSmall`], [`Error::TooLarge`] beyond `isize::MAX` bytes, [`Error::OutOfMemory`].
    #[track_caller]
    pub fn resizable(byte_length: usize, max_byte_length: usize) -> Result<Self, Error> {
        Self::resizable_over(byte_length, max_byte_length, Reservation::new, Site::here())
    }

    /// [`resizable`](Self::resizable) with a function that reserves the addresses.
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

    /// The greatest length that it can have (V8's `MaxByteLength`). That is its present length, unless it is resizable.
    pub fn max_byte_length(&self) -> usize {
        self.raw().max_byte_length()
    }

    /// Changes the length of a [resizable](Self::resizable) store. New bytes are zero, and the address stays the same.
    ///
    /// # Errors
    /// [`Error::NotResizable`], [`Error::AboveMaximum`], [`Error::OutOfMemory`]. The length is unchanged then.
    pub fn resize(&mut self, byte_length: usize) -> Result<(), Error> {
        self.unique_mut().resize(byte_length).map_err(|refused| match refused {
            Refused::Error(error) => error,
            Refused::Denied(denied) => unreachable!("{denied:?}, with one reference and no buffer"),
        })
    }
}

impl BackingStore {
    /// The greatest length that it can have (V8's `MaxByteLength`). That is its present length, unless this is a handle to
    /// all of a resizable or growable store, or of memory that an engine resizes.
    #[inline]
    pub fn max_byte_length(&self) -> usize {
        match self.is_whole() && self.kind().length() != Length::Fixed {
            true => self.raw().max_byte_length(),
            false => self.byte_length(),
        }
    }

    /// Changes the length of a [resizable](UniqueStore::resizable) store, for all handles, while it is exposed nowhere. New
    /// bytes are zero, and the address stays the same. An exposed store is resized through its engine.
    ///
    /// Shrinking zeroes the bytes behind the new length and gives their memory back, so it is refused while a guard lives.
    /// Growing touches no byte that is in use, so guards may live. Copies on other threads may run during both: of bytes
    /// that are being taken they see the old values or zeros.
    ///
    /// # Errors
    /// [`Error::NotResizable`], also for a handle to a part; [`Error::EngineResizes`] for an engine's memory;
    /// [`Error::AboveMaximum`]; [`Error::OutOfMemory`]; [`Error::Exposed`] while an isolate has the store;
    /// [`Error::HostMayWrite`] if a host has or had it; [`Error::Busy`] while another thread resizes it and, to shrink, while a guard lives. The length is unchanged then.
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

    /// With and without a kernel that allows writable reservations.
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
    fn bytes_that_shrinking_took_come_back_as_zeros() {
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
