//! Checks before bytes are used, and the errors for each refusal.

use super::BackingStore;
use crate::raw::{Denied, MAX_BUFFERS, NotTaken, Refused, freed_at};
use crate::{Error, IsolateId, Length, NotUnique, StoreKind};

impl BackingStore {
    /// The number of elements of `T` in that many bytes.
    pub(super) fn element_count<T>(&self, byte_length: usize) -> Result<usize, Error> {
        let (element, element_size) = (std::any::type_name::<T>(), size_of::<T>());
        if element_size == 0 || !byte_length.is_multiple_of(element_size) {
            return Err(Error::PartialElement { store: self.id(), byte_length, element, element_size });
        }
        Ok(byte_length / element_size)
    }

    /// The number of elements of `T` in that many bytes; an error unless this handle's address is aligned for them.
    pub(crate) fn check_elements<T>(&self, byte_length: usize) -> Result<usize, Error> {
        self.check_alignment::<T>()?;
        self.element_count::<T>(byte_length)
    }

    pub(super) fn check_alignment<T>(&self) -> Result<(), Error> {
        let (element, alignment) = (std::any::type_name::<T>(), align_of::<T>());
        match self.data().cast::<T>().is_aligned() {
            true => Ok(()),
            false => Err(Error::Misaligned { store: self.id(), byte_offset: self.byte_offset(), element, alignment }),
        }
    }

    /// Checks that only this handle, one live buffer in `isolate`, and `weak_of_engine` weak handles refer to the memory,
    /// and that [`try_into_unique`](Self::try_into_unique) takes memory of this kind.
    pub(crate) fn check_only_buffer(&self, isolate: IsolateId, weak_of_engine: u32) -> Result<(), Error> {
        if let Some(host) = self.raw().host() {
            return Err(self.of_host("take", host));
        }
        let reason = if !self.is_whole() {
            NotUnique::SubStore
        } else if !self.may_be_unique() {
            NotUnique::Kind
        } else {
            match self.raw().exposure() {
                Some((isolate, buffers)) => {
                    NotUnique::Exposed { isolate, buffers, others: self.raw().others(buffers, weak_of_engine) }
                }
                None => NotUnique::References(self.raw().reference_count()),
            }
        };
        match reason {
            NotUnique::Exposed { isolate: there, buffers: 1, others: 0 } if there == isolate => Ok(()),
            reason => Err(Error::NotUnique { store: self.id(), reason }),
        }
    }

    /// Whether memory of this kind can belong to one reference.
    pub(super) fn may_be_unique(&self) -> bool {
        matches!(self.kind(), StoreKind::FIXED | StoreKind::RESIZABLE)
    }

    /// The present length of the bytes.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a part that is out of bounds.
    #[inline]
    pub(crate) fn present_byte_length(&self) -> Result<usize, Error> {
        self.view.present_byte_length().ok_or_else(|| self.is_beyond())
    }

    /// The error for a part that is out of bounds.
    #[cold]
    pub(crate) fn is_beyond(&self) -> Error {
        let part_byte_length = self.view.end().map_or(0, |end| end - self.view.start());
        self.out_of_range(0, part_byte_length)
    }

    #[inline]
    pub(crate) fn check_range(&self, offset: usize, byte_length: usize) -> Result<(), Error> {
        match offset.checked_add(byte_length) {
            Some(end) if end <= self.byte_length() && !self.is_out_of_bounds() => Ok(()),
            _ => Err(self.out_of_range(offset, byte_length)),
        }
    }

    // Inline and made of plain numbers, so that a result which may contain it stays in registers. That is a tenth of the
    // cost of making a part (`substore` of the benchmark `peers`).
    #[inline(always)]
    pub(crate) fn out_of_range(&self, offset: usize, byte_length: usize) -> Error {
        let (offset, store_byte_length) = self.beyond(offset);
        Error::OutOfRange { store: self.id(), offset, byte_length, store_byte_length }
    }

    /// For a range that does not exist: where it was to begin, and the length that it exceeds.
    #[cold]
    fn beyond(&self, offset: usize) -> (usize, usize) {
        match self.is_out_of_bounds() {
            // Counted in the bytes of the whole store, since the part's own length is 0 now.
            true => (self.byte_offset().saturating_add(offset), self.raw().byte_length()),
            false => (offset, self.byte_length()),
        }
    }

    pub(crate) fn check_sliceable(&self, attempted: &'static str) -> Result<(), Error> {
        match self.kind() {
            StoreKind::MAPPED => Err(Error::MappedSlice { store: self.id(), attempted }),
            kind if kind.is_shared() => Err(Error::SharedSlice { store: self.id(), attempted }),
            _ => Ok(()),
        }
    }

    pub(crate) fn check_writable(&self, attempted: &'static str) -> Result<(), Error> {
        match self.kind().is_read_only() {
            true => Err(Error::ReadOnly { store: self.id(), attempted }),
            false => Ok(()),
        }
    }

    /// For shared memory, whose uses leave no mark in the access word. Uses of other memory find the free there.
    #[inline]
    pub(crate) fn check_not_freed(&self, attempted: &'static str) -> Result<(), Error> {
        match self.raw().is_freed() {
            true => Err(self.denied(attempted, None, Denied::Freed)),
            false => Ok(()),
        }
    }

    /// The error for a step that was refused, tried in `scope` or outside all isolates.
    pub(crate) fn denied(&self, attempted: &'static str, scope: Option<IsolateId>, denied: Denied) -> Error {
        let store = self.id();
        match (denied, scope) {
            (Denied::Busy(holder), _) => Error::Busy { store, attempted, holder },
            (Denied::OfHost { host }, _) => self.of_host(attempted, host),
            (Denied::Exposed { isolate, .. }, scope) if isolate.is_host() && !scope.is_some_and(IsolateId::is_host) => {
                self.of_host(attempted, isolate)
            }
            (Denied::ReadOnlyInHost { host }, _) => Error::ReadOnlyInHost { store, host },
            (Denied::Exposed { isolate, buffers }, Some(requested)) => {
                Error::OtherIsolate { store, attempted, isolate, requested, buffers }
            }
            (Denied::Exposed { isolate, buffers }, None) => {
                // The message for "read" advises a copy, which is refused here too: script may shrink this memory.
                let is_lent = self.kind() == StoreKind::ENGINE_RESIZABLE && attempted == "read";
                let attempted = if is_lent { "lend the bytes of" } else { attempted };
                Error::Exposed { store, attempted, isolate, buffers }
            }
            (Denied::OneBuffer { isolate }, _) => Error::OneBuffer { store, isolate },
            (Denied::TooManyBuffers { isolate }, _) => Error::TooManyBuffers { store, isolate, limit: MAX_BUFFERS },
            (Denied::Freed, _) => Error::Freed { store, attempted, freed: freed_at(self.raw()) },
        }
    }
}

impl BackingStore {
    /// The error for an operation that needs the bytes to itself, on memory that a host has or had.
    #[cold]
    pub(crate) fn of_host(&self, attempted: &'static str, host: IsolateId) -> Error {
        let buffers = self.raw().exposure().map_or(0, |(_, buffers)| buffers);
        Error::HostMayWrite { store: self.id(), attempted, host, buffers }
    }

    /// The error for memory that was not taken back.
    #[cold]
    pub(super) fn not_taken(&self, why: NotTaken) -> Error {
        // A host is named first: the other references may go, and it stays.
        let (count, host) = match why {
            NotTaken::OutOfMemory => return Error::OutOfMemory { requested: crate::CONTROL_BLOCK_BYTES },
            NotTaken::OfHost(host) => (1, Some(host)),
            NotTaken::References(count) => (count, self.host()),
        };
        if let Some(host) = host {
            return self.of_host("take back", host);
        }
        let reason = match self.raw().exposure() {
            Some((isolate, buffers)) => {
                let others = count.saturating_sub(1 + u32::from(buffers));
                NotUnique::Exposed { isolate, buffers, others }
            }
            None => NotUnique::References(count),
        };
        Error::NotUnique { store: self.id(), reason }
    }

    /// The error for an attempt to change the length through a handle to a part.
    pub(crate) fn part_is_not_resizable(&self, attempted: &'static str, requested: usize) -> Error {
        let is_part = match self.kind() {
            kind if kind.is_shared() => self.raw().is_growable(),
            kind => kind.length() != Length::Fixed,
        };
        Error::NotResizable { store: self.id(), attempted, is_part, requested }
    }

    /// The error for a length that did not change.
    pub(crate) fn refused(&self, attempted: &'static str, scope: Option<IsolateId>, refused: Refused) -> Error {
        match refused {
            Refused::Error(error) => error,
            Refused::Denied(denied) => self.denied(attempted, scope, denied),
        }
    }
}
