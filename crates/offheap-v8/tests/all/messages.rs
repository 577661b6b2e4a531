//! Messages with V8's own serializer, with transferred array buffers, as embedders send them.

use offheap_v8::offheap::{self, BackingStore};
use offheap_v8::{BackingStoreExt, Error, ScopeExt, v8};
use v8::{ValueDeserializerHelper, ValueSerializerHelper};

use crate::common::{isolate, run, set};

struct Plain;

impl v8::ValueSerializerImpl for Plain {
    fn throw_data_clone_error<'s>(&self, scope: &mut v8::PinScope<'s, '_>, message: v8::Local<'s, v8::String>) {
        let error = v8::Exception::error(scope, message);
        scope.throw_exception(error);
    }
}

impl v8::ValueDeserializerImpl for Plain {}

/// The message `{ bytes }` with the block of its buffer, which this isolate no longer has.
fn post(scope: &mut v8::PinScope<'_, '_>) -> (Vec<u8>, v8::SharedRef<v8::BackingStore>) {
    let message = run(scope, "({ bytes: view })");
    let buffer: v8::Local<'_, v8::ArrayBuffer> = run(scope, "view.buffer").try_into().unwrap();
    let serializer = v8::ValueSerializer::new(scope, Box::new(Plain));
    serializer.write_header();
    serializer.transfer_array_buffer(0, buffer);
    assert_eq!(serializer.write_value(scope.get_current_context(), message), Some(true));
    let block = buffer.get_backing_store();
    assert_eq!(buffer.detach(None), Some(true));
    (serializer.release(), block)
}

/// Makes the message's value the global `message`.
fn receive(scope: &mut v8::PinScope<'_, '_>, message: &[u8], block: &v8::SharedRef<v8::BackingStore>) {
    let buffer = v8::ArrayBuffer::with_backing_store(scope, block);
    let deserializer = v8::ValueDeserializer::new(scope, Box::new(Plain), message);
    let context = scope.get_current_context();
    deserializer.transfer_array_buffer(0, buffer);
    assert_eq!(deserializer.read_header(context), Some(true));
    let value = deserializer.read_value(context).unwrap();
    set(scope, "message", value);
}

#[test]
fn a5_a_buffer_in_a_message_is_copied_where_it_was_and_where_it_is_until_it_goes() {
    let (mut first, mut second) = (isolate(), isolate());
    let (store, (message, block)) = first.enter(|scope| {
        scope.eval::<()>("globalThis.view = new Uint8Array([1, 2, 3, 4]); undefined").unwrap();
        let buffer = scope.eval_buffer("view").unwrap();
        (scope.externalize(&buffer).unwrap(), scope.with_v8(post))
    });
    second.enter(|scope| {
        scope.with_v8(|scope| receive(scope, &message, &block));
        drop(block);
        scope.eval::<()>("message.bytes[0] = 9; undefined").unwrap();
        let buffer = scope.eval_buffer("message.bytes").unwrap();
        assert_eq!(scope.externalize(&buffer).unwrap(), store);
        let error = scope.bytes(&buffer).unwrap_err();
        assert!(matches!(error, Error::NotLent { .. }), "{error}");
        let error = scope.with_v8(|scope| store.cells(scope).map(drop)).unwrap_err();
        assert!(matches!(error, Error::Memory(offheap::Error::OtherIsolate { .. })), "{error}");
        assert!(error.to_string().contains("copy its bytes"), "{error}");
    });
    first.enter(|scope| {
        let error = scope.store_bytes(&store).unwrap_err();
        assert!(matches!(error, Error::NotLent { .. }), "{error}");
    });
    assert_eq!(store.to_vec().unwrap(), [9, 2, 3, 4]);
    second.enter(|scope| {
        scope.eval::<()>("delete globalThis.message; undefined").unwrap();
        scope.collect();
    });
    let unique = BackingStore::try_into_unique(store).unwrap();
    assert_eq!(unique[..], [9, 2, 3, 4]);
}
