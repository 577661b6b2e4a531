//! A profile for profiler.firefox.com: allocations and frees with their stacks, the bytes that live, and a marker for each
//! store that lives at the end and for what was refused.

use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::Arc;

use fxprof_processed_profile::{
    CategoryHandle, Frame, FrameFlags, FrameInfo, MarkerTiming, Profile, ReferenceTimestamp, SamplingInterval,
    StackHandle, ThreadHandle, Timestamp,
};

use crate::format::{Event, Line, Refused};
use crate::place::{UNKNOWN, frame_text, stack_of};
use crate::{Process, Sink, Store, Trace};

mod markers;

use markers::{Left, Refusal};

/// Writes a profile that profiler.firefox.com opens (Firefox Profiler's "processed profile format").
///
/// Each process has one thread with all of its allocations and frees: choose "Retained memory" over the call tree to see
/// which stacks made what lives. The track of the process shows the bytes that live. Markers show the stores that live at
/// the end, with who holds them, and everything that was refused. Samples count by their weights.
///
/// The format has the events of a thread in one piece, so this report keeps 40 bytes for each line that makes, resizes or
/// frees a store, and writes at the end.
///
/// ```
/// use offheap_report::{Firefox, Sink, Trace, follow};
///
/// let stream = r#"{"event":"start","version":1,"process":7}
/// {"event":"created","time":5,"store":1,"bytes":64,"kind":"fixed","site":"src/main.rs:3:9"}
/// "#;
/// let (mut trace, mut report) = (Trace::default(), Vec::new());
/// let mut firefox = Firefox::new(&mut report);
/// follow("stream.jsonl", stream.as_bytes(), &mut trace, &mut firefox)?;
/// firefox.finish(&trace)?;
/// assert!(String::from_utf8_lossy(&report).contains("nativeAllocations"));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Firefox<W> {
    out: W,
    changes: Vec<Change>,
    stacks: HashMap<StackKey, u32>,
    // What is counted for each store that lives.
    counted: HashMap<(usize, u64), i64>,
    refused: Vec<(usize, Refused)>,
}

/// Bytes that came or went.
#[derive(Debug)]
struct Change {
    time: u64,
    store: u64,
    bytes: i64,
    process: u32,
    stack: u32,
}

/// What names a stack. Its frames may be told later.
type StackKey = (usize, Option<u64>, Option<Arc<str>>);

impl<W: Write> Firefox<W> {
    /// Writes to `out`.
    pub fn new(out: W) -> Self {
        Firefox { out, changes: Vec::new(), stacks: HashMap::new(), counted: HashMap::new(), refused: Vec::new() }
    }

    /// Counts a store with the bytes that it has now.
    fn count(&mut self, store: &Store, time: u64, stack: Option<u64>, site: Option<Arc<str>>) {
        let next = self.stacks.len() as u32;
        let stack = *self.stacks.entry((store.process, stack, site)).or_insert(next);
        let key = (store.process, store.number);
        let mut change = |bytes| {
            let process = store.process as u32;
            self.changes.push(Change { time, store: store.number, bytes, process, stack });
        };
        // A store that is resized is freed and made again, with the new length.
        if let Some(before) = self.counted.remove(&key) {
            change(-before);
        }
        if store.freed().is_none() {
            let bytes = (store.bytes as f64 * store.weight).round() as i64;
            change(bytes);
            self.counted.insert(key, bytes);
        }
    }

    fn profile(&mut self, trace: &Trace) -> Profile {
        let first = trace.processes().iter().filter_map(|process| process.start.unix_milliseconds).min().unwrap_or(0);
        let reference = ReferenceTimestamp::from_millis_since_unix_epoch(first as f64);
        let product = trace.processes().first().and_then(|process| process.start.program.as_deref());
        let mut profile = Profile::new(product.unwrap_or("offheap"), reference, SamplingInterval::from_millis(1));
        let mut stacks: Vec<_> = std::mem::take(&mut self.stacks).into_iter().collect();
        stacks.sort_unstable_by_key(|&(_, number)| number);
        // Threads write their lines in an order of their own.
        self.changes.sort_by_key(|change| (change.process, change.time));
        let mut live: Vec<_> = trace.live_stores().collect();
        live.sort_unstable_by_key(|store| (store.process, store.number));

        let mut changes = self.changes.drain(..).peekable();
        let mut live = live.into_iter().peekable();
        let threads: Vec<_> =
            trace.processes().iter().map(|process| Track::new(&mut profile, process, first)).collect();
        let stacks: Vec<_> = stacks
            .into_iter()
            .map(|((process, stack, site), _)| {
                threads[process].stack(&mut profile, &trace.processes()[process], stack, site.as_deref())
            })
            .collect();
        for (index, track) in threads.iter().enumerate() {
            let process = &trace.processes()[index];
            let description = "The bytes of all stores that live";
            let counter = profile.add_counter(track.process, "offheap", "Memory", description);
            while let Some(change) = changes.next_if(|change| change.process as usize == index) {
                let at = track.at(change.time);
                profile.add_counter_sample(counter, at, change.bytes as f64, 1);
                let stack = stacks[change.stack as usize];
                profile.add_allocation_sample(track.thread, at, stack, change.store, change.bytes);
            }
            while let Some(store) = live.next_if(|store| store.process == index) {
                track.left(&mut profile, trace, process, store);
            }
        }
        for (index, refused) in &self.refused {
            threads[*index].refused(&mut profile, &trace.processes()[*index], refused);
        }
        profile
    }
}

/// A process in the profile, and its one thread.
struct Track {
    process: fxprof_processed_profile::ProcessHandle,
    thread: ThreadHandle,
    origin: u64,
}

impl Track {
    fn new(profile: &mut Profile, process: &Process, first: u64) -> Self {
        let began = process.start.unix_milliseconds.unwrap_or(first);
        let origin = began.saturating_sub(first).saturating_mul(1_000_000);
        let start = Timestamp::from_nanos_since_reference(origin);
        let program = process.start.program.as_deref().unwrap_or("a process");
        // The library makes numbers unique that are the same after this.
        let pid = process.number as u32;
        let handle = profile.add_process(program, pid, start);
        let thread = profile.add_thread(handle, pid, start, true);
        profile.set_thread_name(thread, "stores");
        let track = Track { process: handle, thread, origin };
        let end = track.at(process.time);
        profile.set_thread_end_time(thread, end);
        profile.set_process_end_time(handle, end);
        profile.add_initial_visible_thread(thread);
        track
    }

    fn at(&self, time: u64) -> Timestamp {
        Timestamp::from_nanos_since_reference(self.origin.saturating_add(time))
    }

    fn stack(
        &self,
        profile: &mut Profile,
        process: &Process,
        stack: Option<u64>,
        site: Option<&str>,
    ) -> Option<StackHandle> {
        let frames = stack_of(process, stack, site);
        let frames: Vec<_> = frames.iter().rev().map(|frame| profile.intern_string(&frame_text(frame))).collect();
        let infos = frames.into_iter().map(|name| FrameInfo {
            frame: Frame::Label(name),
            category_pair: CategoryHandle::OTHER.into(),
            flags: FrameFlags::empty(),
        });
        profile.intern_stack_frames(self.thread, infos)
    }

    /// A marker for a store that lives at the end.
    fn left(&self, profile: &mut Profile, trace: &Trace, process: &Process, store: &Store) {
        let name = match (store.is_static, process.has_leaks()) {
            (true, _) => "static",
            (false, true) => "leaked",
            (false, false) => "lives",
        };
        let holders: Vec<_> = trace.holders(store).iter().map(ToString::to_string).collect();
        let mut intern = |text: &str| profile.intern_string(text);
        let marker = Left {
            name: intern(name),
            place: intern(store.site.as_deref().unwrap_or(UNKNOWN)),
            kind: intern(store.kind.as_deref().unwrap_or("")),
            holders: intern(&holders.join("; ")),
            bytes: store.bytes as f64,
        };
        let timing = MarkerTiming::Interval(self.at(store.time), self.at(process.time.max(store.time)));
        let marker = profile.add_marker(self.thread, timing, marker);
        let stack = self.stack(profile, process, store.stack, store.site.as_deref());
        profile.set_marker_stack(self.thread, marker, stack);
    }

    /// A marker for something that was refused.
    fn refused(&self, profile: &mut Profile, process: &Process, refused: &Refused) {
        let name = profile.intern_string(&refused.code);
        let message = profile.intern_string(&refused.message);
        let timing = MarkerTiming::Instant(self.at(refused.time));
        let marker = profile.add_marker(self.thread, timing, Refusal { name, message });
        let stack = self.stack(profile, process, refused.stack, refused.site.as_deref());
        profile.set_marker_stack(self.thread, marker, stack);
    }
}

impl<W: Write> Sink for Firefox<W> {
    fn line(&mut self, trace: &Trace, line: &Line) -> io::Result<()> {
        if let (Event::Refused(refused), Some(process)) = (&line.event, trace.process_index()) {
            self.refused.push((process, refused.clone()));
        }
        let Some(store) = trace.store() else { return Ok(()) };
        match &line.event {
            Event::Created(created) => self.count(store, created.time, store.stack, store.site.clone()),
            Event::Resized(change) | Event::Freed(change) => {
                self.count(store, change.time, change.stack, change.site.as_deref().map(Into::into));
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(&mut self, trace: &Trace) -> io::Result<()> {
        let profile = self.profile(trace);
        serde_json::to_writer(&mut self.out, &profile)?;
        self.out.flush()
    }
}
