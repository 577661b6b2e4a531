//! Foreign memory, with a function that frees it.

use std::ffi::c_void;
use std::ptr::NonNull;

use crate::raw::{Owner, UniqueRef};
use crate::{Error, Rejected, Site, StoreKind, UniqueStore};

/// Foreign memory, and the function that frees it.
pub(crate) struct Foreign<F: FnOnce(*mut u8, usize)> {
    data: *mut u8,
    byte_length: usize,
    deleter: Option<F>,
}

impl<F: FnOnce(*mut u8, usize)> Foreign<F> {
    pub(crate) fn new(data: *mut u8, byte_length: usize, deleter: F) -> Self {
        Foreign { data, byte_length, deleter: Some(deleter) }
    }

    pub(crate) fn into_deleter(mut self) -> F {
        self.deleter.take().expect("taken once")
    }
}

impl<F: FnOnce(*mut u8, usize)> Drop for Foreign<F> {
    fn drop(&mut self) {
        if let Some(deleter) = self.deleter.take() {
            // Called for null too, since the deleter may own more than the bytes (V8 skips its deleter then, and leaks
            // that).
            deleter(self.data, self.byte_length);
        }
    }
}

// SAFETY: I-OWNER-SEND: its creator promised that the bytes may be used, and the deleter called, on any thread.
unsafe impl<F: FnOnce(*mut u8, usize) + Send> Send for Foreign<F> {}

// SAFETY: I-OWNER-SEND: the constructors of `UniqueStore` that make one are unsafe and require this contract.
unsafe impl<F: FnOnce(*mut u8, usize) + Send + 'static> Owner for Foreign<F> {
    fn memory(&mut self) -> NonNull<[u8]> {
        let data = NonNull::new(self.data).unwrap_or(NonNull::dangling());
        NonNull::slice_from_raw_parts(data, self.byte_length)
    }
}

/// V8's `BackingStore::DeleterCallback`: called once with the address, the length in bytes and the data that came with it.
pub type DeleterCallback = unsafe extern "C" fn(data: *mut c_void, byte_length: usize, deleter_data: *mut c_void);

impl UniqueStore {
    /// A store over foreign memory. `deleter` is called once, with the same address and length, when the last reference
    /// goes; also if `data` is null, with length 0.
    ///
    /// # Safety
    /// This is the contract of [`Owner`]: until the deleter runs, the `byte_length` bytes at `data` are initialised, mapped
    /// for reading and writing, stay where they are, and are used by no other code.
    ///
    /// # Errors
    /// [`Error::NullData`] for a null address with a length other than 0, [`Error::TooLarge`] beyond `isize::MAX` bytes,
    /// [`Error::OutOfMemory`]. The deleter comes back, and was not called.
    #[track_caller]
    pub unsafe fn from_raw_parts<F>(data: *mut u8, byte_length: usize, deleter: F) -> Result<Self, Rejected<F>>
    where
        F: FnOnce(*mut u8, usize) + Send + 'static,
    {
        if data.is_null() && byte_length != 0 {
            return Err(Rejected::new(Error::NullData { byte_length }, deleter));
        }
        let limit = isize::MAX as usize;
        if byte_length > limit {
            return Err(Rejected::new(Error::TooLarge { requested: byte_length, limit }, deleter));
        }
        let site = Site::here();
        UniqueRef::new(Foreign::new(data, byte_length, deleter), StoreKind::FIXED, site)
            .map(UniqueStore::from_unique)
            .map_err(|(error, foreign)| Rejected::new(error, foreign.into_deleter()))
    }

    /// A store over foreign memory, with a C function that frees it and data for that function: V8's `NewBackingStore(data,
    /// byte_length, deleter, deleter_data)`. The function is called once, with all three, when the last reference goes.
    ///
    /// # Safety
    /// The bytes are as for [`from_raw_parts`](Self::from_raw_parts). `deleter` may be called with these arguments on any
    /// thread, and must not unwind.
    ///
    /// # Errors
    /// [`Error::NullData`] for a null address with a length other than 0, [`Error::TooLarge`] beyond `isize::MAX` bytes,
    /// [`Error::OutOfMemory`]. The deleter is not called then.
    #[track_caller]
    pub unsafe fn from_c(
        data: *mut c_void,
        byte_length: usize,
        deleter: DeleterCallback,
        deleter_data: *mut c_void,
    ) -> Result<Self, Error> {
        struct CDeleter(DeleterCallback, *mut c_void);
        // SAFETY: I-OWNER-SEND: the caller promised that it may be called on any thread.
        unsafe impl Send for CDeleter {}
        impl CDeleter {
            fn call(self, data: *mut u8, byte_length: usize) {
                // SAFETY: I-FREE-ONCE: called once, with the arguments that the caller gave.
                unsafe { (self.0)(data.cast(), byte_length, self.1) }
            }
        }
        let deleter = CDeleter(deleter, deleter_data);
        // SAFETY: I-OWNER-SEND: the caller's promise, passed on.
        let store =
            unsafe { Self::from_raw_parts(data.cast(), byte_length, |data, length| deleter.call(data, length)) };
        store.map_err(Error::from)
    }
}
