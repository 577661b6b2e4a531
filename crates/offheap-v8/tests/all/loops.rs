//! Loops that expose and drop. V8 must release the memory in time.

use offheap_v8::offheap::UniqueStore;
use offheap_v8::{BackingStoreExt, ScopeExt, v8};

use crate::common::{Count, in_child, isolate};

const BYTES: usize = 1 << 20;
const TIMES: usize = 1000;
const MOST_RESIDENT: usize = 512 << 20;

fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix("kB")).and_then(|number| number.trim().parse().ok());
    // On systems other than Linux, this test only checks the number of live stores below.
    kibibytes.map_or(0, |kibibytes: usize| kibibytes << 10)
}

fn megabyte(dropped: &Count) -> offheap_v8::offheap::BackingStore {
    let dropped = dropped.clone();
    UniqueStore::from_owner_with_deleter(vec![1_u8; BYTES], move |_, _| dropped.add()).unwrap().into()
}

fn check(dropped: &Count, made: usize) {
    let living = made - dropped.get();
    assert!(living * BYTES < MOST_RESIDENT, "{living} of {made} live");
    assert!(resident_bytes() < MOST_RESIDENT, "{} bytes", resident_bytes());
}

#[test]
fn a_thousand_megabytes_through_one_scope() {
    let Some(output) = in_child("loops::a_thousand_megabytes_through_one_scope") else {
        let dropped = Count::default();
        isolate().enter(|scope| {
            for made in 0..TIMES {
                drop(scope.expose(&megabyte(&dropped)).unwrap());
                check(&dropped, made + 1);
            }
        });
        assert_eq!(dropped.get(), TIMES);
        return;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_thousand_megabytes_through_nested_scopes() {
    let Some(output) = in_child("loops::a_thousand_megabytes_through_nested_scopes") else {
        let dropped = Count::default();
        let (mut outer, mut inner) = (isolate(), isolate());
        outer.enter(|scope| {
            for made in 0..TIMES / 4 {
                drop(scope.expose(&megabyte(&dropped)).unwrap());
                inner.enter(|other| drop(other.expose(&megabyte(&dropped)).unwrap()));
                // Script makes this buffer, and native code externalizes it.
                let source = format!("new ArrayBuffer({BYTES})");
                let buffer = scope.eval_buffer(&source).unwrap();
                drop(scope.externalize(&buffer).unwrap());
                drop(buffer);
                scope.with_v8(|scope| {
                    v8::scope!(let scope, scope);
                    megabyte(&dropped).expose(scope).unwrap();
                });
                check(&dropped, made * 3 + 3);
            }
        });
        drop((outer, inner));
        assert_eq!(dropped.get(), TIMES / 4 * 3);
        return;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
