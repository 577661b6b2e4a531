//! Puts in a 1,024-byte buffer, and prints the handle, the store, the reference count and the pointer.

use offheap_quickjs::{Isolate, ManuallyExternalizedBuffer};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut isolate = Isolate::new()?;
    isolate.enter(|scope| -> Result<(), Box<dyn std::error::Error>> {
        let my_buffer = scope.eval_buffer("globalThis.myBuffer = new ArrayBuffer(1024)")?;

        let managed_buffer = ManuallyExternalizedBuffer::new(my_buffer.into_handle())?;

        let handle = managed_buffer.buffer();
        let store = managed_buffer.store();
        println!("handle:          {}, {} bytes", handle.isolate(), scope.state(handle)?.byte_length);
        println!("store:           {}, {} bytes", store.kind(), store.byte_length());
        println!("reference count: {} (script's buffer, this one)", store.reference_count());

        scope.eval::<()>("new Uint8Array(myBuffer)[0] = 42; myBuffer = undefined")?;
        let pointer = managed_buffer.backing_store();
        println!("pointer:         the same as the store's: {}", pointer == store.as_ptr());
        println!("first byte:      {} (written by script)", store.to_vec()?[0]);

        scope.detach(managed_buffer.buffer(), None)?;
        println!("once detached:   {} reference, first byte still {}", store.reference_count(), store.to_vec()?[0]);
        Ok(())
    })
}
