//! Streams that several tests read.

use offheap_report::{Sink, Trace, follow};

/// A name that breaks out of any format that does not escape it.
pub(crate) const HOSTILE: &str = "a\"b\\c</script><!--\n\r\u{0}\u{1b}[31m\u{2028}\u{202e}é🦀'`${x}:1:2";

/// Two processes with one number, from two files. The first leaks two stores, has one that is static and frees one; the
/// second was not seen to end, and has hostile names. The stacks are told after the stores.
pub(crate) fn both() -> [String; 2] {
    let first = [
        r#"{"event":"start","version":1,"process":7,"program":"run leak.js","level":"full","unix_milliseconds":5000}"#,
        r#"{"event":"thread","thread":1,"name":"main"}"#,
        r#"{"event":"isolate","isolate":1,"engine":"V8","name":"page"}"#,
        r#"{"event":"created","time":1000,"store":1,"bytes":100,"thread":1,"kind":"fixed","site":"src/a.rs:3:9","stack":1}"#,
        r#"{"event":"exposed","time":1500,"store":1,"isolate":1,"site":"leak.js:1:5"}"#,
        r#"{"event":"created","time":2000,"store":2,"bytes":40,"thread":1,"kind":"manual","site":"src/a.rs:3:9","stack":1}"#,
        r#"{"event":"created","time":2500,"store":3,"bytes":8,"thread":2,"kind":"resizable","site":"src/b.rs:7:1"}"#,
        r#"{"event":"resized","time":3000,"store":3,"bytes":20,"site":"src/b.rs:8:1"}"#,
        r#"{"event":"created","time":3500,"store":4,"bytes":1000,"kind":"frozen"}"#,
        r#"{"event":"static","time":3600,"store":4}"#,
        r#"{"event":"freed","time":4000,"store":2,"thread":2,"site":"src/b.rs:9:1"}"#,
        r#"{"event":"refused","time":4100,"code":"DOUBLE_FREE","message":"freed twice","store":2,"thread":1,"site":"src/c.rs:1:1","earlier":"src/b.rs:9:1","stack":1}"#,
        r#"{"event":"stack","stack":1,"frames":[{"function":"make","site":"src/a.rs:3:9"},{"function":"main","site":"src/main.rs:1:1"},{"address":4660}]}"#,
        r#"{"event":"end","time":5000}"#,
    ];
    let hostile = serde_json::to_string(HOSTILE).expect("a string");
    let second = [
        format!(r#"{{"event":"start","version":1,"process":7,"program":{hostile},"unix_milliseconds":4000}}"#),
        format!(r#"{{"event":"isolate","isolate":1,"engine":{hostile},"name":{hostile}}}"#),
        format!(r#"{{"event":"thread","thread":1,"name":{hostile}}}"#),
        format!(r#"{{"event":"stack","stack":1,"frames":[{{"function":{hostile},"site":{hostile}}}]}}"#),
        format!(
            r#"{{"event":"created","time":10,"store":1,"bytes":10,"weight":2.5,"kind":{hostile},"site":{hostile},"stack":1,"labels":{{{hostile}:{hostile}}}}}"#
        ),
        r#"{"event":"exposed","time":11,"store":1,"isolate":1}"#.to_owned(),
        format!(r#"{{"event":"refused","time":12,"code":{hostile},"message":{hostile},"site":{hostile}}}"#),
        r#"{"event":"freed","time":13,"store":99}"#.to_owned(),
    ];
    [first.join("\n") + "\n", second.join("\n") + "\n"]
}

/// Reads the streams, one file each, into a sink.
pub(crate) fn read(streams: &[String], mut sink: impl Sink) {
    let mut trace = Trace::default();
    for (index, stream) in streams.iter().enumerate() {
        follow(&format!("{index}.jsonl"), stream.as_bytes(), &mut trace, &mut sink).expect("memory takes all");
    }
    sink.finish(&trace).expect("memory takes all");
}
