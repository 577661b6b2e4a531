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
use super::lent::{Lent, View};
use super::rows::{MAX_ROW_COUNT, TOO_LONG, WRONG, Wrong};
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

    /// The parameters of a loop for the validity bits of the results, and for the results: each begins with a comma.
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
        let or_null = format!("if (r === null || r === undefined) OV[i >> 3] &= ~(1 << (i & 7)); else {WRONG}");
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
        let validity = match called {
            None => vec![0xff_u8; row_count.div_ceil(8)],
            Some(called) => {
                let mut bits = called.inner().sliced().to_vec();
                bits.resize(row_count.div_ceil(8), 0);
                bits
            }
        };
        let validity = zeroed(scope, validity, into)?;
        let values = match self.kind {
            Kind::Boolean => zeroed(scope, vec![0_u8; row_count.div_ceil(8)], into)?,
            Kind::Text(_) | Kind::Days | Kind::List(_) | Kind::Bytes(_) => zeroed(scope, vec![0_i32; row_count], into)?,
            Kind::FixedList(number, length) => {
                let limit = MAX_ROW_COUNT / length.max(1);
                if row_count > limit {
                    return Err(Reason::TooLarge { unit: "rows of lists", given: row_count, limit });
                }
                with_number!(number, zeroed_numbers(scope, row_count * length, into))?
            }
            Kind::Number(number) => with_number!(number, zeroed_numbers(scope, row_count, into))?,
            _ => zeroed(scope, vec![0_f64; row_count], into)?,
        };
        let mut is_big = None;
        if self.kind == Kind::Wide {
            into.push(values.array::<i64>(scope)?);
            is_big = Some(zeroed(scope, vec![0_u8; row_count.div_ceil(8)], into)?);
        }
        Ok(Results { validity, values, is_big })
    }

    /// The column, over the memory that script filled, after [`Results::end`]. `collected` is what the loop collected beside
    /// the results.
    pub(crate) fn column<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        results: Results<'s>,
        row_count: usize,
        collected: v8::Local<'s, v8::Value>,
    ) -> Result<ArrayRef, Reason> {
        let bits = |bytes: Vec<u8>| BooleanBuffer::new(Buffer::from_vec(bytes), 0, row_count);
        let nulls = Some(NullBuffer::new(bits(results.validity.into_vec()?))).filter(|nulls| nulls.null_count() != 0);
        let values = results.values;
        Ok(match self.kind {
            Kind::Boolean => Arc::new(BooleanArray::new(bits(values.into_vec()?), nulls)),
            Kind::Number(number) => with_number!(number, numbers(values, nulls))?,
            Kind::Days => numbers::<Date32Type>(values, nulls)?,
            Kind::Text(layout) => {
                let failed = offheap_v8::Error::EngineFailed { engine: "V8", attempted: "collect strings" };
                let all = v8::Local::<v8::String>::try_from(collected).map_err(|_| failed)?;
                strings::column(scope, all, &values.into_vec()?, nulls, layout)?
            }
            Kind::Wide => {
                let is_big = results.is_big.map(Lent::into_vec::<u8>).transpose()?;
                let is_big = is_big.filter(|bytes| bytes.iter().any(|byte| *byte != 0)).map(bits);
                let numbers = values.into_vec()?;
                let whole = Returned { numbers: &numbers, is_big }.whole();
                made::<Int64Type>(whole.map_err(|row| self.wrong(row, numbers[row]))?, nulls)
            }
            Kind::Time(unit) => {
                let numbers = values.into_vec()?;
                let times = Returned { numbers: &numbers, is_big: None }.times(unit);
                self.times(times.map_err(|row| self.wrong(row, numbers[row]))?, unit, nulls)
            }
            Kind::FixedList(number, length) => items::fixed(&self.data_type, (number, length), values, nulls)?,
            kind @ (Kind::List(_) | Kind::Bytes(_)) => {
                items::column(scope, (&self.data_type, kind), collected, &values.into_vec()?, nulls)?
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

/// Memory for the results of one batch.
pub(crate) struct Results<'s> {
    validity: Lent<'s>,
    values: Lent<'s>,
    /// The rows whose 64 bits are those of a BigInt.
    is_big: Option<Lent<'s>>,
}

impl<'s> Results<'s> {
    /// Takes the memory from script.
    pub(crate) fn end(&self, scope: &mut v8::PinScope<'s, '_>) -> Result<(), Reason> {
        let lent = [Some(&self.validity), Some(&self.values), self.is_big.as_ref()];
        lent.into_iter().flatten().map(|lent| lent.end(scope)).fold(Ok(()), Result::and)
    }
}

fn zeroed<'s, T: View>(
    scope: &mut v8::PinScope<'s, '_>,
    vec: Vec<T>,
    into: &mut Vec<v8::Local<'s, v8::Value>>,
) -> Result<Lent<'s>, Reason> {
    let lent = Lent::new(scope, vec)?;
    into.push(lent.array::<T>(scope)?);
    Ok(lent)
}

fn zeroed_numbers<'s, T: ArrowPrimitiveType<Native: View>>(
    scope: &mut v8::PinScope<'s, '_>,
    row_count: usize,
    into: &mut Vec<v8::Local<'s, v8::Value>>,
) -> Result<Lent<'s>, Reason> {
    zeroed(scope, vec![T::Native::default(); row_count], into)
}

fn numbers<T: ArrowPrimitiveType<Native: View>>(
    values: Lent<'_>,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef, Reason> {
    Ok(made::<T>(values.into_vec()?, nulls))
}

fn made<T: ArrowPrimitiveType>(values: Vec<T::Native>, nulls: Option<NullBuffer>) -> ArrayRef {
    Arc::new(PrimitiveArray::<T>::new(ScalarBuffer::from(values), nulls))
}
