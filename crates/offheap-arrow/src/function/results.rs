//! Results of a function as a column.

use std::sync::Arc;

use arrow_array::types::{Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, UInt8Type, UInt16Type, UInt32Type};
use arrow_array::{ArrayRef, ArrowPrimitiveType, BooleanArray, PrimitiveArray};
use arrow_buffer::{BooleanBuffer, NullBuffer, ScalarBuffer};
use arrow_schema::DataType;
use offheap_v8::v8;

use super::error::{Reason, Role};
use super::lent::{Lent, View};
use super::rows::WRONG;

/// The parameters of a loop for the validity bits of the results, and for the results.
pub(crate) const PARAMETERS: &str = ", OV, O";

/// # Errors
/// [`Reason::UnsupportedType`].
pub(crate) fn check_type(data_type: &DataType) -> Result<(), Reason> {
    use DataType::*;
    match data_type {
        Boolean | Int8 | UInt8 | Int16 | UInt16 | Int32 | UInt32 | Float32 | Float64 => Ok(()),
        other => Err(Reason::UnsupportedType { role: Role::Result, data_type: other.clone() }),
    }
}

/// What a loop does with the result `r` of row `i`. Nothing is converted: a result of another type ends the loop.
pub(crate) fn store(data_type: &DataType) -> String {
    let (is_right, store) = match data_type {
        DataType::Boolean => {
            return format!("if (r === true) O[i >> 3] |= 1 << (i & 7); else if (r !== false) {}", or_null());
        }
        DataType::Int8 => ("(r << 24 >> 24) === r", "O[i] = r;"),
        DataType::UInt8 => ("(r & 255) === r", "O[i] = r;"),
        DataType::Int16 => ("(r << 16 >> 16) === r", "O[i] = r;"),
        DataType::UInt16 => ("(r & 65535) === r", "O[i] = r;"),
        DataType::Int32 => ("(r | 0) === r", "O[i] = r;"),
        DataType::UInt32 => ("(r >>> 0) === r", "O[i] = r;"),
        _ => ("typeof r === 'number'", "O[i] = r;"),
    };
    format!("if ({is_right}) {{ {store} }} else {}", or_null())
}

/// A row without a result is NULL.
fn or_null() -> String {
    format!("if (r === null || r === undefined) OV[i >> 3] &= ~(1 << (i & 7)); else {WRONG}")
}

/// Memory for the results of one batch.
pub(crate) struct Results<'s> {
    validity: Lent<'s>,
    values: Lent<'s>,
}

impl<'s> Results<'s> {
    /// Lends memory for `row_count` results to script. Rows that are not called are NULL.
    pub(crate) fn lend(
        scope: &mut v8::PinScope<'s, '_>,
        data_type: &DataType,
        row_count: usize,
        called: Option<&NullBuffer>,
        into: &mut Vec<v8::Local<'s, v8::Value>>,
    ) -> Result<Self, Reason> {
        let validity = match called {
            None => vec![0xff_u8; row_count.div_ceil(8)],
            Some(called) => {
                let mut bits = called.inner().sliced().to_vec();
                bits.resize(row_count.div_ceil(8), 0);
                bits
            }
        };
        let validity = lend(scope, validity, into)?;
        let values = match data_type {
            DataType::Boolean => lend(scope, vec![0_u8; row_count.div_ceil(8)], into)?,
            DataType::Int8 => lend(scope, vec![0_i8; row_count], into)?,
            DataType::UInt8 => lend(scope, vec![0_u8; row_count], into)?,
            DataType::Int16 => lend(scope, vec![0_i16; row_count], into)?,
            DataType::UInt16 => lend(scope, vec![0_u16; row_count], into)?,
            DataType::Int32 => lend(scope, vec![0_i32; row_count], into)?,
            DataType::UInt32 => lend(scope, vec![0_u32; row_count], into)?,
            DataType::Float32 => lend(scope, vec![0_f32; row_count], into)?,
            DataType::Float64 => lend(scope, vec![0_f64; row_count], into)?,
            other => unreachable!("{other} was refused when the function was made"),
        };
        Ok(Results { validity, values })
    }

    /// Takes the memory from script.
    pub(crate) fn end(&self, scope: &mut v8::PinScope<'s, '_>) -> Result<(), Reason> {
        let [validity, values] = [self.validity.end(scope), self.values.end(scope)];
        validity.and(values)
    }

    /// The column, over the memory that script filled, after [`end`](Self::end).
    pub(crate) fn into_array(self, data_type: &DataType, row_count: usize) -> Result<ArrayRef, Reason> {
        let bits = |bits: Lent<'_>| Ok::<_, Reason>(BooleanBuffer::new(bits.into_vec::<u8>()?.into(), 0, row_count));
        let nulls = Some(NullBuffer::new(bits(self.validity)?)).filter(|nulls| nulls.null_count() != 0);
        let values = self.values;
        match data_type {
            DataType::Boolean => Ok(Arc::new(BooleanArray::new(bits(values)?, nulls))),
            DataType::Int8 => numbers::<Int8Type>(values, nulls),
            DataType::UInt8 => numbers::<UInt8Type>(values, nulls),
            DataType::Int16 => numbers::<Int16Type>(values, nulls),
            DataType::UInt16 => numbers::<UInt16Type>(values, nulls),
            DataType::Int32 => numbers::<Int32Type>(values, nulls),
            DataType::UInt32 => numbers::<UInt32Type>(values, nulls),
            DataType::Float32 => numbers::<Float32Type>(values, nulls),
            DataType::Float64 => numbers::<Float64Type>(values, nulls),
            other => unreachable!("{other} was refused when the function was made"),
        }
    }
}

fn lend<'s, T: View>(
    scope: &mut v8::PinScope<'s, '_>,
    vec: Vec<T>,
    into: &mut Vec<v8::Local<'s, v8::Value>>,
) -> Result<Lent<'s>, Reason> {
    let lent = Lent::new(scope, vec)?;
    into.push(lent.array::<T>(scope)?);
    Ok(lent)
}

fn numbers<T: ArrowPrimitiveType<Native: View>>(
    values: Lent<'_>,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef, Reason> {
    let values = ScalarBuffer::from(values.into_vec::<T::Native>()?);
    Ok(Arc::new(PrimitiveArray::<T>::new(values, nulls)))
}
