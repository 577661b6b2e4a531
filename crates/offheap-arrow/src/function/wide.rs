//! Columns of 64 bits as Numbers: BIGINT, dates and timestamps.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date64Type, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};
use arrow_array::{Array, ArrayRef};
use arrow_buffer::{BooleanBuffer, ScalarBuffer};
use arrow_schema::{DataType, TimeUnit};
use offheap_v8::v8;

use super::error::Reason;
use super::lent::Batch;

/// The largest whole number that a Number represents together with its neighbours.
pub(crate) const MAX_SAFE: i64 = (1 << 53) - 1;

/// Lends a column of BIGINT: the values as Numbers, and the column itself if not all of them are exact.
pub(crate) fn lend<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    batch: &mut Batch<'_, 's>,
    values: &ScalarBuffer<i64>,
) -> Result<(), Reason> {
    batch.vec(scope, values.iter().map(|&value| value as f64).collect())?;
    // Both shifts are zero if all values are from -MAX_SAFE to MAX_SAFE. The compiler makes vectors of this loop.
    let beyond = |value: i64| (value.wrapping_add(MAX_SAFE) as u64 | value.wrapping_add(MAX_SAFE + 1) as u64) >> 54;
    if values.iter().fold(0, |any, &value| any | beyond(value)) == 0 {
        batch.undefined(scope, 1);
        Ok(())
    } else {
        batch.elements::<i64>(scope, values.inner())
    }
}

/// Lends a column of times as milliseconds.
pub(crate) fn lend_times<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    batch: &mut Batch<'_, 's>,
    column: &ArrayRef,
    unit: TimeUnit,
) -> Result<(), Reason> {
    let values = match unit {
        TimeUnit::Second => column.as_primitive::<TimestampSecondType>().values(),
        TimeUnit::Millisecond if *column.data_type() == DataType::Date64 => {
            column.as_primitive::<Date64Type>().values()
        }
        TimeUnit::Millisecond => column.as_primitive::<TimestampMillisecondType>().values(),
        TimeUnit::Microsecond => column.as_primitive::<TimestampMicrosecondType>().values(),
        TimeUnit::Nanosecond => column.as_primitive::<TimestampNanosecondType>().values(),
    };
    let times = match unit {
        TimeUnit::Second => values.iter().map(|&value| value as f64 * 1000.0).collect(),
        TimeUnit::Millisecond => values.iter().map(|&value| value as f64).collect(),
        TimeUnit::Microsecond => values.iter().map(|&value| milliseconds::<1_000>(value)).collect(),
        TimeUnit::Nanosecond => values.iter().map(|&value| milliseconds::<1_000_000>(value)).collect(),
    };
    batch.vec(scope, times)
}

/// The milliseconds of a time in a unit of which a millisecond has `UNITS`. Whole milliseconds are exact.
fn milliseconds<const UNITS: i64>(value: i64) -> f64 {
    (value / UNITS) as f64 + (value % UNITS) as f64 / UNITS as f64
}

/// The inverse of [`milliseconds`], rounded to the unit.
fn units<const UNITS: i64>(number: f64) -> Option<i64> {
    let whole = number.floor();
    let rest = ((number - whole) * UNITS as f64).round();
    exact(whole)?.checked_mul(UNITS)?.checked_add(rest as i64)
}

/// A whole number in the range of an `i64`.
fn exact(number: f64) -> Option<i64> {
    let fits = number.trunc() == number && (-(2f64.powi(63))..2f64.powi(63)).contains(&number);
    fits.then_some(number as i64)
}

/// Numbers that a function returned for a column of 64 bits.
pub(crate) struct Returned<'a> {
    /// The Numbers, and in rows that `is_big` names the 64 bits of a BigInt.
    pub(crate) numbers: &'a [f64],
    pub(crate) is_big: Option<BooleanBuffer>,
}

impl Returned<'_> {
    /// The values of a column of BIGINT. The error is a row whose Number is no exact whole number.
    pub(crate) fn whole(&self) -> Result<Vec<i64>, usize> {
        if let Some(is_big) = &self.is_big {
            return (0..self.numbers.len())
                .map(|row| match is_big.value(row) {
                    true => Ok(self.numbers[row].to_bits() as i64),
                    false => Some(self.numbers[row]).filter(|x| is_exact(*x)).map(|x| x as i64).ok_or(row),
                })
                .collect();
        }
        // Without a branch for each row.
        let (mut all, mut values) = (true, Vec::with_capacity(self.numbers.len()));
        values.extend(self.numbers.iter().map(|&x| {
            all &= is_exact(x);
            x as i64
        }));
        match all {
            true => Ok(values),
            false => Err(self.numbers.iter().position(|&x| !is_exact(x)).unwrap_or_default()),
        }
    }

    /// The values of a column of times. The error is a row whose milliseconds are no time in this unit: no number, out of range,
    /// or between two milliseconds or seconds. For finer units they are rounded, because a Number has no exact nanoseconds.
    pub(crate) fn times(&self, unit: TimeUnit) -> Result<Vec<i64>, usize> {
        let time = |number: f64| match unit {
            TimeUnit::Second => exact(number / 1000.0).filter(|seconds| *seconds as f64 * 1000.0 == number),
            TimeUnit::Millisecond => exact(number),
            TimeUnit::Microsecond => units::<1_000>(number),
            TimeUnit::Nanosecond => units::<1_000_000>(number),
        };
        self.numbers.iter().enumerate().map(|(row, &number)| time(number).ok_or(row)).collect()
    }
}

fn is_exact(number: f64) -> bool {
    let value = number as i64;
    (value as f64 == number) & (value.unsigned_abs() <= MAX_SAFE as u64)
}
