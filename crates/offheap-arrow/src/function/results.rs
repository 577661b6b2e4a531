//! Results of a function as a column.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Date64Type, Int64Type, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType,
};
use arrow_array::{ArrayRef, ArrowPrimitiveType, BooleanArray, PrimitiveArray};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, ScalarBuffer};
use arrow_schema::{DataType, TimeUnit};
use offheap_v8::v8;

use super::error::{Reason, Role};
use super::items;
use super::kind::{Kind, Number, with_number};
use super::lent::{Batch, Lent, View, words};
use super::rows::{MAX_ROW_COUNT, TOO_LONG, WRONG, Wrong};
use super::strings::Strings;
use super::wide::Returned;
use super::{script, strings};

/// The type of the results of a function.
#[derive(Debug)]
pub(crate) struct ResultType {
    data_type: DataType,
    kind: Kind,
}

impl ResultType {
    /// # Errors
    /// [`Reason::UnsupportedType`].
    pub(crate) fn new(data_type: DataType) -> Result<Self, Reason> {
        match Kind::of_result(&data_type) {
            Some(kind) => Ok(ResultType { data_type, kind }),
            None => Err(Reason::UnsupportedType { role: Role::Result, data_type }),
        }
    }

    pub(crate) fn data_type(&self) -> &DataType {
        &self.data_type
    }

    /// The parameters of a loop for the validity bits of the results, in words of 32, and for the results: each begins with a
    /// comma.
    pub(crate) fn parameters(&self) -> &'static str {
        if self.kind == Kind::Wide { ", OV, O, OW, OB" } else { ", OV, O" }
    }

    /// What a loop collects beside the results, at its beginning.
    pub(crate) fn extra(&self) -> String {
        match self.kind {
            Kind::Text(_) => "''".to_owned(),
            Kind::List(number) => items::collected(number),
            Kind::Bytes(_) => items::collected(Number::U8),
            _ => "undefined".to_owned(),
        }
    }

    /// What a loop does with the result `r` of row `i`. Nothing is converted: a result of another type ends the loop. A row without
    /// a result is NULL.
    pub(crate) fn store(&self) -> String {
        let or_null = format!("if (r === null || r === undefined) OV[i >> 5] &= ~(1 << i); else {WRONG}");
        let is_right = match self.kind {
            Kind::Boolean => {
                return format!("if (r === true) O[i >> 3] |= 1 << (i & 7); else if (r !== false) {or_null}");
            }
            Kind::Text(_) => {
                let is_too_long = format!("r.length > {} - extra.length", v8::String::MAX_LENGTH);
                let add = format!("if ({is_too_long}) {TOO_LONG} O[i] = r.length; extra += r;");
                return format!("if (typeof r === 'string') {{ {add} }} else {or_null}");
            }
            Kind::Days => {
                let days = "const d = r / 86400000; if ((d | 0) === d) O[i] = d; else";
                return format!("if (typeof r === 'number') {{ {days} {WRONG} }} else {or_null}");
            }
            Kind::Wide => {
                let big = "OW[i] = r; OB[i >> 3] |= 1 << (i & 7);";
                let or_big = format!("if (typeof r === 'bigint') {{ if (asIntN(64, r) !== r) {WRONG} {big} }}");
                return format!("if (typeof r === 'number') O[i] = r; else {or_big} else {or_null}");
            }
            Kind::FixedList(number, length) => return items::store_fixed(length, &number.is_right("v"), &or_null),
            Kind::List(number) => return items::store_list(number, &number.is_right("v"), &or_null),
            Kind::Bytes(_) => return items::store_bytes(&or_null),
            Kind::Number(number) => number.is_right("r"),
            Kind::Time(_) => Number::F64.is_right("r"),
        };
        format!("if ({is_right}) O[i] = r; else {or_null}")
    }

    /// Lends memory for `row_count` results to script. Rows that are not called are NULL.
    pub(crate) fn lend<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        row_count: usize,
        called: Option<&NullBuffer>,
        into: &mut Vec<v8::Local<'s, v8::Value>>,
    ) -> Result<Results<'s>, Reason> {
        let rows = (row_count, called);
        let mut results = match self.kind {
            Kind::Boolean => Results::zeroed::<u8>(scope, row_count.div_ceil(8), rows, into)?,
            Kind::Text(_) | Kind::Days | Kind::List(_) | Kind::Bytes(_) => {
                Results::zeroed::<i32>(scope, row_count, rows, into)?
            }
            Kind::FixedList(number, length) => {
                let limit = MAX_ROW_COUNT / length.max(1);
                if row_count > limit {
                    return Err(Reason::TooLarge { unit: "rows of lists", given: row_count, limit });
                }
                with_number!(number, zeroed_numbers(scope, row_count * length, rows, into))?
            }
            Kind::Number(number) => with_number!(number, zeroed_numbers(scope, row_count, rows, into))?,
            _ => Results::zeroed::<f64>(scope, row_count, rows, into)?,
        };
        if self.kind == Kind::Wide {
            into.push(results.memory.part::<i64>(scope, 0, row_count)?);
            let is_big = Lent::new(scope, vec![0_u8; row_count.div_ceil(8)])?;
            into.push(is_big.array::<u8>(scope)?);
            results.is_big = Some(is_big);
        }
        Ok(results)
    }

    pub(crate) fn is_text(&self) -> bool {
        matches!(self.kind, Kind::Text(_))
    }

    /// The number of rows of a batch over which the loop runs at once.
    pub(crate) fn piece_row_count(&self, batch: &Batch<'_, '_>, row_count: usize) -> usize {
        match self.kind {
            Kind::List(_) | Kind::Bytes(_) => row_count,
            _ => batch.piece_row_count(row_count, self.is_text()),
        }
    }

    /// Adds what a loop collected beside the results for the rows up to `end` of `row_count`.
    pub(crate) fn collect<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        extra: v8::Local<'s, v8::Value>,
        rows: (usize, usize),
        collected: &mut Collected,
    ) -> Result<(), Reason> {
        match self.kind {
            Kind::Text(_) => {
                let string = v8::Local::<v8::String>::try_from(extra).map_err(|_| strings::FAILED)?;
                collected.strings.add(scope, string, rows)?;
            }
            Kind::List(_) | Kind::Bytes(_) => collected.items = Some(v8::Global::new(scope, extra)),
            _ => {}
        }
        Ok(())
    }

    /// The column, over the memory that script filled, after [`Results::end`]. `collected` is what the loops collected beside
    /// the results.
    pub(crate) fn column<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        mut results: Results<'s>,
        collected: Collected,
    ) -> Result<ArrayRef, Reason> {
        let row_count = results.row_count;
        let bits = |bytes: Vec<u8>| BooleanBuffer::new(Buffer::from_vec(bytes), 0, row_count);
        Ok(match self.kind {
            Kind::Boolean => {
                let (values, nulls) = results.into_parts()?;
                Arc::new(BooleanArray::new(bits(values), nulls))
            }
            Kind::Number(number) => with_number!(number, numbers(results))?,
            Kind::Days => numbers::<Date32Type>(results)?,
            Kind::Text(layout) => {
                let (lengths, nulls) = results.into_parts()?;
                strings::column(collected.strings, &lengths, nulls, layout)?
            }
            Kind::Wide => {
                let is_big = results.is_big.take().map(Lent::into_vec::<u8>).transpose()?;
                let is_big = is_big.filter(|bytes| bytes.iter().any(|byte| *byte != 0)).map(bits);
                let (numbers, nulls) = results.into_parts()?;
                let whole = Returned { numbers: &numbers, is_big }.whole();
                made::<Int64Type>(whole.map_err(|row| self.wrong(row, numbers[row]))?, nulls)
            }
            Kind::Time(unit) => {
                let (numbers, nulls) = results.into_parts()?;
                let times = Returned { numbers: &numbers, is_big: None }.times(unit);
                self.times(times.map_err(|row| self.wrong(row, numbers[row]))?, unit, nulls)
            }
            Kind::FixedList(number, length) => items::fixed(&self.data_type, (number, length), results)?,
            kind @ (Kind::List(_) | Kind::Bytes(_)) => {
                let (lengths, nulls) = results.into_parts()?;
                let collected = v8::Local::new(scope, collected.items.ok_or(script::FAILED)?);
                items::column(scope, (&self.data_type, kind), collected, &lengths, nulls)?
            }
        })
    }

    fn times(&self, values: Vec<i64>, unit: TimeUnit, nulls: Option<NullBuffer>) -> ArrayRef {
        let DataType::Timestamp(_, zone) = &self.data_type else { return made::<Date64Type>(values, nulls) };
        macro_rules! times {
            ($times:ty) => {
                Arc::new(made::<$times>(values, nulls).as_primitive::<$times>().clone().with_timezone_opt(zone.clone()))
            };
        }
        match unit {
            TimeUnit::Second => times!(TimestampSecondType),
            TimeUnit::Millisecond => times!(TimestampMillisecondType),
            TimeUnit::Microsecond => times!(TimestampMicrosecondType),
            TimeUnit::Nanosecond => times!(TimestampNanosecondType),
        }
    }

    /// The error for a value that the loop found wrong.
    pub(crate) fn wrong_value<'s>(&self, scope: &mut v8::PinScope<'s, '_>, wrong: &Wrong<'s>) -> Reason {
        let (value, value_type) = script::told(scope, wrong.value);
        let (row, expected) = (wrong.row, self.data_type.clone());
        match wrong.item {
            None => Reason::WrongResult { row, value, value_type, expected },
            Some(item) => Reason::WrongItem { row, item, value, value_type, expected },
        }
    }

    /// The error for a Number that Rust found wrong. It is told as script prints it.
    fn wrong(&self, row: usize, number: f64) -> Reason {
        let value =
            if number.is_infinite() { number.to_string().replace("inf", "Infinity") } else { number.to_string() };
        Reason::WrongResult { row, value, value_type: "number".to_owned(), expected: self.data_type.clone() }
    }
}

/// What the loops of a batch collected beside the results.
#[derive(Default)]
pub(crate) struct Collected {
    strings: Strings,
    /// The items of lists.
    items: Option<v8::Global<v8::Value>>,
}

/// The bytes of a word of validity bits.
const WORD: usize = 8;

/// Memory for the results of one batch.
pub(crate) struct Results<'s> {
    /// The results, and behind them the validity bits of the rows, in whole words.
    memory: Lent<'s>,
    /// The number of results, of which a row may have several, or eight rows one.
    count: usize,
    row_count: usize,
    /// The rows whose 64 bits are those of a BigInt.
    is_big: Option<Lent<'s>>,
}

impl<'s> Results<'s> {
    /// Lends memory for `count` results. Adds typed arrays over the validity bits, and over the results.
    fn zeroed<T: View>(
        scope: &mut v8::PinScope<'s, '_>,
        count: usize,
        (row_count, called): (usize, Option<&NullBuffer>),
        into: &mut Vec<v8::Local<'s, v8::Value>>,
    ) -> Result<Self, Reason> {
        let begin = Self::end_of::<T>(count);
        let mut memory = vec![T::zeroed(); begin + row_count.div_ceil(8 * WORD) * (WORD / size_of::<T>())];
        let bits = bytemuck::cast_slice_mut::<T, u8>(&mut memory[begin..]);
        match called {
            None => bits.fill(0xff),
            Some(called) => {
                let words = bits.chunks_exact_mut(WORD).zip(words(called));
                words.for_each(|(bytes, word)| bytes.copy_from_slice(&word.to_le_bytes()));
            }
        }
        let memory = Lent::new(scope, memory)?;
        into.push(memory.part::<i32>(scope, begin * size_of::<T>(), row_count.div_ceil(32))?);
        into.push(memory.part::<T>(scope, 0, count)?);
        Ok(Results { memory, count, row_count, is_big: None })
    }

    /// The index of the first element behind `count` of them that begins at a word.
    fn end_of<T: View>(count: usize) -> usize {
        count.next_multiple_of(WORD / size_of::<T>())
    }

    /// Takes the memory from script.
    pub(crate) fn end(&self, scope: &mut v8::PinScope<'s, '_>) -> Result<(), Reason> {
        let is_big = self.is_big.as_ref().map_or(Ok(()), |lent| lent.end(scope));
        self.memory.end(scope).and(is_big)
    }

    /// The results, in the memory that script filled, and the rows that are NULL, after [`end`](Self::end).
    pub(crate) fn into_parts<T: View>(self) -> Result<(Vec<T>, Option<NullBuffer>), Reason> {
        let mut memory = self.memory.into_vec::<T>()?;
        let bits = bytemuck::cast_slice::<T, u8>(&memory[Self::end_of::<T>(self.count)..]);
        let nulls = bits
            .iter()
            .any(|byte| *byte != 0xff)
            .then(|| NullBuffer::new(BooleanBuffer::new(Buffer::from_slice_ref(bits), 0, self.row_count)));
        memory.truncate(self.count);
        Ok((memory, nulls.filter(|nulls| nulls.null_count() != 0)))
    }
}

fn zeroed_numbers<'s, T: ArrowPrimitiveType<Native: View>>(
    scope: &mut v8::PinScope<'s, '_>,
    count: usize,
    rows: (usize, Option<&NullBuffer>),
    into: &mut Vec<v8::Local<'s, v8::Value>>,
) -> Result<Results<'s>, Reason> {
    Results::zeroed::<T::Native>(scope, count, rows, into)
}

fn numbers<T: ArrowPrimitiveType<Native: View>>(results: Results<'_>) -> Result<ArrayRef, Reason> {
    let (values, nulls) = results.into_parts()?;
    Ok(made::<T>(values, nulls))
}

fn made<T: ArrowPrimitiveType>(values: Vec<T::Native>, nulls: Option<NullBuffer>) -> ArrayRef {
    Arc::new(PrimitiveArray::<T>::new(ScalarBuffer::from(values), nulls))
}
