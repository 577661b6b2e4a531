//! The functions of the host's V8, by their names. The names say the types of the arguments, and which C++ library the
//! host was built with: `St10shared_ptr` is libstdc++'s `shared_ptr`. libc++ has other names, which are not found.
//!
//! All of them are in Node 20 to 26. An object other than the one that has Node-API may have another V8: its functions are
//! not used.

use std::ffi::{CStr, c_char, c_void};
use std::fmt;

use super::object::object_of;
use super::shared_ptr::{ByAddress, RawSharedPtr};

/// A handle of V8, an isolate, or a block.
pub(crate) type Pointer = *mut c_void;

/// V8's `BackingStore::DeleterCallback`.
pub(crate) type Deleter = unsafe extern "C" fn(data: Pointer, byte_length: usize, deleter_data: Pointer);

/// Why there are no functions of V8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotFound {
    /// The names and the layouts were tried on Linux x86-64 only.
    Platform,
    /// The process has no Node-API.
    NodeApi,
    /// This function is missing, or is in another object than Node-API.
    Function(&'static CStr),
}

impl fmt::Display for NotFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotFound::Platform => f.write_str("V8's functions were tried on Linux x86-64 only"),
            NotFound::NodeApi => f.write_str("the process has no Node-API"),
            NotFound::Function(name) => write!(f, "the host has no function {}", name.to_string_lossy()),
        }
    }
}

macro_rules! functions {
    ($($(#[$doc:meta])* $field:ident = $name:literal: fn($($argument:ty),*) $(-> $result:ty)?;)*) => {
        /// V8's functions. The first argument of a method is its object; a `Local` is the address of a slot.
        #[derive(Clone, Copy)]
        pub(crate) struct Functions {
            $($(#[$doc])* pub(crate) $field: unsafe extern "C" fn($($argument),*) $(-> $result)?,)*
        }

        impl Functions {
            /// Looks all functions up. None of them is called.
            pub(crate) fn look_up() -> Result<Self, NotFound> {
                if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
                    return Err(NotFound::Platform);
                }
                let node_api = find(c"napi_create_function").ok_or(NotFound::NodeApi)?;
                let host = object_of(node_api.addr()).ok_or(NotFound::NodeApi)?;
                Ok(Functions {
                    $($field: {
                        let address = find($name).ok_or(NotFound::Function($name))?;
                        // `operator delete` is the C++ library's, which may be an object of its own.
                        if $name != c"_ZdlPv" && !host.contains(&address.addr()) {
                            return Err(NotFound::Function($name));
                        }
                        // SAFETY: I-LAYOUT: a function of this name has these arguments. Its result is not in the name;
                        // it has been this one in every version of V8 that has the name.
                        unsafe {
                            std::mem::transmute::<Pointer, unsafe extern "C" fn($($argument),*) $(-> $result)?>(address)
                        }
                    },)*
                })
            }

            /// Functions that end the process, for tests to replace some of them.
            #[cfg(test)]
            pub(crate) fn of_a_test() -> Self {
                unsafe extern "C" fn called() {
                    std::process::abort()
                }
                Functions {
                    $($field: {
                        let address = called as *const () as Pointer;
                        // SAFETY: I-LAYOUT: whatever the arguments are, it uses none and does not return.
                        unsafe {
                            std::mem::transmute::<Pointer, unsafe extern "C" fn($($argument),*) $(-> $result)?>(address)
                        }
                    },)*
                }
            }
        }
    };
}

functions! {
    /// `V8::GetVersion`
    version = c"_ZN2v82V810GetVersionEv": fn() -> *const c_char;
    /// `Isolate::TryGetCurrent`
    current_isolate = c"_ZN2v87Isolate13TryGetCurrentEv": fn() -> Pointer;
    /// `Value::IsArrayBuffer`
    is_array_buffer = c"_ZNK2v85Value13IsArrayBufferEv": fn(Pointer) -> bool;
    /// `Value::IsSharedArrayBuffer`
    is_shared_array_buffer = c"_ZNK2v85Value19IsSharedArrayBufferEv": fn(Pointer) -> bool;
    /// `Value::IsArrayBufferView`
    is_view = c"_ZNK2v85Value17IsArrayBufferViewEv": fn(Pointer) -> bool;
    /// `ArrayBufferView::Buffer`. It is a SharedArrayBuffer if the view is of one.
    view_buffer = c"_ZN2v815ArrayBufferView6BufferEv": fn(Pointer) -> Pointer;
    /// `ArrayBufferView::ByteOffset`
    view_byte_offset = c"_ZN2v815ArrayBufferView10ByteOffsetEv": fn(Pointer) -> usize;
    /// `ArrayBufferView::ByteLength`
    view_byte_length = c"_ZN2v815ArrayBufferView10ByteLengthEv": fn(Pointer) -> usize;
    /// `ArrayBuffer::Data`
    buffer_data = c"_ZNK2v811ArrayBuffer4DataEv": fn(Pointer) -> Pointer;
    /// `ArrayBuffer::ByteLength`
    buffer_byte_length = c"_ZNK2v811ArrayBuffer10ByteLengthEv": fn(Pointer) -> usize;
    /// `ArrayBuffer::IsDetachable`
    is_detachable = c"_ZNK2v811ArrayBuffer12IsDetachableEv": fn(Pointer) -> bool;
    /// `ArrayBuffer::WasDetached`
    was_detached = c"_ZNK2v811ArrayBuffer11WasDetachedEv": fn(Pointer) -> bool;
    /// `SharedArrayBuffer::ByteLength`
    shared_buffer_byte_length = c"_ZNK2v817SharedArrayBuffer10ByteLengthEv": fn(Pointer) -> usize;
    /// `ArrayBuffer::GetBackingStore`
    block = c"_ZN2v811ArrayBuffer15GetBackingStoreEv": fn(Pointer) -> ByAddress;
    /// `SharedArrayBuffer::GetBackingStore`
    shared_block = c"_ZN2v817SharedArrayBuffer15GetBackingStoreEv": fn(Pointer) -> ByAddress;
    /// `ArrayBuffer::NewBackingStore(data, byte_length, deleter, deleter_data)`
    new_block = c"_ZN2v811ArrayBuffer15NewBackingStoreEPvmPFvS1_mS1_ES1_":
        fn(Pointer, usize, Deleter, Pointer) -> ByAddress;
    /// `SharedArrayBuffer::NewBackingStore(data, byte_length, deleter, deleter_data)`
    new_shared_block = c"_ZN2v817SharedArrayBuffer15NewBackingStoreEPvmPFvS1_mS1_ES1_":
        fn(Pointer, usize, Deleter, Pointer) -> ByAddress;
    /// `ArrayBuffer::NewResizableBackingStore(byte_length, max_byte_length)`, for the self-test
    new_resizable_block = c"_ZN2v811ArrayBuffer24NewResizableBackingStoreEmm": fn(usize, usize) -> ByAddress;
    /// `ArrayBuffer::New(isolate, block)`
    new_buffer = c"_ZN2v811ArrayBuffer3NewEPNS_7IsolateESt10shared_ptrINS_12BackingStoreEE":
        fn(Pointer, *mut RawSharedPtr) -> Pointer;
    /// `SharedArrayBuffer::New(isolate, block)`
    new_shared_buffer = c"_ZN2v817SharedArrayBuffer3NewEPNS_7IsolateESt10shared_ptrINS_12BackingStoreEE":
        fn(Pointer, *mut RawSharedPtr) -> Pointer;
    /// `BackingStore::Data`
    block_data = c"_ZNK2v812BackingStore4DataEv": fn(Pointer) -> Pointer;
    /// `BackingStore::ByteLength`
    block_byte_length = c"_ZNK2v812BackingStore10ByteLengthEv": fn(Pointer) -> usize;
    /// `BackingStore::MaxByteLength`
    block_max_byte_length = c"_ZNK2v812BackingStore13MaxByteLengthEv": fn(Pointer) -> usize;
    /// `BackingStore::IsShared`
    block_is_shared = c"_ZNK2v812BackingStore8IsSharedEv": fn(Pointer) -> bool;
    /// `BackingStore::IsResizableByUserJavaScript`
    block_is_resizable = c"_ZNK2v812BackingStore27IsResizableByUserJavaScriptEv": fn(Pointer) -> bool;
    /// `BackingStore::~BackingStore`
    destroy_block = c"_ZN2v812BackingStoreD1Ev": fn(Pointer);
    /// `operator delete(void*)`
    operator_delete = c"_ZdlPv": fn(Pointer);
}

/// The address of the first function of this name in the process.
fn find(name: &CStr) -> Option<Pointer> {
    // SAFETY: I-LAYOUT: it reads the name, and calls nothing.
    let address = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    (!address.is_null()).then_some(address)
}

/// Whether the address is in the object that has Node-API.
pub(crate) fn is_of_the_host(address: usize) -> bool {
    let host = find(c"napi_create_function").and_then(|node_api| object_of(node_api.addr()));
    host.is_some_and(|host| host.contains(&address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_without_node_api_has_no_functions_of_v8() {
        assert!(matches!(Functions::look_up(), Err(NotFound::NodeApi)));
    }
}
