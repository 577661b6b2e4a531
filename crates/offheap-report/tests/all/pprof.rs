//! The profile for pprof, read by `libdd-profiling-protobuf`, which has the messages of `profile.proto` for itself.

use std::io::Read;

use libdd_profiling_protobuf::prost_impls::{Message, Profile, Sample};
use offheap_report::Pprof;

use crate::streams;

fn profile(streams: &[String]) -> Profile {
    let mut report = Vec::new();
    streams::read(streams, Pprof::new(&mut report));
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(&report[..]).read_to_end(&mut bytes).expect("gzip");
    Profile::decode(&bytes[..]).expect("profile.proto")
}

fn text(profile: &Profile, number: i64) -> &str {
    &profile.string_table[usize::try_from(number).expect("a number")]
}

/// The functions and lines of a sample's stack, the innermost first.
fn stack<'a>(profile: &'a Profile, sample: &Sample) -> Vec<(&'a str, &'a str, i64)> {
    let frame = |id: &u64| {
        let location = profile.locations.iter().find(|location| location.id == *id).expect("a location");
        let line = location.lines[0];
        let function = profile.functions.iter().find(|function| function.id == line.function_id).expect("a function");
        (text(profile, function.name), text(profile, function.filename), line.line)
    };
    sample.location_ids.iter().map(frame).collect()
}

#[test]
fn it_has_the_values_of_a_heap_profile() {
    let profile = profile(&streams::both());
    let types: Vec<_> =
        profile.sample_types.iter().map(|of| (text(&profile, of.r#type), text(&profile, of.unit))).collect();
    let expected =
        [("alloc_objects", "count"), ("alloc_space", "bytes"), ("inuse_objects", "count"), ("inuse_space", "bytes")];
    assert_eq!(types, expected);
    assert_eq!(text(&profile, profile.default_sample_type), "inuse_space");
    assert_eq!(profile.string_table[0], "");
    assert_eq!((profile.time_nanos, profile.duration_nanos), (4_000_000_000, 5000));
}

#[test]
fn each_stack_has_what_was_made_there_and_what_lives() {
    let profile = profile(&streams::both());
    let of = |kind: &str| {
        let is_of = |sample: &&Sample| sample.labels.iter().any(|label| text(&profile, label.str) == kind);
        let sample = profile.samples.iter().find(is_of).expect("a sample");
        (stack(&profile, sample), sample.values.clone())
    };
    let made = vec![("make", "src/a.rs", 3), ("main", "src/main.rs", 1), ("0x1234", "", 0)];
    assert_eq!(of("fixed"), (made.clone(), vec![1, 100, 1, 100]));
    assert_eq!(of("manual"), (made, vec![1, 40, 0, 0]));
    assert_eq!(of("resizable"), (vec![("src/b.rs:7:1", "src/b.rs", 7)], vec![1, 20, 1, 20]));
    assert_eq!(of("frozen"), (vec![], vec![1, 1000, 1, 1000]));
    // Each sample stands for 2.5 stores.
    let file = streams::HOSTILE.strip_suffix(":1:2").expect("a place");
    assert_eq!(of(streams::HOSTILE), (vec![(streams::HOSTILE, file, 1)], vec![3, 25, 3, 25]));
}

#[test]
fn an_empty_stream_is_a_profile_without_samples() {
    assert!(profile(&[]).samples.is_empty());
}
