//! Native functions that script calls with buffers. Each has a scope of its own, in which it borrows the bytes of script
//! as a slice, without a copy and without `unsafe`. The compiler ends the slice before script can run again.

use offheap_quickjs::offheap::BackingStore;
use offheap_quickjs::{Error, Isolate, JsArrayBufferView, Local, Scope, Source};

const SCRIPT: &str = "
    const samples = new Float32Array([3, -1, 4, -1, 5]);
    print(`checksum of all: ${checksum(samples)}, of two: ${checksum(samples.subarray(1, 3))}`);

    const loud = amplify(samples, 2);
    print(`${loud.constructor.name} ${loud.join(' ')}`);

    const failing = [
        () => amplify(samples, -1),
        () => amplify(samples, 'twice'),
        () => { samples.buffer.transfer(); checksum(samples) },
    ];
    for (const fail of failing) {
        try {
            fail();
        } catch (error) {
            if (error.code === undefined) throw error; // not of a native function
            print(`${error.name} ${error.code}: ${error.message}`);
        }
    }
";

fn define(scope: &mut Scope) -> Result<(), Error> {
    // Reads the bytes that script has. This is the sum of bytes as in Adler-32.
    let checksum = scope.function("checksum", |scope, arguments| {
        let view: Local<JsArrayBufferView> = arguments.get(scope, 0)?;
        let bytes = scope.bytes(&view)?; // a `&[u8]`
        let (low, high) = bytes.iter().fold((1, 0), |(low, high), &byte| {
            let low = (low + u32::from(byte)) % 65_521;
            (low, (high + low) % 65_521)
        });
        Ok((high << 16 | low).into())
    })?;
    scope.set_global("checksum", &checksum)?;

    // Returns a `Vec` as a `Float32Array` over the `Vec`'s own memory. Script catches the error by its `code`.
    let amplify = scope.function("amplify", |scope, arguments| {
        let samples: Local<JsArrayBufferView> = arguments.get(scope, 0)?;
        let factor: f64 = arguments.get(scope, 1)?;
        if factor < 0.0 {
            return Err(Error::function(format!("a factor cannot be negative, and this is {factor}")));
        }
        let mut samples = scope.externalize(&samples)?.copy_out::<f32>()?;
        samples.iter_mut().for_each(|sample| *sample *= factor as f32);
        Ok(scope.expose_as::<f32>(&BackingStore::from_owner(samples)?)?.into())
    })?;
    scope.set_global("amplify", &amplify)?;

    let print = scope.function("print", |scope, arguments| {
        println!("{}", arguments.get::<String>(scope, 0)?);
        Ok(().into())
    })?;
    scope.set_global("print", &print)
}

fn main() -> Result<(), Error> {
    Isolate::new()?.enter(|scope| {
        define(scope)?;
        scope.eval(Source::named("script.js", SCRIPT))
    })
}
