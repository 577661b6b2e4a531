//! Moves one `Vec` through V8 and then QuickJS by detaching, without a copy, and gets the same `Vec` back.

use offheap_v8::Isolate;
use offheap_v8::offheap::BackingStore;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let numbers = vec![1.0_f64, 2.0, 3.0];
    let address = numbers.as_ptr();
    let store = BackingStore::from_owner(numbers)?;
    let mut quickjs = offheap_quickjs::Isolate::new()?;
    let mut v8 = Isolate::new()?;

    v8.enter(|scope| -> Result<(), offheap_v8::Error> {
        let buffer = scope.expose(&store)?;
        scope.set_global("numbers", &buffer)?;
        scope.eval::<()>("new Float64Array(numbers).forEach((x, i, all) => { all[i] = x * 10 })")?;

        // If both engines had it at once, there would be two unsynchronized writers.
        let refused = quickjs.enter(|scope| scope.expose(&store).map(drop)).expect_err("V8 has it");
        println!("{refused}");

        scope.detach(&buffer, None)
    })?;
    quickjs.enter(|scope| -> Result<(), offheap_quickjs::Error> {
        let buffer = scope.expose(&store)?;
        scope.set_global("numbers", &buffer)?;
        scope.eval::<()>("new Float64Array(numbers).forEach((x, i, all) => { all[i] = x + 1 })")?;
        scope.detach(&buffer, None)
    })?;

    let numbers: Vec<f64> = store.try_into_unique()?.try_into_owner()?;
    println!("{numbers:?}, the same memory: {}", numbers.as_ptr() == address);
    assert_eq!((&numbers[..], numbers.as_ptr()), (&[11.0, 21.0, 31.0][..], address));
    Ok(())
}
