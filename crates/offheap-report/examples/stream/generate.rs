//! Streams such as programs write: of each kind that a report has to make sense of.

use std::io::{self, Write};

use fastrand::Rng;
use offheap_report::format::{
    Buffers, Change, Created, End, Event, Frame, Holders, Isolate, Labels, Line, Reference, Refused, Stack, Start,
    Thread, VERSION,
};

/// Every kind that [`stream`] knows.
pub(crate) const KINDS: [&str; 9] =
    ["program", "leak", "balanced", "empty", "cut", "counts", "processes", "samples", "hostile"];

/// The places of the program, from the most frequent on: function, place, kind of memory, size, mean life in
/// milliseconds, whether script made it.
const PLACES: [(&str, &str, &str, u64, u64, bool); 8] = [
    ("decode_packet", "src/video/decode.rs:118:21", "fixed", 18_432, 12, false),
    ("renderFrame", "app/render.js:42:17", "fixed", 4_096, 35, true),
    ("Tile::load", "src/map/tiles.rs:77:13", "frozen", 262_144, 900, false),
    ("parseRows", "app/import.js:203:9", "resizable", 65_536, 120, true),
    ("read_file", "src/input.rs:31:18", "mapped", 1_048_576, 2_500, false),
    ("makeThumbnail", "app/images.js:88:20", "fixed", 307_200, 300, true),
    ("shared_counters", "src/workers.rs:54:9", "shared", 65_536, 6_000, false),
    ("Atlas::grow", "src/map/atlas.rs:140:25", "manual", 4_194_304, 9_000, false),
];

const MILLISECOND: u64 = 1_000_000;

/// Writes a stream of this kind with about this many events.
pub(crate) fn stream(out: &mut impl Write, kind: &str, events: u64) -> io::Result<()> {
    let mut program =
        Program { out, rng: Rng::with_seed(7), time: 0, store: 0, reference: 0, end: Ending::Leaks, weight: None };
    match kind {
        "empty" => program.start(4242, "offheap run examples/hello.js", "full", None),
        "counts" => {
            program.start(4242, "offheap run --ledger=counts examples/image.js", "counts", None)?;
            program.line(Event::End(End { time: 3_000 * MILLISECOND, leaks: None }))
        }
        "processes" => {
            for (number, name) in [(310, "map-server --port 8080"), (311, "map-worker 1"), (312, "map-worker 2")] {
                program.time = 0;
                program.end = if number == 312 { Ending::Cut } else { Ending::Leaks };
                program.run(number, name, events / 3)?;
            }
            Ok(())
        }
        "samples" => {
            program.weight = Some(17.25);
            program.run(4242, "map-server --port 8080", events)
        }
        "cut" => {
            program.end = Ending::Cut;
            program.run(4242, "map-server --port 8080", events)?;
            program.out.write_all(br#"{"event":"created","time":91"#)
        }
        "leak" => program.leak(),
        "balanced" => program.balanced(),
        "hostile" => program.hostile(),
        _ => program.run(4242, "map-server --port 8080", events),
    }
}

struct Program<'a, W> {
    out: &'a mut W,
    rng: Rng,
    time: u64,
    store: u64,
    reference: u64,
    end: Ending,
    weight: Option<f64>,
}

/// How a program ends.
#[derive(PartialEq)]
enum Ending {
    /// In order, with some stores forgotten.
    Leaks,
    /// It goes on with everything freed.
    Frees,
    /// In the middle.
    Cut,
}

/// A store that waits for its end.
struct Waiting {
    until: u64,
    store: u64,
    isolate: Option<u64>,
    place: usize,
}

impl<W: Write> Program<'_, W> {
    fn line(&mut self, event: Event) -> io::Result<()> {
        serde_json::to_writer(&mut *self.out, &Line::from(event))?;
        self.out.write_all(b"\n")
    }

    fn start(&mut self, process: u64, program: &str, level: &str, sample: Option<u64>) -> io::Result<()> {
        let labels = Labels::from([("host".to_owned(), "build-7".to_owned())]);
        let start = Start {
            version: VERSION,
            program: Some(program.to_owned()),
            level: Some(level.to_owned()),
            sample_bytes: sample,
            unix_milliseconds: Some(1_764_000_000_000 + process * 250),
            labels,
        };
        let line = Line { process: Some(process), event: Event::Start(start) };
        serde_json::to_writer(&mut *self.out, &line)?;
        self.out.write_all(b"\n")
    }

    /// Names of threads, isolates and stacks.
    fn names(&mut self) -> io::Result<()> {
        for (thread, name) in [(1, "main"), (2, "decoder"), (3, "worker-1")] {
            self.line(Event::Thread(Thread { thread, name: name.to_owned() }))?;
        }
        for (isolate, engine, name) in [(1, "V8", "render"), (2, "V8", "import"), (3, "QuickJS", "plugins")] {
            let isolate = Isolate { isolate, engine: engine.to_owned(), name: Some(name.to_owned()) };
            self.line(Event::Isolate(isolate))?;
        }
        for (number, (function, site, .., is_script)) in PLACES.iter().enumerate() {
            let mut frames = vec![frame(function, site)];
            if *is_script {
                frames.push(frame("onFrame", "app/main.js:19:3"));
                frames.push(frame("v8::Function::call", "src/script.rs:212:30"));
            } else {
                frames.push(frame("map_server::pump", "src/main.rs:96:14"));
                frames.push(Frame { address: Some(0x55d0_1f3a_2b10), ..Frame::default() });
            }
            frames.push(frame("map_server::main", "src/main.rs:41:5"));
            self.line(Event::Stack(Stack { stack: number as u64 + 1, frames }))?;
        }
        Ok(())
    }

    fn create(&mut self, place: usize, bytes: u64) -> io::Result<u64> {
        let (_, site, kind, ..) = PLACES[place];
        self.store += 1;
        let thread = Some(self.rng.u64(1..=3));
        self.line(Event::Created(Created {
            time: self.time,
            store: self.store,
            bytes,
            thread,
            kind: Some(kind.to_owned()),
            site: Some(site.to_owned()),
            stack: Some(place as u64 + 1),
            weight: self.weight,
            labels: Labels::new(),
        }))?;
        Ok(self.store)
    }

    fn change(&mut self, store: u64, isolate: Option<u64>, make: fn(Change) -> Event, site: &str) -> io::Result<()> {
        let (time, site) = (self.time, Some(site.to_owned()));
        let thread = Some(self.rng.u64(1..=3));
        self.line(make(Change { time, store, isolate, site, thread, ..Change::default() }))
    }

    /// A server that works for a while: most stores go to an engine and are freed; a few are forgotten.
    fn run(&mut self, process: u64, name: &str, events: u64) -> io::Result<()> {
        let sample = self.weight.map(|_| 524_288);
        self.start(process, name, if sample.is_some() { "sites" } else { "full" }, sample)?;
        self.names()?;
        let mut waiting: Vec<Waiting> = Vec::new();
        let (mut written, mut made) = (0, 0u64);
        let mut wave = 0.0_f64;
        while written < events {
            wave += 0.002;
            self.time += self.rng.u64(MILLISECOND / 20..MILLISECOND * 2);
            let place = (self.rng.u64(0..8) * self.rng.u64(0..9) / 8) as usize;
            let (_, site, _, size, life, is_script) = PLACES[place];
            let busy = 1.2 + wave.sin();
            let bytes = (size as f64 * busy * (0.5 + self.rng.f64())) as u64 & !63;
            let store = self.create(place, bytes)?;
            made += 1;
            written += 1;
            let isolate = (is_script || place == 2).then(|| if place == 2 { 3 } else { 1 + store % 2 });
            if isolate.is_some() {
                self.time += 900;
                self.change(store, isolate, Event::Exposed, site)?;
                written += 1;
            }
            if place == 3 && store.is_multiple_of(3) {
                self.time += 40_000;
                let change = Change { time: self.time, store, bytes: Some(bytes * 2), isolate, ..Change::default() };
                self.line(Event::Resized(change))?;
                written += 1;
            }
            // Every thousandth store of an atlas is forgotten.
            let life = if made % 1_000 == 777 { u64::MAX / 2 } else { self.rng.u64(life / 2..life * 2) * MILLISECOND };
            waiting.push(Waiting { until: self.time.saturating_add(life), store, isolate, place });
            let mut due = Vec::new();
            waiting.retain(|it| {
                it.until > self.time || {
                    due.push((it.store, it.isolate, it.place));
                    false
                }
            });
            for (store, isolate, place) in due {
                written += self.end_of(store, isolate, place)?;
            }
        }
        if self.end != Ending::Cut {
            for it in waiting {
                if self.end == Ending::Frees || it.until < u64::MAX / 4 {
                    self.time += MILLISECOND / 2;
                    self.end_of(it.store, it.isolate, it.place)?;
                } else {
                    let buffers = it.isolate.map(|_| Buffers { isolate: it.isolate, count: 1, ..Buffers::default() });
                    let (time, store) = (self.time, it.store);
                    let references = Some(u64::from(buffers.is_none()));
                    let buffers = buffers.into_iter().collect();
                    self.line(Event::Holders(Holders { time, store, references, buffers, ..Holders::default() }))?;
                }
            }
        }
        if self.end == Ending::Leaks {
            self.line(Event::End(End { time: self.time, leaks: None }))?;
        }
        Ok(())
    }

    fn end_of(&mut self, store: u64, isolate: Option<u64>, place: usize) -> io::Result<u64> {
        let site = PLACES[place].1;
        if isolate.is_some() {
            self.change(store, isolate, Event::Released, "")?;
        }
        self.time += 300;
        self.change(store, None, Event::Freed, site)?;
        Ok(1 + u64::from(isolate.is_some()))
    }

    /// A program with each kind of leak and error that has a name.
    fn leak(&mut self) -> io::Result<()> {
        self.end = Ending::Frees;
        self.run(4242, "offheap run --ledger=full examples/leak.js", 1_500)?;
        for (place, count, isolate, path) in [
            (5, 3, Some(1), vec!["globalThis", ".cache", "Map entry \"thumb:17\"", ".pixels", "Uint8Array"]),
            (7, 1, None, vec![]),
            (2, 12, Some(3), vec!["globalThis", ".tiles", "[3]"]),
        ] {
            for _ in 0..count {
                self.time += 9 * MILLISECOND;
                let store = self.create(place, PLACES[place].3)?;
                if isolate.is_some() {
                    self.change(store, isolate, Event::Exposed, PLACES[place].1)?;
                }
                self.reference += 1;
                let taken = Reference {
                    time: self.time + 500,
                    store,
                    reference: self.reference,
                    from: Some(0),
                    to: Some(4_096),
                    thread: Some(2),
                    site: Some("src/video/queue.rs:64:30".to_owned()),
                };
                self.line(Event::Referenced(taken))?;
                if place == 2 {
                    self.line(Event::Dropped(offheap_report::format::Dropped {
                        time: self.time + 2_000,
                        store,
                        reference: self.reference,
                    }))?;
                }
                let holders = Holders {
                    time: self.time + 800,
                    store,
                    references: Some(u64::from(place != 2)),
                    weak: Some(0),
                    readers: Some(u64::from(place == 7)),
                    writer: Some(false),
                    buffers: isolate
                        .map(|_| Buffers {
                            isolate,
                            count: 1,
                            site: Some(PLACES[place].1.to_owned()),
                            path: path.iter().map(|&word| word.to_owned()).collect(),
                        })
                        .into_iter()
                        .collect(),
                };
                self.line(Event::Holders(holders))?;
            }
        }
        let meant = self.create(6, 65_536)?;
        self.change(meant, None, Event::Static, "src/workers.rs:57:5")?;
        let twice = self.create(0, 18_432)?;
        self.time += 4 * MILLISECOND;
        self.change(twice, None, Event::Freed, "src/video/decode.rs:131:9")?;
        self.time += 4 * MILLISECOND;
        for (code, message, earlier, store) in [
            (
                "DOUBLE_FREE",
                "the memory of store {} was freed at src/video/decode.rs:131:9 already, and again at src/video/queue.rs:90:13",
                "src/video/decode.rs:131:9",
                twice,
            ),
            (
                "FREE_IN_USE",
                "the memory of store {} was to be freed while a guard reads it; drop the guard first",
                "src/map/atlas.rs:140:25",
                meant,
            ),
        ] {
            self.line(Event::Refused(Refused {
                time: self.time,
                code: code.to_owned(),
                message: message.replace("{}", &store.to_string()),
                store: Some(store),
                thread: Some(2),
                site: Some("src/video/queue.rs:90:13".to_owned()),
                stack: Some(1),
                earlier: Some(earlier.to_owned()),
            }))?;
        }
        self.line(Event::End(End { time: self.time + MILLISECOND, leaks: None }))
    }

    /// A program that frees everything.
    fn balanced(&mut self) -> io::Result<()> {
        self.start(77, "csv-import data.csv", "sites", None)?;
        self.names()?;
        for round in 0..40 {
            let store = self.create(round % 3, 50_000 + round as u64 * 1_000)?;
            self.time += 3 * MILLISECOND;
            self.end_of(store, None, round % 3)?;
        }
        self.line(Event::End(End { time: self.time, leaks: None }))
    }

    /// Names that try to break out of the page.
    fn hostile(&mut self) -> io::Result<()> {
        let names = [
            "</script><script>window.broken = 1</script>",
            "<!--<script>",
            "\"><img src=x onerror=window.broken=1>",
            "a\u{2028}b\u{2029}c\u{0}d\u{1b}[31m",
            "\u{202e}sj.live\u{202c}",
            "__proto__",
            "constructor",
            "${window.broken=1}`'\\",
        ];
        self.start(1, names[0], "full", None)?;
        self.line(Event::Thread(Thread { thread: 1, name: names[2].to_owned() }))?;
        self.line(Event::Isolate(Isolate {
            isolate: 1,
            engine: names[5].to_owned(),
            name: Some(names[0].to_owned()),
        }))?;
        let frames = names.iter().map(|name| frame(name, name)).collect();
        self.line(Event::Stack(Stack { stack: 1, frames }))?;
        for (number, name) in names.iter().enumerate() {
            self.time += 1_000;
            let store = number as u64 + 1 + (1 << 60);
            let labels = Labels::from([((*name).to_owned(), (*name).to_owned())]);
            self.line(Event::Created(Created {
                time: self.time,
                store,
                bytes: 64 << number,
                thread: Some(1),
                kind: Some((*name).to_owned()),
                site: Some((*name).to_owned()),
                stack: Some(1),
                weight: None,
                labels,
            }))?;
            self.change(store, Some(1), Event::Exposed, name)?;
            let path = names.iter().map(|&name| name.to_owned()).collect();
            let buffers = vec![Buffers { isolate: Some(1), count: 1, site: Some("src/page.js:14:9".to_owned()), path }];
            self.line(Event::Holders(Holders { time: self.time, store, buffers, ..Holders::default() }))?;
            self.line(Event::Refused(Refused {
                time: self.time,
                code: (*name).to_owned(),
                message: (*name).to_owned(),
                store: Some(store),
                site: Some((*name).to_owned()),
                earlier: Some((*name).to_owned()),
                ..Refused::default()
            }))?;
        }
        let long = "x".repeat(5_000_000);
        self.line(Event::Created(Created { store: 9, bytes: 1 << 53, site: Some(long), ..Created::default() }))?;
        self.line(Event::End(End { time: self.time, leaks: None }))
    }
}

fn frame(function: &str, site: &str) -> Frame {
    Frame { function: Some(function.to_owned()), site: Some(site.to_owned()), address: None }
}
