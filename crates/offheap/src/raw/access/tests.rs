use super::*;

fn id(bits: u16) -> IsolateId {
    IsolateId::from_bits(bits).expect("not zero")
}

#[test]
fn a_writer_excludes_all_others() {
    let word = AccessWord::new();
    word.begin_write(None).unwrap();
    assert_eq!(word.begin_copy(), Err(Denied::Busy(Holder::Writer)));
    assert_eq!(word.begin_read(None), Err(Denied::Busy(Holder::Writer)));
    assert_eq!(word.begin_write(None), Err(Denied::Busy(Holder::Writer)));
    assert_eq!(word.expose(id(1), false), Err(Denied::Busy(Holder::Writer)));
    assert_eq!(word.free(), Err(Denied::Busy(Holder::Writer)));
    word.end_write();
    word.begin_copy().unwrap();
    assert_eq!(word.begin_write(None), Err(Denied::Busy(Holder::Readers(1))));
}

#[test]
fn a_guard_outside_all_isolates_excludes_exposing_and_a_copy_does_not() {
    let word = AccessWord::new();
    word.begin_read(None).unwrap();
    assert_eq!(word.expose(id(7), false), Err(Denied::Busy(Holder::Readers(1))));
    word.end_read();
    word.begin_copy().unwrap();
    word.expose(id(7), false).unwrap();
    word.end_copy();
    assert_eq!(word.exposure(), Some((id(7), 1)));
}

#[test]
fn one_isolate_at_a_time() {
    let word = AccessWord::new();
    word.expose(id(7), false).unwrap();
    word.expose(id(7), false).unwrap();
    assert_eq!(word.expose(id(8), false), Err(Denied::Exposed { isolate: id(7), buffers: 2 }));
    assert_eq!(word.begin_read(None), Err(Denied::Exposed { isolate: id(7), buffers: 2 }));
    assert_eq!(word.begin_write(Some(id(8))), Err(Denied::Exposed { isolate: id(7), buffers: 2 }));
    word.begin_write(Some(id(7))).unwrap();
    word.end_write();
    word.withdraw();
    assert_eq!(word.exposure(), Some((id(7), 1)));
    word.withdraw();
    word.expose(id(8), true).unwrap();
    assert_eq!(word.expose(id(8), true), Err(Denied::OneBuffer { isolate: id(8) }));
}

#[test]
fn buffers_are_counted_up_to_the_limit() {
    let word = AccessWord::new();
    let last = id(FIRST_HOST - 1);
    for _ in 0..MAX_BUFFERS {
        word.expose(last, false).unwrap();
    }
    assert_eq!(word.expose(last, false), Err(Denied::TooManyBuffers { isolate: last }));
    for _ in 0..MAX_BUFFERS {
        word.withdraw();
    }
    assert_eq!(word.exposure(), None);
    assert_eq!(word.free(), Ok(()));
}

#[test]
fn the_mark_of_each_host_stays_and_freed_is_no_host() {
    for bits in [FIRST_HOST, u16::MAX - 1] {
        let (word, host) = (AccessWord::new(), id(bits));
        assert_eq!((word.host(), word.is_freed()), (None, false));
        word.expose(host, false).unwrap();
        assert_eq!((word.host(), word.exposure(), word.is_freed()), (Some(host), Some((host, 1)), false));
        assert_eq!(word.end_host(), Err(Denied::Exposed { isolate: host, buffers: 1 }));
        word.withdraw();
        assert_eq!((word.host(), word.exposure()), (Some(host), None));
        assert_eq!(word.free(), Err(Denied::OfHost { host }));
        assert_eq!(word.begin_resize(None, false), Err(Denied::OfHost { host }));
        assert_eq!(word.end_only_group(), Err(Denied::OfHost { host }));
        word.end_host().unwrap();
        assert_eq!((word.host(), word.is_untouched()), (None, false));
        word.free().unwrap();
        assert_eq!((word.host(), word.end_host()), (None, Err(Denied::Freed)));
    }
}

#[test]
fn freed_is_for_good() {
    let word = AccessWord::new();
    word.free().unwrap();
    assert_eq!(word.free(), Err(Denied::Freed));
    assert_eq!(word.begin_copy(), Err(Denied::Freed));
    assert_eq!(word.begin_read(None), Err(Denied::Freed));
    assert_eq!(word.expose(id(1), false), Err(Denied::Freed));
    assert_eq!(word.exposure(), None);
}

#[test]
fn guards_are_counted_up_to_the_limit() {
    let word = AccessWord::new();
    for _ in 0..0xfff {
        word.begin_read(None).unwrap();
    }
    assert_eq!(word.begin_read(None), Err(Denied::Busy(Holder::Readers(0xfff))));
    for _ in 0..0xfff {
        word.end_read();
    }
    word.begin_write(None).unwrap();
}

#[test]
fn the_engines_own_buffer_exposes_a_block_and_does_not_keep_it() {
    let (word, host) = (AccessWord::new(), id(FIRST_HOST));
    word.expose_to_engine(host);
    assert_eq!((word.exposure(), word.engine(), word.host()), (Some((host, 1)), Some(host), Some(host)));
    assert_eq!(word.begin_read(None), Err(Denied::Exposed { isolate: host, buffers: 1 }));
    assert_eq!(word.expose(host, false), Err(Denied::OneBuffer { isolate: host }));
    assert_eq!(word.expose(id(7), false), Err(Denied::Exposed { isolate: host, buffers: 1 }));
    assert_eq!(word.end_host(), Err(Denied::Exposed { isolate: host, buffers: 1 }));
    assert!(!word.is_untouched() && !word.has_one_group(0));
    assert!(word.end_only_group().is_err());
    assert!(word.end_group() && !word.begin_group(), "it keeps nothing");
}

#[test]
fn the_engines_own_buffer_ends_once() {
    let (word, isolate) = (AccessWord::new(), id(7));
    word.expose_to_engine(isolate);
    word.expose(isolate, false).unwrap();
    assert_eq!(word.exposure(), Some((isolate, 2)));
    assert_eq!(word.withdraw().unexposed, None);
    assert_eq!((word.count_engine(), word.engine(), word.exposure()), (Some(isolate), None, Some((isolate, 1))));
    assert_eq!(word.count_engine(), None);
    assert_eq!(word.withdraw().unexposed, Some(isolate));
    assert_eq!(word.exposure(), None);
}

#[test]
fn the_engines_own_buffer_is_one_of_the_buffers_that_can_be_counted() {
    let (word, isolate) = (AccessWord::new(), id(7));
    word.expose_to_engine(isolate);
    for _ in 1..MAX_BUFFERS {
        word.expose(isolate, false).unwrap();
    }
    assert_eq!(word.expose(isolate, false), Err(Denied::TooManyBuffers { isolate }));
    assert_eq!(word.count_engine(), Some(isolate));
    assert_eq!(word.expose(isolate, false), Err(Denied::TooManyBuffers { isolate }));
    assert_eq!((word.engine(), word.exposure()), (None, Some((isolate, MAX_BUFFERS))));
    assert!(!word.end_group(), "there are buffers");
}
