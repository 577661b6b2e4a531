//! Which arguments a function takes, besides those of its declared types.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, plan_err};

use crate::definition::Definition;

/// The types to which a call's arguments are cast: the declared ones.
///
/// # Errors
/// If there are more or fewer arguments than parameters, or if a cast would lose something without an error.
pub(crate) fn arguments(definition: &Definition, given: &[DataType]) -> Result<Vec<DataType>> {
    let declared = definition.types();
    if given.len() != declared.len() {
        return plan_err!(
            "JavaScript function {}: it has {}, and is called with {}",
            definition.name,
            counted(declared.len(), "parameter"),
            counted(given.len(), "argument")
        );
    }
    for (at, (declared, given)) in declared.iter().zip(given).enumerate() {
        if !is_taken(declared, given) {
            return plan_err!(
                "JavaScript function {}: argument {} has the type {given}, which is not taken for {declared}; cast it",
                definition.name,
                at + 1
            );
        }
    }
    Ok(declared)
}

fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// Whether DataFusion may cast a `given` to a `declared`. Where a value does not fit, its cast is an error.
fn is_taken(declared: &DataType, given: &DataType) -> bool {
    use DataType::*;
    let is_number = |data_type: &DataType| data_type.is_integer() || data_type.is_floating();
    match (declared, given) {
        (declared, given) if declared == given => true,
        (_, Null) => true,
        (_, Dictionary(_, values)) => is_taken(declared, values),
        (declared, given) if is_number(declared) && given.is_integer() => true,
        (declared, given) if declared.is_floating() => given.is_floating() || given.is_decimal(),
        (Utf8 | LargeUtf8 | Utf8View, Utf8 | LargeUtf8 | Utf8View) => true,
        (Binary | LargeBinary | BinaryView, Binary | LargeBinary | BinaryView) => true,
        // SQL's literals of these types are often plain strings.
        (Date32 | Date64 | Timestamp(..), Utf8 | LargeUtf8 | Utf8View) => true,
        (Date32 | Date64, Date32 | Date64) | (Timestamp(..), Date32 | Date64) => true,
        (Timestamp(declared, declared_zone), Timestamp(given, given_zone)) => {
            declared >= given && declared_zone == given_zone
        }
        (FixedSizeList(declared, length), FixedSizeList(given, given_length)) => {
            length == given_length && is_taken(declared.data_type(), given.data_type())
        }
        (List(declared) | LargeList(declared) | FixedSizeList(declared, _), List(given) | LargeList(given))
        | (List(declared) | LargeList(declared), FixedSizeList(given, _)) => {
            is_taken(declared.data_type(), given.data_type())
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::datatypes::{Field, TimeUnit};

    use super::*;

    #[test]
    fn takes_what_a_cast_keeps_or_refuses() {
        use DataType::*;
        let list = |item| Arc::new(Field::new_list_field(item, true));
        for (declared, given) in [
            (Int32, Int64), // SQL's literals are BIGINT
            (Int64, UInt64),
            (Float64, Int64),
            (Float32, Float64),
            (Float64, Decimal128(10, 2)),
            (Float64, Null),
            (Utf8View, Utf8),
            (Utf8View, Null),
            (Timestamp(TimeUnit::Nanosecond, None), Utf8),
            (Timestamp(TimeUnit::Nanosecond, None), Timestamp(TimeUnit::Second, None)),
            (Timestamp(TimeUnit::Second, None), Date32),
            (Boolean, Boolean),
            (Float64, Dictionary(Box::new(Int8), Box::new(Int16))),
            (Utf8View, Dictionary(Box::new(Int32), Box::new(Utf8))),
            (FixedSizeList(list(Float32), 2), List(list(Float64))),
            (List(list(Float64)), FixedSizeList(list(Int64), 2)),
        ] {
            assert!(is_taken(&declared, &given), "{given} for {declared}");
        }
        for (declared, given) in [
            (Int32, Float64),
            (Int32, Decimal128(10, 2)),
            (Int32, Utf8),
            (Float64, Utf8View),
            (Float64, Boolean),
            (Boolean, Int32),
            (Utf8View, Int64),
            (Date32, Timestamp(TimeUnit::Second, None)),
            (Timestamp(TimeUnit::Second, None), Timestamp(TimeUnit::Nanosecond, None)),
            (FixedSizeList(list(Float32), 2), FixedSizeList(list(Float32), 3)),
            (List(list(Int32)), List(list(Float64))),
            (Float64, Dictionary(Box::new(Int8), Box::new(Utf8))),
        ] {
            assert!(!is_taken(&declared, &given), "{given} for {declared}");
        }
    }
}
