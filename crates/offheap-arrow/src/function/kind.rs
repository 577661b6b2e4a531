//! The types that functions take and return: a closed list.

use arrow_schema::{DataType, TimeUnit};

/// What script sees of a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A boolean.
    Boolean,
    /// A Number that is an element of the column.
    Number(Number),
    /// A Number, or a BigInt if it is beyond 2^53 - 1: `Int64`.
    Wide,
    /// A string.
    Text(Layout),
    /// A Number, the milliseconds since 1970: `Date32`, which counts days.
    Days,
    /// A Number, the milliseconds since 1970: `Date64`, and timestamps.
    Time(TimeUnit),
    /// A `Uint8Array`.
    Bytes(Layout),
    /// A typed array over elements of a list with as many items in each row.
    FixedList(Number, usize),
    /// A typed array over elements of a list.
    List(Number),
}

/// The element of a typed array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Number {
    I8,
    U8,
    I16,
    U16,
    I32,
    U32,
    I64,
    F32,
    F64,
}

/// How strings and bytes are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// Offsets of 32 bits.
    Small,
    /// Offsets of 64 bits.
    Large,
    /// Views.
    View,
}

impl Kind {
    /// The kind of the values of a type, if it is on the list. A dictionary is of the kind of its values.
    pub(crate) fn of(data_type: &DataType) -> Option<Kind> {
        Some(match data_type {
            DataType::Boolean => Kind::Boolean,
            DataType::Int64 => Kind::Wide,
            DataType::Utf8 => Kind::Text(Layout::Small),
            DataType::LargeUtf8 => Kind::Text(Layout::Large),
            DataType::Utf8View => Kind::Text(Layout::View),
            DataType::Binary => Kind::Bytes(Layout::Small),
            DataType::LargeBinary => Kind::Bytes(Layout::Large),
            DataType::BinaryView => Kind::Bytes(Layout::View),
            DataType::Date32 => Kind::Days,
            DataType::Date64 => Kind::Time(TimeUnit::Millisecond),
            DataType::Timestamp(unit, _) => Kind::Time(*unit),
            DataType::FixedSizeList(item, length) => {
                Kind::FixedList(Number::of(item.data_type())?, usize::try_from(*length).ok()?)
            }
            DataType::List(item) => Kind::List(Number::of(item.data_type())?),
            DataType::Dictionary(_, values) if !matches!(**values, DataType::Dictionary(..)) => {
                return Kind::of(values);
            }
            number => Kind::Number(Number::of(number)?),
        })
    }

    /// The kind of a result: what [`of`](Self::of) gives, except for dictionaries, lists of `Int64`, and lists of
    /// no items.
    pub(crate) fn of_result(data_type: &DataType) -> Option<Kind> {
        let kind = Kind::of(data_type).filter(|_| !matches!(data_type, DataType::Dictionary(..)))?;
        match kind {
            Kind::FixedList(Number::I64, _) | Kind::FixedList(_, 0) | Kind::List(Number::I64) => None,
            kind => Some(kind),
        }
    }
}

impl Number {
    fn of(data_type: &DataType) -> Option<Number> {
        Some(match data_type {
            DataType::Int8 => Number::I8,
            DataType::UInt8 => Number::U8,
            DataType::Int16 => Number::I16,
            DataType::UInt16 => Number::U16,
            DataType::Int32 => Number::I32,
            DataType::UInt32 => Number::U32,
            DataType::Int64 => Number::I64,
            DataType::Float32 => Number::F32,
            DataType::Float64 => Number::F64,
            _ => return None,
        })
    }

    /// The constructor of the typed array, under the name that the loops know it by.
    pub(crate) fn constructor(self) -> &'static str {
        match self {
            Number::I8 => "I8",
            Number::U8 => "U8",
            Number::I16 => "I16",
            Number::U16 => "U16",
            Number::I32 => "I32",
            Number::U32 => "U32",
            Number::I64 => "I64",
            Number::F32 => "F32",
            Number::F64 => "F64",
        }
    }

    /// Whether the value of a variable in script belongs to this type, in script. Fractions and what is out of range do not.
    pub(crate) fn is_right(self, variable: &str) -> String {
        let whole = |form: String| format!("typeof {variable} === 'number' && ({form}) === {variable}");
        match self {
            Number::I8 => whole(format!("{variable} << 24 >> 24")),
            Number::U8 => whole(format!("{variable} & 255")),
            Number::I16 => whole(format!("{variable} << 16 >> 16")),
            Number::U16 => whole(format!("{variable} & 65535")),
            Number::I32 => whole(format!("{variable} | 0")),
            Number::U32 => whole(format!("{variable} >>> 0")),
            Number::I64 => format!("typeof {variable} === 'bigint'"),
            Number::F32 | Number::F64 => format!("typeof {variable} === 'number'"),
        }
    }

    pub(crate) fn byte_length(self) -> usize {
        match self {
            Number::I8 | Number::U8 => 1,
            Number::I16 | Number::U16 => 2,
            Number::I32 | Number::U32 | Number::F32 => 4,
            Number::I64 | Number::F64 => 8,
        }
    }
}

/// Calls a function with the primitive type of Arrow that a [`Number`] stands for.
macro_rules! with_number {
    ($number:expr, $function:ident ( $($argument:expr),* $(,)? )) => {
        match $number {
            $crate::function::kind::Number::I8 => $function::<arrow_array::types::Int8Type>($($argument),*),
            $crate::function::kind::Number::U8 => $function::<arrow_array::types::UInt8Type>($($argument),*),
            $crate::function::kind::Number::I16 => $function::<arrow_array::types::Int16Type>($($argument),*),
            $crate::function::kind::Number::U16 => $function::<arrow_array::types::UInt16Type>($($argument),*),
            $crate::function::kind::Number::I32 => $function::<arrow_array::types::Int32Type>($($argument),*),
            $crate::function::kind::Number::U32 => $function::<arrow_array::types::UInt32Type>($($argument),*),
            $crate::function::kind::Number::I64 => $function::<arrow_array::types::Int64Type>($($argument),*),
            $crate::function::kind::Number::F32 => $function::<arrow_array::types::Float32Type>($($argument),*),
            $crate::function::kind::Number::F64 => $function::<arrow_array::types::Float64Type>($($argument),*),
        }
    };
}
pub(crate) use with_number;
