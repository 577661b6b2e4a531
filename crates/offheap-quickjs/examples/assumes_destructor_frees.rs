//! The first common mistake: assuming that dropping a `ManuallyExternalizedBuffer` frees manual memory.

use offheap_ledger::Level;
use offheap_quickjs::offheap::ManualMemory;
use offheap_quickjs::{Isolate, ManuallyExternalizedBuffer};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let ledger = offheap_ledger::install(Level::Sites)?;
    let mut isolate = Isolate::new()?;
    isolate.enter(|scope| -> Result<(), Box<dyn std::error::Error>> {
        let external_data = ManualMemory::allocate(1024)?;
        let array_buffer = scope.expose(external_data.store())?;
        let internal_buffer = array_buffer.into_handle();
        {
            let managed_buffer = ManuallyExternalizedBuffer::new(internal_buffer)?;
            assert_eq!(managed_buffer.store().byte_length(), 1024);
        } // `managed_buffer` is dropped here: a reference goes, the memory stays.

        // `external_data.free()` is missing.
        Ok(())
    })?;
    drop(isolate);
    println!("{}", ledger.report());
    Ok(())
}
