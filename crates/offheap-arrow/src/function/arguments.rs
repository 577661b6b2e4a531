//! Columns as the arguments of a function.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, UInt8Type, UInt16Type, UInt32Type};
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType};
use arrow_buffer::NullBuffer;
use arrow_schema::DataType;
use offheap_v8::v8;

use super::error::{Reason, Role};
use super::lent::{Lender, View};

/// The arguments of a function: one column each.
#[derive(Debug)]
pub(crate) struct Arguments {
    types: Vec<DataType>,
}

impl Arguments {
    /// # Errors
    /// [`Reason::UnsupportedType`].
    pub(crate) fn new(types: &[DataType]) -> Result<Self, Reason> {
        for (index, data_type) in types.iter().enumerate() {
            if !is_supported(data_type) {
                return Err(Reason::UnsupportedType { role: Role::Argument(index), data_type: data_type.clone() });
            }
        }
        Ok(Arguments { types: types.to_vec() })
    }

    pub(crate) fn types(&self) -> &[DataType] {
        &self.types
    }

    /// The parameters of the loop for these columns: each begins with a comma.
    pub(crate) fn parameters(&self) -> String {
        let parameter = |(k, data_type): (usize, &DataType)| match data_type {
            DataType::Boolean => format!(", A{k}, B{k}"),
            _ => format!(", A{k}"),
        };
        self.types.iter().enumerate().map(parameter).collect()
    }

    /// The arguments of the user's function for row `i`, in script.
    pub(crate) fn values(&self) -> String {
        let value = |(k, data_type): (usize, &DataType)| match data_type {
            DataType::Boolean => format!("((A{k}[(i + B{k}) >> 3] >> ((i + B{k}) & 7)) & 1) === 1"),
            _ => format!("A{k}[i]"),
        };
        self.types.iter().enumerate().map(value).collect::<Vec<_>>().join(", ")
    }

    /// # Errors
    /// [`Reason::WrongColumns`] unless the columns are those that the function was made for, with `row_count` rows each.
    pub(crate) fn check(&self, columns: &[ArrayRef], row_count: usize) -> Result<(), Reason> {
        if columns.len() != self.types.len() {
            let [expected, given] = [self.types.len(), columns.len()].map(|count| format!("{count} columns"));
            return Err(Reason::WrongColumns { expected, given });
        }
        for (index, (column, expected)) in columns.iter().zip(&self.types).enumerate() {
            let role = Role::Argument(index);
            if column.data_type() != expected {
                let [expected, given] =
                    [expected, column.data_type()].map(|data_type| format!("{role} of {data_type}"));
                return Err(Reason::WrongColumns { expected, given });
            }
            if column.len() != row_count {
                let [expected, given] = [row_count, column.len()].map(|count| format!("{role} with {count} rows"));
                return Err(Reason::WrongColumns { expected, given });
            }
        }
        Ok(())
    }

    /// The rows for which the function is called, if these are not all.
    pub(crate) fn called_rows(&self, columns: &[ArrayRef]) -> Option<NullBuffer> {
        let all = columns.iter().fold(None, |all: Option<NullBuffer>, column| {
            NullBuffer::union(all.as_ref(), column.logical_nulls().as_ref())
        });
        all.filter(|nulls| nulls.null_count() != 0)
    }

    /// Adds the arguments of the loop for these columns, which [`check`](Self::check) has accepted.
    pub(crate) fn lend<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        lender: &Lender,
        columns: &[ArrayRef],
        into: &mut Vec<v8::Local<'s, v8::Value>>,
    ) -> Result<(), Reason> {
        for column in columns {
            match column.data_type() {
                DataType::Boolean => into.extend(lender.bits(scope, column.as_boolean().values())?),
                DataType::Int8 => into.push(numbers::<Int8Type>(scope, lender, column)?),
                DataType::UInt8 => into.push(numbers::<UInt8Type>(scope, lender, column)?),
                DataType::Int16 => into.push(numbers::<Int16Type>(scope, lender, column)?),
                DataType::UInt16 => into.push(numbers::<UInt16Type>(scope, lender, column)?),
                DataType::Int32 => into.push(numbers::<Int32Type>(scope, lender, column)?),
                DataType::UInt32 => into.push(numbers::<UInt32Type>(scope, lender, column)?),
                DataType::Float32 => into.push(numbers::<Float32Type>(scope, lender, column)?),
                DataType::Float64 => into.push(numbers::<Float64Type>(scope, lender, column)?),
                other => unreachable!("{other} was refused when the function was made"),
            }
        }
        Ok(())
    }
}

fn is_supported(data_type: &DataType) -> bool {
    use DataType::*;
    matches!(data_type, Boolean | Int8 | UInt8 | Int16 | UInt16 | Int32 | UInt32 | Float32 | Float64)
}

/// A typed array over the column's own memory.
fn numbers<'s, T: ArrowPrimitiveType<Native: View>>(
    scope: &mut v8::PinScope<'s, '_>,
    lender: &Lender,
    column: &ArrayRef,
) -> Result<v8::Local<'s, v8::Value>, Reason> {
    lender.elements::<T::Native>(scope, column.as_primitive::<T>().values().inner())
}
