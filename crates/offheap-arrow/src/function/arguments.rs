//! Columns as the arguments of a function.

use std::borrow::Cow;

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Int64Type};
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType};
use arrow_buffer::NullBuffer;
use arrow_schema::DataType;
use offheap_v8::v8;

use super::error::{Count, Reason, Role};
use super::kind::{Kind, with_number};
use super::lent::{Batch, View};
use super::{bytes, lists, strings, wide};

/// The arguments of a function: one column each.
#[derive(Debug)]
pub(crate) struct Arguments {
    types: Vec<DataType>,
    columns: Vec<Argument>,
}

#[derive(Debug)]
struct Argument {
    kind: Kind,
    when_null: WhenNull,
}

/// What a NULL does in an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WhenNull {
    /// The function is not called for the row.
    NoCall,
    /// The argument is `undefined`, so the default value of the parameter applies.
    Undefined,
    /// The argument is `null`.
    Null,
}

impl Arguments {
    /// # Errors
    /// [`Reason::UnsupportedType`].
    pub(crate) fn new(types: &[DataType]) -> Result<Self, Reason> {
        let columns = types.iter().enumerate().map(|(index, data_type)| match Kind::of(data_type) {
            Some(kind) => Ok(Argument { kind, when_null: WhenNull::NoCall }),
            None => Err(Reason::UnsupportedType { role: Role::Argument(index), data_type: data_type.clone() }),
        });
        Ok(Arguments { types: types.to_vec(), columns: columns.collect::<Result<_, _>>()? })
    }

    /// Decides what NULLs do, one by one.
    pub(crate) fn when_null(&mut self, each: impl IntoIterator<Item = WhenNull>) {
        self.columns.iter_mut().zip(each).for_each(|(column, when_null)| column.when_null = when_null);
    }

    pub(crate) fn types(&self) -> &[DataType] {
        &self.types
    }

    pub(crate) fn have_text(&self) -> bool {
        self.columns.iter().any(|column| matches!(column.kind, Kind::Text(_)))
    }

    /// The parameters of the loop for these columns: each begins with a comma.
    pub(crate) fn parameters(&self) -> String {
        let mut text = String::new();
        for (k, column) in self.columns.iter().enumerate() {
            let names: &[_] = match column.kind {
                Kind::Number(_) | Kind::Days | Kind::Time(_) => &["A"],
                Kind::Boolean | Kind::FixedList(..) => &["A", "B"],
                Kind::Wide => &["A", "W"],
                Kind::Text(_) | Kind::Bytes(_) | Kind::List(_) => &["A", "O", "B"],
            };
            let validity: &[_] = if column.when_null == WhenNull::NoCall { &[] } else { &["N", "M"] };
            names.iter().chain(validity).for_each(|name| text += &format!(", {name}{k}"));
        }
        text
    }

    /// The arguments of the user's function for row `i`, in script.
    pub(crate) fn values(&self) -> String {
        self.columns.iter().enumerate().map(|(k, column)| column.value(k)).collect::<Vec<_>>().join(", ")
    }

    /// # Errors
    /// [`Reason::WrongColumns`] unless the columns are those that the function was made for, with `row_count` rows each.
    pub(crate) fn check(&self, columns: &[ArrayRef], row_count: usize) -> Result<(), Reason> {
        if columns.len() != self.columns.len() {
            let [expected, given] = [self.columns.len(), columns.len()].map(|count| Count(count, "column").to_string());
            return Err(Reason::WrongColumns { expected, given });
        }
        for (index, (column, expected)) in columns.iter().zip(&self.types).enumerate() {
            let role = Role::Argument(index);
            if !is_same(column.data_type(), expected) {
                let named = |data_type: &DataType| format!("{role} of {data_type}");
                return Err(Reason::WrongColumns { expected: named(expected), given: named(column.data_type()) });
            }
            if column.len() != row_count {
                let [expected, given] =
                    [row_count, column.len()].map(|count| format!("{role} with {}", Count(count, "row")));
                return Err(Reason::WrongColumns { expected, given });
            }
        }
        Ok(())
    }

    /// The columns, with the dictionaries among them decoded.
    pub(crate) fn decoded<'a>(&self, columns: &'a [ArrayRef]) -> Result<Cow<'a, [ArrayRef]>, Reason> {
        if !self.types.iter().any(|data_type| matches!(data_type, DataType::Dictionary(..))) {
            return Ok(Cow::Borrowed(columns));
        }
        let decoded = columns.iter().map(|column| match column.as_any_dictionary_opt() {
            None => Ok(column.clone()),
            Some(dictionary) => {
                arrow_select::take::take(dictionary.values(), dictionary.keys(), None).map_err(Reason::from)
            }
        });
        Ok(Cow::Owned(decoded.collect::<Result<_, _>>()?))
    }

    /// The rows for which the function is called, if these are not all.
    pub(crate) fn called_rows(&self, decoded: &[ArrayRef]) -> Option<NullBuffer> {
        let mut all = None;
        for (column, argument) in decoded.iter().zip(&self.columns) {
            if argument.when_null == WhenNull::NoCall && column.null_count() != 0 {
                all = NullBuffer::union(all.as_ref(), column.nulls());
            }
        }
        all
    }

    /// Adds the arguments of the loop for these columns, which [`check`](Self::check) has accepted and
    /// [`decoded`](Self::decoded) has decoded.
    pub(crate) fn lend<'a, 's>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        decoded: &'a [ArrayRef],
        batch: &mut Batch<'a, 's>,
    ) -> Result<(), Reason> {
        for (index, (column, argument)) in decoded.iter().zip(&self.columns).enumerate() {
            match argument.kind {
                Kind::Boolean => batch.bits(scope, column.as_boolean().values())?,
                Kind::Number(number) => with_number!(number, numbers(scope, batch, column))?,
                Kind::Wide => wide::lend(scope, batch, column.as_primitive::<Int64Type>().values())?,
                Kind::Text(layout) => strings::lend(scope, batch, column, layout)?,
                Kind::Days => numbers::<Date32Type>(scope, batch, column)?,
                Kind::Time(unit) => wide::lend_times(scope, batch, column, unit)?,
                Kind::Bytes(layout) => bytes::lend(scope, batch, column, layout)?,
                Kind::FixedList(number, length) => lists::lend_fixed(scope, batch, column, (number, length), index)?,
                Kind::List(number) => lists::lend(scope, batch, column, number, index)?,
            }
            if argument.when_null != WhenNull::NoCall {
                match column.nulls().filter(|nulls| nulls.null_count() != 0) {
                    Some(nulls) => batch.bits(scope, nulls.inner())?,
                    None => batch.undefined(scope, 2),
                }
            }
        }
        Ok(())
    }
}

impl Argument {
    /// The value of argument `k` for row `i`, in script.
    fn value(&self, k: usize) -> String {
        let value = match self.kind {
            Kind::Boolean => format!("((A{k}[(i + B{k}) >> 3] >> ((i + B{k}) & 7)) & 1) === 1"),
            Kind::Number(_) | Kind::Time(_) => format!("A{k}[i]"),
            Kind::Days => format!("A{k}[i] * 86400000"),
            Kind::Wide => {
                let is_exact = format!("A{k}[i] <= 9007199254740991 && A{k}[i] >= -9007199254740991");
                format!("(W{k} === undefined || ({is_exact}) ? A{k}[i] : W{k}[i])")
            }
            Kind::Text(_) => format!("substring(A{k}, O{k}[i] - B{k}, O{k}[i + 1] - B{k})"),
            Kind::Bytes(_) => format!("new U8(A{k}, O{k}[i] + B{k}, O{k}[i + 1] - O{k}[i])"),
            Kind::FixedList(number, length) => {
                let (array, byte_length) = (number.constructor(), length * number.byte_length());
                format!("new {array}(A{k}, i * {byte_length} + B{k}, {length})")
            }
            Kind::List(number) => {
                let (array, size) = (number.constructor(), number.byte_length());
                format!("new {array}(A{k}, O{k}[i] * {size} + B{k}, O{k}[i + 1] - O{k}[i])")
            }
        };
        let null = match self.when_null {
            WhenNull::NoCall => return value,
            WhenNull::Undefined => "undefined",
            WhenNull::Null => "null",
        };
        format!("(N{k} !== undefined && ((N{k}[(i + M{k}) >> 3] >> ((i + M{k}) & 7)) & 1) === 0 ? {null} : {value})")
    }
}

/// Whether a column has the type that was declared. The names of a list's items do not matter, and neither does whether they may be
/// NULL.
fn is_same(given: &DataType, expected: &DataType) -> bool {
    let list = |data_type| Kind::of(data_type).filter(|kind| matches!(kind, Kind::List(_) | Kind::FixedList(..)));
    given == expected || list(given).is_some_and(|kind| list(expected) == Some(kind))
}

/// A typed array over the column's own memory.
fn numbers<'s, T: ArrowPrimitiveType<Native: View>>(
    scope: &mut v8::PinScope<'s, '_>,
    batch: &mut Batch<'_, 's>,
    column: &ArrayRef,
) -> Result<(), Reason> {
    batch.elements::<T::Native>(scope, column.as_primitive::<T>().values().inner())
}
