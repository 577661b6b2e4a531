//! Making the lines of the stream.

use std::collections::{HashMap, HashSet};
use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

use offheap::{IsolateId, StoreId, StoreKind};
use offheap_report::format::{self, Change, Event, Line};

use crate::happened::{Happened, What};
use crate::held::FIRST_IN_STREAM;
use crate::live::LiveStore;
use crate::output::Output;
use crate::refusal::Refusal;
use crate::stack::Stack;
use crate::stream::Told;
use crate::{Balance, Ledger, thread};

/// What the lines so far have told, so that each stack, thread and isolate is told once.
pub(crate) struct Lines {
    start: format::Start,
    stacks: HashSet<u32>,
    threads: HashSet<u32>,
    isolates: HashMap<u64, format::Isolate>,
    /// Stores with references that must be released.
    held: HashMap<StoreId, HeldStore>,
}

/// A store with references that must be released.
#[derive(Default)]
struct HeldStore {
    references: HashSet<u64>,
    /// Its end, which is told when the last of them is released: until then the store counts as leaked.
    freed: Option<Happened>,
}

impl Lines {
    pub(crate) fn new(ledger: &Ledger, program: String) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let start = format::Start {
            version: format::VERSION,
            program: Some(program),
            level: Some(ledger.level().name().to_owned()),
            sample_bytes: ledger.sample_bytes(),
            unix_milliseconds: Some(now.saturating_sub(ledger.age()).as_millis() as u64),
            labels: format::Labels::new(),
        };
        Lines { start, stacks: HashSet::new(), threads: HashSet::new(), isolates: HashMap::new(), held: HashMap::new() }
    }

    pub(crate) fn start(&mut self, output: &mut dyn Output) -> io::Result<()> {
        let process = Some(u64::from(std::process::id()));
        output.line(&Line { process, event: Event::Start(self.start.clone()) })
    }

    pub(crate) fn write(&mut self, told: &Told, output: &mut dyn Output) -> io::Result<()> {
        match told {
            Told::Happened(happened) => self.unless_held(happened, output),
            Told::Refused(refusal) => self.refused(refusal, output),
        }
    }

    /// Writes what happened, and keeps back the end of a store with references that must be released.
    fn unless_held(&mut self, happened: &Happened, output: &mut dyn Output) -> io::Result<()> {
        let &Happened { what, store, time, .. } = happened;
        match what {
            What::Referenced { reference, .. } if reference >= FIRST_IN_STREAM => {
                self.held.entry(store).or_default().references.insert(reference);
            }
            What::Dropped { reference } if reference >= FIRST_IN_STREAM => {
                // Nothing was told of the references to a store that is not in the stream.
                let Some(held) = self.held.get_mut(&store).filter(|held| held.references.contains(&reference)) else {
                    return Ok(());
                };
                held.references.remove(&reference);
                if held.references.is_empty() {
                    let freed = self.held.remove(&store).and_then(|held| held.freed);
                    self.happened(happened, output)?;
                    return freed.map_or(Ok(()), |freed| self.happened(&Happened { time, ..freed }, output));
                }
            }
            What::Freed => {
                if let Some(held) = self.held.get_mut(&store) {
                    held.freed = Some(*happened);
                    return Ok(());
                }
            }
            _ => {}
        }
        self.happened(happened, output)
    }

    fn happened(&mut self, happened: &Happened, output: &mut dyn Output) -> io::Result<()> {
        let &Happened { what, time, store, byte_length, site, stack, thread, isolate } = happened;
        let (store, bytes) = (store.get(), byte_length as u64);
        let stack = self.stack(stack, output)?;
        let thread = self.thread(thread, output)?;
        let isolate = self.isolate(isolate, output)?;
        let site = site.map(|site| site.to_string());
        if let What::Created { kind, weight } = what {
            let kind = Some(kind_word(kind).to_owned());
            let weight = self.start.sample_bytes.map(|_| weight.get());
            let labels = format::Labels::new();
            let created = format::Created { time, store, bytes, thread, kind, site, stack, weight, labels };
            return output.line(&Event::Created(created).into());
        }
        match what {
            What::Referenced { reference, from, to } => {
                let (from, to) = (Some(from as u64), (to != usize::MAX).then_some(to as u64));
                let taken = format::Reference { time, store, reference, from, to, thread, site };
                return output.line(&Event::Referenced(taken).into());
            }
            What::Dropped { reference } => {
                return output.line(&Event::Dropped(format::Dropped { time, store, reference }).into());
            }
            _ => {}
        }
        let bytes = (what == What::Resized).then_some(bytes);
        let change = Change { time, store, bytes, thread, isolate, site, stack };
        output.line(&Line::from(match what {
            What::Exposed => Event::Exposed(change),
            What::Externalized => Event::Externalized(change),
            What::Detached => Event::Detached(change),
            What::Transferred => Event::Transferred(change),
            What::Released => Event::Released(change),
            What::Resized => Event::Resized(change),
            What::Static => Event::Static(change),
            What::Freed | What::Created { .. } | What::Referenced { .. } | What::Dropped { .. } => Event::Freed(change),
        }))
    }

    fn refused(&mut self, refusal: &Refusal, output: &mut dyn Output) -> io::Result<()> {
        let stack = self.stack(refusal.stack, output)?;
        let thread = self.thread(refusal.thread, output)?;
        let refused = format::Refused {
            time: refusal.time.as_nanos() as u64,
            code: refusal.code.to_owned(),
            message: refusal.message.clone(),
            store: refusal.store.map(|store| store.get()),
            thread,
            site: Some(refusal.at.to_string()),
            stack,
            earlier: refusal.earlier.map(|site| site.to_string()),
        };
        output.line(&Event::Refused(refused).into())
    }

    /// Tells who holds what lives as far as the lines tell, what was counted, and the end.
    pub(crate) fn end(&mut self, ledger: &Ledger, live: &[LiveStore], output: &mut dyn Output) -> io::Result<()> {
        let time = ledger.now();
        for store in live {
            let holders = self.holders(time, store, output)?;
            output.line(&Event::Holders(holders).into())?;
        }
        let Balance { stores, resizable, shared, external_bytes: bytes, leaked, .. } = ledger.balance();
        output.line(&Event::Totals(format::Counted { time, stores, bytes, resizable, shared, leaked }).into())?;
        output.line(&Event::End(format::End { time, leaks: None }).into())
    }

    fn holders(&mut self, time: u64, live: &LiveStore, output: &mut dyn Output) -> io::Result<format::Holders> {
        for held in &live.holders.buffers {
            self.isolate(held.isolate, output)?;
        }
        Ok(live.holders.as_format(time, live.store))
    }

    fn stack(&mut self, stack: Option<Stack>, output: &mut dyn Output) -> io::Result<Option<u64>> {
        let Some(stack) = stack else { return Ok(None) };
        let number = u64::from(stack.number());
        if self.stacks.insert(stack.number()) {
            let frames = stack.frames().to_vec();
            output.line(&Event::Stack(format::Stack { stack: number, frames }).into())?;
        }
        Ok(Some(number))
    }

    fn thread(&mut self, number: u32, output: &mut dyn Output) -> io::Result<Option<u64>> {
        if number == 0 {
            return Ok(None);
        }
        let thread = u64::from(number);
        if self.threads.insert(number)
            && let Some(name) = thread::name_of(number)
        {
            output.line(&Event::Thread(format::Thread { thread, name }).into())?;
        }
        Ok(Some(thread))
    }

    fn isolate(&mut self, isolate: Option<IsolateId>, output: &mut dyn Output) -> io::Result<Option<u64>> {
        let Some(id) = isolate else { return Ok(None) };
        let told = isolate_of(id);
        let number = told.isolate;
        if self.isolates.get(&number) != Some(&told) {
            self.isolates.insert(number, told.clone());
            output.line(&Event::Isolate(told).into())?;
        }
        Ok(Some(number))
    }
}

/// An isolate, as it is now.
pub(crate) fn isolate_of(id: IsolateId) -> format::Isolate {
    format::Isolate { isolate: id.number(), engine: id.engine().to_owned(), name: id.name() }
}

/// The word for a kind, as in the stream's format.
pub(crate) fn kind_word(kind: StoreKind) -> &'static str {
    if kind.is_file() {
        "mapped"
    } else if kind.is_manual() {
        "manual"
    } else if kind.is_read_only() {
        "frozen"
    } else if kind.is_shared() {
        "shared"
    } else if kind.length() != offheap::Length::Fixed {
        "resizable"
    } else {
        "fixed"
    }
}
