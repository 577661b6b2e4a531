//! The second common mistake: freeing manual memory twice, once where it was allocated, and once through a
//! `ManuallyExternalizedBuffer`.

use offheap_ledger::Level;
use offheap_quickjs::offheap::{ManualHeap, ManualMemory};
use offheap_quickjs::{Isolate, ManuallyExternalizedBuffer};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let ledger = offheap_ledger::install(Level::Sites)?;
    let mut isolate = Isolate::new()?;
    isolate.enter(|scope| -> Result<(), Box<dyn std::error::Error>> {
        let external_data = ManualMemory::allocate(1024)?;
        let array_buffer = scope.expose(external_data.store())?;
        let internal_buffer = array_buffer.into_handle();
        let managed_buffer = ManuallyExternalizedBuffer::new(internal_buffer)?;
        // Script no longer uses the memory. Before this, a free is refused, and the error names the isolate.
        scope.detach(managed_buffer.buffer(), None)?;

        external_data.free()?;

        let again = ManualHeap::free(managed_buffer.backing_store());
        assert!(again.is_err(), "the second free is refused");
        Ok(())
    })?;
    drop(isolate);
    println!("{}", ledger.report());
    Ok(())
}
