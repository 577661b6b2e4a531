//! Memory that script has during one batch.

use std::borrow::Cow;
use std::cell::Cell;

use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer};
use bytemuck::Pod;
use offheap_v8::offheap::BackingStore;
use offheap_v8::{BackingStoreExt, FrozenStoreExt, TypedElement, detach, v8};

use super::error::Reason;
use super::script;
use crate::AlignedStore;

/// A typed array of V8's, by the type of its elements.
pub(crate) trait View: TypedElement + Pod + Send {
    /// Makes the array over a part of `buffer`.
    fn over<'s>(
        scope: &mut v8::PinScope<'s, '_>,
        buffer: v8::Local<'s, v8::ArrayBuffer>,
        byte_offset: usize,
        element_count: usize,
    ) -> Option<v8::Local<'s, v8::Value>>;
}

macro_rules! views {
    ($($element:ty => $array:ident),* $(,)?) => {$(
        impl View for $element {
            fn over<'s>(
                scope: &mut v8::PinScope<'s, '_>,
                buffer: v8::Local<'s, v8::ArrayBuffer>,
                byte_offset: usize,
                element_count: usize,
            ) -> Option<v8::Local<'s, v8::Value>> {
                v8::$array::new(scope, buffer, byte_offset, element_count).map(Into::into)
            }
        }
    )*};
}

views! {
    i8 => Int8Array,
    u8 => Uint8Array,
    i16 => Int16Array,
    u16 => Uint16Array,
    i32 => Int32Array,
    u32 => Uint32Array,
    i64 => BigInt64Array,
    f32 => Float32Array,
    f64 => Float64Array,
}

/// A `Vec` that script fills during one batch. Script's buffer is detached when the `Vec` is taken back, and also when this is
/// dropped by an error on the way: it belongs to closures of this crate, which forget it, so it is collected.
pub(crate) struct Lent<'s> {
    store: BackingStore,
    pub(crate) buffer: v8::Local<'s, v8::ArrayBuffer>,
    key: Option<&'static str>,
}

/// Without this key script cannot detach a buffer.
const KEY: &str = "offheap:arrow";

impl<'s> Lent<'s> {
    pub(crate) fn new<T: View>(scope: &mut v8::PinScope<'s, '_>, mut vec: Vec<T>) -> Result<Self, Reason> {
        Self::of(scope, &mut vec)
    }

    /// Takes a `Vec`, and leaves it where it is if it cannot be lent.
    pub(crate) fn of<T: View>(scope: &mut v8::PinScope<'s, '_>, vec: &mut Vec<T>) -> Result<Self, Reason> {
        let store = BackingStore::from_owner(std::mem::take(vec)).map_err(|rejected| {
            let (error, owner) = rejected.into_parts();
            *vec = owner;
            error
        })?;
        match store.expose(scope) {
            Ok(buffer) => Ok(Lent { store, buffer, key: None }),
            Err(error) => {
                *vec = store.try_into_unique()?.try_into_owner::<Vec<T>>()?;
                Err(error.into())
            }
        }
    }

    /// A typed array over all of the `Vec`.
    pub(crate) fn array<T: View>(&self, scope: &mut v8::PinScope<'s, '_>) -> Result<v8::Local<'s, v8::Value>, Reason> {
        self.part::<T>(scope, 0, self.store.byte_length() / size_of::<T>())
    }

    /// A typed array over a part of the `Vec`.
    pub(crate) fn part<T: View>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        byte_offset: usize,
        element_count: usize,
    ) -> Result<v8::Local<'s, v8::Value>, Reason> {
        view::<T>(scope, self.buffer, byte_offset, element_count)
    }

    /// Takes the memory from script, which has none of it afterwards.
    pub(crate) fn end(&self, scope: &mut v8::PinScope<'s, '_>) -> Result<(), Reason> {
        detach(scope, self.buffer.into(), self.key).map_err(|error| match scope.is_execution_terminating() {
            true => Reason::Terminated,
            false => error.into(),
        })
    }

    /// The `Vec` itself, after [`end`](Self::end).
    pub(crate) fn into_vec<T: View>(self) -> Result<Vec<T>, Reason> {
        Ok(self.store.try_into_unique()?.try_into_owner::<Vec<T>>()?)
    }
}

/// Validity bits in words, with zeros after the last.
pub(crate) fn words(bits: &NullBuffer) -> Vec<u64> {
    let chunks = bits.inner().bit_chunks();
    chunks.iter_padded().take(bits.len().div_ceil(64)).collect()
}

fn view<'s, T: View>(
    scope: &mut v8::PinScope<'s, '_>,
    buffer: v8::Local<'s, v8::ArrayBuffer>,
    byte_offset: usize,
    element_count: usize,
) -> Result<v8::Local<'s, v8::Value>, Reason> {
    let failed = offheap_v8::Error::EngineFailed { engine: "V8", attempted: "make a typed array" };
    T::over(scope, buffer, byte_offset, element_count).ok_or(Reason::Engine(failed))
}

/// Counts what had to be copied, because it could not be lent.
#[derive(Debug, Default)]
pub(crate) struct Copies {
    bytes: Cell<u64>,
}

impl Copies {
    /// The number of bytes that were copied.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.get()
    }
}

/// The arguments of the loop for one batch, and the memory that is lent to script while the batch runs. Arrow's buffers are lent
/// read-only.
pub(crate) struct Batch<'a, 's> {
    copies: &'a Copies,
    pub(crate) arguments: Vec<v8::Local<'s, v8::Value>>,
    lent: Vec<Lent<'s>>,
    /// The columns of text of which V8 has only the rows of one piece at a time.
    texts: Vec<Text<'a>>,
    /// The bytes of V8's heap that its strings take.
    text_bytes: usize,
}

/// A column of text in ASCII. Its arguments are a string, the offsets of the rows, and the offset of the first byte of the string.
struct Text<'a> {
    /// The index of the string among the arguments. The offset of its first byte is two behind it.
    argument: usize,
    bytes: Cow<'a, [u8]>,
    bounds: Bounds,
}

/// Where the pieces of a column of text may begin.
pub(crate) struct Bounds {
    /// The offset of the first row.
    first: i32,
    /// The bytes before each 1,024 rows, and those of all rows.
    bytes_before: Vec<usize>,
}

impl Bounds {
    pub(crate) fn of(offsets: &[i32]) -> Self {
        let first = offsets[0];
        let each = offsets.iter().step_by(PIECE_ROWS).chain(offsets.last());
        Bounds { first, bytes_before: each.map(|offset| (offset - first) as usize).collect() }
    }

    /// The bytes before a row that begins a piece, or ends the last.
    fn bytes_before(&self, row: usize) -> usize {
        self.bytes_before[row.div_ceil(PIECE_ROWS)]
    }
}

/// The first row of a piece is a multiple of this, which is one of the bits in a word.
const PIECE_ROWS: usize = 1 << 10;

/// The most rows of a piece, and the bytes that its text should have. V8 has pages of their own for objects of more than 128 KiB,
/// which the system gives and takes one by one. The shorter the strings of a piece live, the less does a collection copy.
const MAX_PIECE_ROWS: usize = 1 << 12;
const PIECE_BYTES: usize = 64 << 10;

/// The most bytes that the strings of a batch may take on V8's heap. V8 stops script when its heap is full, but here none runs, and
/// V8 ends the process if its heap needs 2.25 GiB more than its limit.
const MAX_TEXT_BYTES: usize = 2 << 30;

impl<'a, 's> Batch<'a, 's> {
    pub(crate) fn new(copies: &'a Copies) -> Self {
        Batch { copies, arguments: Vec::with_capacity(16), lent: Vec::new(), texts: Vec::new(), text_bytes: 0 }
    }

    /// The number of rows in a piece. `has_results` is whether the results are strings.
    pub(crate) fn piece_row_count(&self, row_count: usize, has_results: bool) -> usize {
        let longest = self.texts.iter().map(|text| text.bytes.len()).max();
        let Some(byte_length) = longest.or(has_results.then_some(0)) else { return row_count.max(1) };
        let fitting = (row_count as u128 * PIECE_BYTES as u128 / byte_length.max(1) as u128) as usize;
        fitting.clamp(PIECE_ROWS, MAX_PIECE_ROWS) / PIECE_ROWS * PIECE_ROWS
    }

    /// The arguments of a loop for the rows from `begin` to `end`, with the text of these rows. `begin` is a multiple of
    /// [`piece_row_count`](Self::piece_row_count), and so is `end`, or it is the end of the batch.
    pub(crate) fn piece<'p>(
        &self,
        scope: &mut v8::PinScope<'p, '_>,
        (begin, end): (usize, usize),
    ) -> Result<Vec<v8::Local<'p, v8::Value>>, Reason>
    where
        's: 'p,
    {
        let rows: [v8::Local<'p, v8::Value>; 2] = [begin, end].map(|row| v8::Number::new(scope, row as f64).into());
        let mut arguments: Vec<v8::Local<'p, v8::Value>> = Vec::with_capacity(rows.len() + self.arguments.len());
        arguments.extend(rows);
        arguments.extend(&self.arguments);
        for text in &self.texts {
            let [first, last] = [begin, end].map(|row| text.bounds.bytes_before(row));
            let string = script::one_byte_string(scope, &text.bytes[first..last])?;
            arguments[rows.len() + text.argument] = string.into();
            let base = v8::Number::new(scope, f64::from(text.bounds.first) + first as f64);
            arguments[rows.len() + text.argument + 2] = base.into();
        }
        Ok(arguments)
    }

    /// Adds a column of text in ASCII, whose offsets `lend_offsets` adds.
    pub(crate) fn text(
        &mut self,
        scope: &mut v8::PinScope<'s, '_>,
        (bytes, bounds): (Cow<'a, [u8]>, Bounds),
        lend_offsets: impl FnOnce(&mut v8::PinScope<'s, '_>, &mut Self) -> Result<(), Reason>,
    ) -> Result<(), Reason> {
        self.count_text(bytes.len())?;
        let argument = self.arguments.len();
        self.undefined(scope, 1);
        lend_offsets(scope, self)?;
        self.undefined(scope, 1);
        self.texts.push(Text { argument, bytes, bounds });
        Ok(())
    }

    pub(crate) fn number(&mut self, scope: &mut v8::PinScope<'s, '_>, number: f64) {
        self.arguments.push(v8::Number::new(scope, number).into());
    }

    pub(crate) fn undefined(&mut self, scope: &mut v8::PinScope<'s, '_>, count: usize) {
        let undefined = v8::undefined(scope).into();
        self.arguments.extend(std::iter::repeat_n::<v8::Local<'s, v8::Value>>(undefined, count));
    }

    /// Counts a string that will be made, by the bytes that it takes on V8's heap.
    pub(crate) fn count_text(&mut self, byte_length: usize) -> Result<(), Reason> {
        let given = self.text_bytes + byte_length;
        if given > MAX_TEXT_BYTES {
            return Err(Reason::TooLarge { unit: "bytes of text in V8", given, limit: MAX_TEXT_BYTES });
        }
        self.text_bytes = given;
        Ok(())
    }

    /// A typed array over a `Vec` that is made for this batch. It is read by a loop of this crate, and not given to the user.
    pub(crate) fn vec<T: View>(&mut self, scope: &mut v8::PinScope<'s, '_>, vec: Vec<T>) -> Result<(), Reason> {
        let lent = Lent::new(scope, vec)?;
        self.arguments.push(lent.array::<T>(scope)?);
        self.lent.push(lent);
        Ok(())
    }

    /// A `Float64Array` over a `Vec` that is made for this batch. Script may write to it, and cannot take its memory away.
    pub(crate) fn scratch(&mut self, scope: &mut v8::PinScope<'s, '_>, vec: Vec<f64>) -> Result<(), Reason> {
        let mut lent = Lent::new(scope, vec)?;
        let key = script::string(scope, KEY)?;
        lent.buffer.set_detach_key(key.into());
        lent.key = Some(KEY);
        self.arguments.push(lent.array::<f64>(scope)?);
        self.lent.push(lent);
        Ok(())
    }

    /// A typed array over all elements of `buffer`.
    pub(crate) fn elements<T: View>(
        &mut self,
        scope: &mut v8::PinScope<'s, '_>,
        buffer: &Buffer,
    ) -> Result<(), Reason> {
        let (array, byte_offset) = self.buffer(scope, buffer)?;
        self.arguments.push(view::<T>(scope, array, byte_offset, buffer.len() / size_of::<T>())?);
        Ok(())
    }

    /// A `Uint8Array` over bits, and the index of the first bit in it.
    pub(crate) fn bits(&mut self, scope: &mut v8::PinScope<'s, '_>, bits: &BooleanBuffer) -> Result<(), Reason> {
        let bytes = bits.inner().slice(bits.offset() / 8);
        self.elements::<u8>(scope, &bytes)?;
        self.number(scope, (bits.offset() % 8) as f64);
        Ok(())
    }

    /// The rows for which a loop calls its function, by bits in words of 32, or `undefined` if these are all rows.
    pub(crate) fn called(
        &mut self,
        scope: &mut v8::PinScope<'s, '_>,
        called: Option<&NullBuffer>,
    ) -> Result<(), Reason> {
        match called {
            None => self.undefined(scope, 1),
            Some(called) => {
                let halves = |word| [word as i32, (word >> 32) as i32];
                self.vec(scope, words(called).into_iter().flat_map(halves).collect())?;
            }
        }
        Ok(())
    }

    /// An ArrayBuffer over `buffer`. Returns the offset of the first byte of `buffer` in it.
    pub(crate) fn part(&mut self, scope: &mut v8::PinScope<'s, '_>, buffer: &Buffer) -> Result<f64, Reason> {
        let (array, byte_offset) = self.buffer(scope, buffer)?;
        self.arguments.push(array.into());
        Ok(byte_offset as f64)
    }

    fn buffer(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        buffer: &Buffer,
    ) -> Result<(v8::Local<'s, v8::ArrayBuffer>, usize), Reason> {
        let aligned = AlignedStore::of(buffer)?;
        let (array, exposure) = aligned.store.expose(scope)?;
        if aligned.is_copy || !exposure.is_external() {
            self.copies.bytes.set(self.copies.bytes.get() + buffer.len() as u64);
        }
        Ok((array, aligned.byte_offset))
    }

    /// Takes what was made for this batch from script. Buffers of Arrow stay until V8 collects their ArrayBuffers, which are
    /// immutable.
    pub(crate) fn end(&self, scope: &mut v8::PinScope<'s, '_>) -> Result<(), Reason> {
        self.lent.iter().map(|lent| lent.end(scope)).fold(Ok(()), Result::and)
    }
}
