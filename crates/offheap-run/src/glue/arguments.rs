//! Arguments of script that are expected to be numbers.

use crate::glue::failure::Failure;

/// The largest integer that a Number represents exactly, with all below it: 2 ** 53 - 1.
const MAX_SAFE_INTEGER: f64 = 9_007_199_254_740_991.0;

/// A value that script passed where a number is expected.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Argument {
    /// `undefined`, or nothing.
    Absent,
    /// A number.
    Number(f64),
    /// A value of this type, which is not a number.
    Other(&'static str),
}

impl Argument {
    /// A value that is neither absent nor a number. `found` is the name of its type in rquickjs's words; the result has
    /// that of `typeof`, or a more exact one for an object, such as `array`.
    pub fn other(found: &'static str) -> Argument {
        Argument::Other(match found {
            "bool" => "boolean",
            "big_int" => "bigint",
            "constructor" => "function",
            "exception" | "promise" | "proxy" => "object",
            other => other,
        })
    }

    /// The name of its type, as script knows it.
    pub(crate) fn found(self) -> &'static str {
        match self {
            Argument::Absent => "undefined",
            Argument::Number(_) => "number",
            Argument::Other(found) => found,
        }
    }

    /// The argument `name` as a number of bytes.
    ///
    /// # Errors
    /// A TypeError for a value that is not a number, a RangeError for a number that is negative, too large or not
    /// whole.
    pub(crate) fn byte_count(self, name: &str) -> Result<usize, Failure> {
        match self {
            Argument::Number(number) if is_count(number) => Ok(number as usize),
            Argument::Number(number) => Err(Failure::range_error(format!(
                "{name} is {}; pass a whole number of bytes, from 0 to 2 ** 53 - 1",
                in_script(number)
            ))),
            Argument::Absent => Err(Failure::type_error(format!("{name} is missing; pass a number of bytes"))),
            Argument::Other(found) => {
                Err(Failure::type_error(format!("{name} is of type {found}; pass a number of bytes")))
            }
        }
    }

    /// The argument `name` as a number of bytes, or `otherwise` where script did not pass it.
    ///
    /// # Errors
    /// Those of [`byte_count`](Self::byte_count).
    pub(crate) fn byte_count_or(self, name: &str, otherwise: usize) -> Result<usize, Failure> {
        match self {
            Argument::Absent => Ok(otherwise),
            given => given.byte_count(name),
        }
    }

    /// The argument `name` as the value of one byte.
    ///
    /// # Errors
    /// A TypeError for a value that is not a number, a RangeError for a number that no byte has.
    pub(crate) fn byte(self, name: &str) -> Result<u8, Failure> {
        match self {
            Argument::Number(number) if is_count(number) && number <= 255.0 => Ok(number as u8),
            Argument::Number(number) => {
                let number = in_script(number);
                Err(Failure::range_error(format!("{name} is {number}; pass a whole number from 0 to 255")))
            }
            _ => Err(Failure::type_error(format!("{name} is not a number; pass one from 0 to 255"))),
        }
    }
}

/// A number in JavaScript's notation.
fn in_script(number: f64) -> String {
    if number.is_infinite() {
        return if number > 0.0 { "Infinity".to_owned() } else { "-Infinity".to_owned() };
    }
    if number.abs() >= 1e21 || number != 0.0 && number.abs() < 1e-6 {
        format!("{number:e}")
    } else {
        number.to_string()
    }
}

fn is_count(number: f64) -> bool {
    number.fract() == 0.0 && (0.0..=MAX_SAFE_INTEGER).contains(&number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::glue::failure::Class;

    #[test]
    fn byte_counts_are_whole_and_not_negative() {
        let count = |number| Argument::Number(number).byte_count("n").map_err(|failure| failure.class);
        assert_eq!(count(0.0), Ok(0));
        assert_eq!(count(-0.0), Ok(0));
        assert_eq!(count(MAX_SAFE_INTEGER), Ok((1 << 53) - 1));
        for bad in [-1.0, 0.5, f64::NAN, f64::INFINITY, MAX_SAFE_INTEGER + 1.0] {
            assert_eq!(count(bad), Err(Class::Range), "{bad}");
        }
        assert_eq!(Argument::Other("string").byte_count("n").map_err(|failure| failure.class), Err(Class::Type));
        assert_eq!(Argument::Absent.byte_count_or("n", 7), Ok(7));
    }

    #[test]
    fn c22_numbers_and_types_are_said_as_script_has_them() {
        let said = |argument: Argument| argument.byte_count("n").unwrap_err().message;
        for (number, shown) in
            [(f64::INFINITY, "Infinity"), (f64::NEG_INFINITY, "-Infinity"), (1e300, "1e300"), (-0.5, "-0.5")]
        {
            assert!(said(Argument::Number(number)).starts_with(&format!("n is {shown}; ")), "{number}");
        }
        assert!(said(Argument::other("big_int")).starts_with("n is of type bigint; "));
        assert!(said(Argument::other("bool")).starts_with("n is of type boolean; "));
    }

    #[test]
    fn bytes_are_from_0_to_255() {
        assert_eq!(Argument::Number(255.0).byte("n"), Ok(255));
        assert_eq!(Argument::Number(256.0).byte("n").map_err(|failure| failure.class), Err(Class::Range));
        assert_eq!(Argument::Absent.byte("n").map_err(|failure| failure.class), Err(Class::Type));
    }
}
