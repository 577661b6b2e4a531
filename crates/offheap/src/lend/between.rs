//! Copies from one store into another, or from one place of a store to another.

use std::ops::RangeBounds;

use crate::raw::{Copying, load_bytes};
use crate::store::bounds;
use crate::{BackingStore, Error, SharedStore, StoreKind};

/// The bytes that go through the stack at a time, where neither store can be lent as a slice.
const CHUNK: usize = 1024;

impl BackingStore {
    /// Copies the bytes `range` of `from` into these bytes, starting at byte `offset`. The two may be the same store, and the
    /// places may overlap: the result is as if the bytes went through memory of their own. Two maps of one file are two
    /// stores. If the places overlap in the file, bytes that were written may be read again.
    ///
    /// The bytes that are read may be exposed, as for [`copy_to_slice`](Self::copy_to_slice). Those that are written may
    /// not, unless they are shared memory, into which any thread may copy at any time. If there is an error, no byte was
    /// written.
    ///
    /// ```
    /// use offheap::BackingStore;
    ///
    /// let (store, other) = (BackingStore::from_owner(vec![1u8, 2, 3, 4])?, BackingStore::from_owner(vec![8u8, 9])?);
    /// store.copy_from_store(0, &other, 1..)?;
    /// assert_eq!(store.to_vec()?, [9, 2, 3, 4]);
    /// store.copy_from_store(1, &store, ..3)?;
    /// assert_eq!(store.to_vec()?, [9, 9, 2, 3]);
    /// # Ok::<(), offheap::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::OutOfRange`] with the store that has too few bytes. [`Error::Busy`] while a guard or a copy uses the bytes
    /// that would be written, or a guard writes the bytes that would be read; never for shared memory. [`Error::Exposed`]
    /// while an isolate has the unshared bytes that would be written, [`Error::HostMayWrite`] if a host has or had them;
    /// [`Error::ReadOnly`]; [`Error::Freed`];
    /// [`Error::EngineMayShrink`] for a source that is an engine's exposed memory which script may shrink.
    pub fn copy_from_store(
        &self,
        offset: usize,
        from: &BackingStore,
        range: impl RangeBounds<usize>,
    ) -> Result<(), Error> {
        let (start, byte_length) = from.resolve(range)?;
        self.check_writable("write")?;
        match (self.kind().is_shared(), from.kind().is_shared()) {
            (false, _) if self.raw().same_block(from.raw()) => self.move_within(offset, from, start, byte_length),
            (false, _) => {
                let mut into = self.begin_bytes_mut(None)?;
                let into = self.range_of(&mut into, offset, byte_length);
                // A range that lies in neither store is the source's error, as it is for shared memory.
                let into = into.map_err(|error| from.check_range(start, byte_length).err().unwrap_or(error))?;
                from.copy_to_slice(start, into)
            }
            (true, true) => self.store_from_shared(offset, from, start, byte_length),
            (true, false) => self.store_from_unshared(offset, from, start, byte_length),
        }
    }

    /// The start and the length of a range of these bytes. It is compared with their length when it is used, since that may
    /// change until then.
    fn resolve(&self, range: impl RangeBounds<usize>) -> Result<(usize, usize), Error> {
        let (start, end) = bounds(range, self.byte_length());
        match end.checked_sub(start) {
            Some(byte_length) => Ok((start, byte_length)),
            None => Err(self.out_of_range(start, 0)),
        }
    }

    /// A range of these bytes, which are lent.
    fn range_of<'a>(&self, lent: &'a mut [u8], offset: usize, byte_length: usize) -> Result<&'a mut [u8], Error> {
        let range = offset.checked_add(byte_length).and_then(|end| lent.get_mut(offset..end));
        range.ok_or_else(|| self.out_of_range(offset, byte_length))
    }

    /// Moves bytes of one unshared store, while a guard keeps all others away.
    fn move_within(&self, offset: usize, from: &BackingStore, start: usize, byte_length: usize) -> Result<(), Error> {
        let mut whole = BackingStore::unseen(self.raw().clone()).begin_bytes_mut(None)?;
        // Checked under the guard: from here on the length stays.
        from.check_range(start, byte_length)?;
        self.check_range(offset, byte_length)?;
        let start = from.byte_offset() + start;
        whole.copy_within(start..start + byte_length, self.byte_offset() + offset);
        Ok(())
    }

    /// Copies from unshared memory into shared memory.
    fn store_from_unshared(
        &self,
        offset: usize,
        from: &BackingStore,
        start: usize,
        byte_length: usize,
    ) -> Result<(), Error> {
        if matches!(from.kind(), StoreKind::FROZEN | StoreKind::ENGINE_RESIZABLE) {
            let bytes = from.bytes_to_copy()?;
            from.check_range(start, byte_length)?;
            return self.store_shared("write", offset, &bytes[start..start + byte_length]);
        }
        let _copying = Copying::new(from.raw()).map_err(|denied| from.denied("read", None, denied))?;
        from.check_range(start, byte_length)?;
        // SAFETY: I-MAPPED: inside the length that was published last, as just checked.
        let bytes = unsafe { from.data().add(start) };
        self.store_in_chunks(offset, byte_length, false, |position, chunk| {
            // SAFETY: I-MAPPED: `store_in_chunks` asks for bytes inside the length that it was given.
            let bytes = unsafe { bytes.add(position) };
            // SAFETY: I-BORROW: mapped while the mark is set, and `chunk` is memory of this thread.
            unsafe { load_bytes(bytes.as_ptr(), chunk) };
        })
    }

    /// Copies from shared memory into shared memory, which may be the same.
    fn store_from_shared(
        &self,
        offset: usize,
        from: &BackingStore,
        start: usize,
        byte_length: usize,
    ) -> Result<(), Error> {
        let _counted = (self.counted(), from.counted());
        let (bytes, into) =
            (from.atomics_in("read", start, byte_length)?, self.atomics_in("write", offset, byte_length)?);
        // From the end, if the first bytes that are written may be bytes that are still to be read.
        let from_end = into.as_ptr() > bytes.as_ptr();
        self.store_in_chunks(offset, byte_length, from_end, |position, chunk| {
            let bytes = &bytes[position..position + chunk.len()];
            // SAFETY: I-BORROW: mapped while the handle lives, and never lent as a slice; `chunk` is memory of this thread.
            unsafe { load_bytes(bytes.as_ptr().cast(), chunk) };
        })
    }

    /// Writes `byte_length` bytes of shared memory chunk by chunk, from either end. `load` fills each with the bytes from a
    /// position on.
    fn store_in_chunks(
        &self,
        offset: usize,
        byte_length: usize,
        from_end: bool,
        mut load: impl FnMut(usize, &mut [u8]),
    ) -> Result<(), Error> {
        const ATTEMPTED: &str = "write";
        let _counted = self.counted();
        self.atomics_in(ATTEMPTED, offset, byte_length)?;
        let mut chunk = [0; CHUNK];
        let mut done = 0;
        while done < byte_length {
            let chunk = &mut chunk[..CHUNK.min(byte_length - done)];
            let position = if from_end { byte_length - done - chunk.len() } else { done };
            load(position, chunk);
            self.store_shared(ATTEMPTED, offset + position, chunk)?;
            done += chunk.len();
        }
        Ok(())
    }
}

impl SharedStore {
    /// Copies the bytes `range` of `from` into these bytes, starting at byte `offset`. Any thread may do so at any time; see
    /// [`BackingStore::copy_from_store`]. The bytes of a `SharedStore` are copied from its [`as_store`](Self::as_store).
    ///
    /// # Errors
    /// [`Error::OutOfRange`], and those of [`BackingStore::copy_to_slice`] for `from`.
    pub fn copy_from_store(
        &self,
        offset: usize,
        from: &BackingStore,
        range: impl RangeBounds<usize>,
    ) -> Result<(), Error> {
        self.as_store().copy_from_store(offset, from, range)
    }
}
