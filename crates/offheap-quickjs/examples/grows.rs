//! A program that grows, for `docs/find-a-leak.md`: it makes small pictures of frames, and forgets some of them.
//!
//! With `OFFHEAP_LEDGER=full:target/grows.html` in its environment it writes a page that says which.

use std::ops::Range;
use std::sync::Mutex;

use offheap_quickjs::offheap::BackingStore;
use offheap_quickjs::{Error, Isolate, JsArrayBufferView, JsFunction, Local, Scope};

/// The small pictures, to show them again. Nothing ever takes one out.
static SHOWN: Mutex<Vec<BackingStore>> = Mutex::new(Vec::new());

const SCRIPT: &str = "
    const seen = new Map();
    function shrink(frame, number) {
        const pixels = new Uint8Array(frame);
        const small = new Uint8Array(pixels.length / 16);
        for (let i = 0; i < small.length; i++) small[i] = pixels[16 * i];
        if (number % 4 === 0) seen.set(number, frame); // and nothing ever deletes one
        return small;
    }
";

/// Shrinks a frame, by script.
fn shrink(scope: &mut Scope, frame: BackingStore, number: u32) -> Result<BackingStore, Error> {
    let frame = scope.expose(&frame)?;
    let shrink: Local<JsFunction> = scope.global("shrink")?;
    let small: Local<JsArrayBufferView> = scope.call(&shrink, (&frame, number))?;
    scope.externalize(&small)
}

fn shrink_all(scope: &mut Scope, numbers: Range<u32>) -> Result<(), Error> {
    for number in numbers {
        let frame = BackingStore::from_owner(vec![number as u8; 64 << 10])?;
        let small = shrink(scope, frame, number)?;
        SHOWN.lock().unwrap().push(small);
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let ledger = offheap_ledger::install_from_env()?;

    // The table of colours is meant to stay.
    let colours = BackingStore::from_owner(vec![0_u8; 3 * 256])?;
    if let Some(ledger) = ledger {
        ledger.expect_static(&colours);
    }
    std::mem::forget(colours);

    let mut isolate = Isolate::builder().name("thumbnails").build()?;
    isolate.enter(|scope| scope.eval::<()>(SCRIPT))?;
    isolate.enter(|scope| shrink_all(scope, 0..20))?;
    let before = ledger.map(|ledger| ledger.snapshot());
    isolate.enter(|scope| shrink_all(scope, 20..40))?;
    if let (Some(ledger), Some(before)) = (ledger, before) {
        for place in ledger.snapshot().since(&before).sites {
            println!("{}: {:+} bytes, {:+} stores", place.site, place.live_bytes, place.live_stores);
        }
    }
    Ok(())
}
