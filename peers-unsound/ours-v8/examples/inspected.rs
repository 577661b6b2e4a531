//! Not prevented by offheap: an inspector session of the crate `v8` runs script through `&self`, without a scope. This
//! program uses one while a guard lives.
//! Seen: SIGSEGV, because no isolate is entered.
#![forbid(unsafe_code)]

use adapter::v8::inspector::{
    Channel, ChannelImpl, StringBuffer, StringView, V8Inspector, V8InspectorClient, V8InspectorClientImpl,
    V8InspectorClientTrustLevel,
};
use adapter::{Isolate, ScopeExt, v8};

struct Silent;

impl V8InspectorClientImpl for Silent {}

impl ChannelImpl for Silent {
    fn send_response(&self, _: i32, _: v8::UniquePtr<StringBuffer>) {}
    fn send_notification(&self, _: v8::UniquePtr<StringBuffer>) {}
    fn flush_protocol_notifications(&self) {}
}

fn main() {
    Isolate::new().unwrap().enter(|scope| {
        let buffer = scope.eval_buffer("globalThis.b = new Uint8Array([7, 7, 7, 7]).buffer").unwrap();
        let nothing = StringView::from(&b""[..]);
        let (_inspector, session) = scope.with_v8(|scope| {
            let inspector = V8Inspector::create(scope, V8InspectorClient::new(Box::new(Silent)));
            inspector.context_created(scope.get_current_context(), 1, nothing, nothing);
            let channel = Channel::new(Box::new(Silent));
            let trust = V8InspectorClientTrustLevel::FullyTrusted;
            let session = inspector.connect(1, channel, StringView::from(&b"{}"[..]), trust);
            (inspector, session)
        });
        let bytes = scope.bytes(&buffer).unwrap();
        let before = bytes[0];
        println!("a &[u8] holds {before}");
        let message = br#"{"id":1,"method":"Runtime.evaluate","params":{"contextId":1,"expression":"new Uint8Array(b).fill(9)"}}"#;
        session.dispatch_protocol_message(StringView::from(&message[..]));
        println!("a &[u8] was {before} and is {}", std::hint::black_box(&bytes)[0]);
    });
}
