//! What can go wrong with a function of JavaScript over columns.

use std::fmt;

use arrow_schema::{ArrowError, DataType, TimeUnit};

/// Why a function could not be made, or a batch not be computed. Every error names the function.
#[derive(Debug, thiserror::Error)]
#[error("JavaScript function {function}: {reason}")]
pub struct Error {
    function: String,
    reason: Reason,
}

impl Error {
    pub(crate) fn new(function: &str, reason: Reason) -> Self {
        Error { function: function.to_owned(), reason }
    }

    /// The name of the function.
    pub fn function(&self) -> &str {
        &self.function
    }

    /// What went wrong.
    pub fn reason(&self) -> &Reason {
        &self.reason
    }

    /// Whether script was ended from outside, by `terminate_execution` of the isolate's handle or by a limit on its heap.
    pub fn is_terminated(&self) -> bool {
        self.reason.is_terminated()
    }
}

/// What went wrong in a function.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// A type that is not on the list of supported types.
    #[error("{role} has the type {data_type}, which JavaScript functions do not {}", what_to_do(*role))]
    UnsupportedType {
        /// Which of the function's types it is.
        role: Role,
        /// The type.
        data_type: DataType,
    },
    /// The text is an expression, but its value is no function.
    #[error("its text is {value}, not a function such as `x => x + 1`")]
    NotAFunction {
        /// The value, as V8 describes it.
        value: String,
    },
    /// The text is neither a function nor a body with a `return`, so it could return nothing.
    #[error("its text is a body without `return`; a body needs `return`, or write a function such as `x => x + 1`")]
    NoReturn,
    /// The text is an expression, but its value is not an object with a state and its methods.
    #[error("its {part} is {value}, not {expected}")]
    NotAnAggregate {
        /// Which part of the object is wrong, or `text` for all of it.
        part: String,
        /// What it is, as V8 describes it.
        value: String,
        /// What it must be.
        expected: String,
    },
    /// A name that cannot be that of a parameter in JavaScript.
    #[error("{name:?} cannot be the name of a parameter in JavaScript")]
    ParameterName {
        /// The name.
        name: String,
    },
    /// The function in the text has another number of parameters than there are columns.
    #[error(
        "its text has {}, and {} {} declared",
        Count(*declared, "parameter"),
        Count(*expected, "argument"),
        if *expected == 1 { "is" } else { "are" }
    )]
    ParameterCount {
        /// How many there are in the text.
        declared: usize,
        /// How many types of arguments were given.
        expected: usize,
    },
    /// The text has a mistake in its syntax, or script threw.
    #[error("{message}{}{}", AtPlace(*place), InRow(*row))]
    Script {
        /// What was thrown, as V8 describes it.
        message: String,
        /// Where, if it was in the function's text.
        place: Option<Place>,
        /// The row of the batch, unless the text was only compiled.
        row: Option<usize>,
    },
    /// The function returned a value that does not belong to its type.
    #[error(
        "it returned {value} ({value_type}) for row {row}, which is no {expected}{}",
        hint(expected, value, value_type)
    )]
    WrongResult {
        /// The row of the batch.
        row: usize,
        /// The value, as V8 describes it.
        value: String,
        /// The value's `typeof`.
        value_type: String,
        /// The type that was declared.
        expected: DataType,
    },
    /// The function returned a list with an item that does not belong to its type.
    #[error("it returned a list with {value} ({value_type}) at index {item} for row {row}, which is in no {expected}")]
    WrongItem {
        /// The row of the batch.
        row: usize,
        /// The index in the list.
        item: usize,
        /// The item, as V8 describes it.
        value: String,
        /// The item's `typeof`.
        value_type: String,
        /// The type of the list that was declared.
        expected: DataType,
    },
    /// A method of an aggregate left a value in a state that does not belong there. The state has not changed.
    #[error("its `{method}` left {value} ({value_type}) in `{field}` for row {row}, not {expected}")]
    WrongState {
        /// The method: `step` or `merge`.
        method: &'static str,
        /// The row of the batch.
        row: usize,
        /// The field of the state.
        field: Box<str>,
        /// The value, as V8 describes it.
        value: Box<str>,
        /// The value's `typeof`.
        value_type: Box<str>,
        /// What belongs there.
        expected: Box<str>,
    },
    /// The states of an aggregate's groups are gone, because an earlier call was stopped before it gave them back.
    #[error("its states were lost when an earlier call was stopped; begin again with new groups")]
    StateLost,
    /// Script was ended from outside, by `terminate_execution` of the isolate's handle. A request that came when no script ran
    /// any more ends the next call, unless `cancel_terminate_execution` takes it back.
    #[error("it was stopped")]
    Terminated,
    /// Other columns than the function was made for.
    #[error("it was made for {expected}, and got {given}")]
    WrongColumns {
        /// What was declared.
        expected: String,
        /// What the call gave.
        given: String,
    },
    /// A list that is not NULL has a NULL in it. A typed array has no such elements.
    #[error("{role} has a NULL in the list of row {row}; lists of numbers have none")]
    NullItem {
        /// Which of the columns it is.
        role: Role,
        /// The row of the batch.
        row: usize,
    },
    /// A batch has more rows or more bytes than one call can have.
    #[error("a batch with {given} {unit} is too large, it may have {limit}; use smaller batches")]
    TooLarge {
        /// The unit of the numbers.
        unit: &'static str,
        /// How many there are.
        given: usize,
        /// How many there may be.
        limit: usize,
    },
    /// The lists or bytes that the function returned for a batch are collected in ArrayBuffers, and V8 gave no more memory for
    /// these. They count for [`max_buffer_bytes`](offheap_v8::IsolateBuilder::max_buffer_bytes).
    #[error(
        "the lists or bytes of a batch need more memory than the ArrayBuffers of its isolate may have, in row {row}; use \
         smaller batches, or raise the limit"
    )]
    ResultsTooLarge {
        /// The row of the batch for which there was no memory.
        row: usize,
    },
    /// Memory could not be lent to script or taken back, V8 failed, or script was ended because its heap was full
    /// ([`HeapLimit`](offheap_v8::Error::HeapLimit)).
    #[error(transparent)]
    Engine(#[from] offheap_v8::Error),
    /// Arrow refused a column that was made of the results, or could not decode a dictionary.
    #[error(transparent)]
    Arrow(#[from] ArrowError),
}

impl Reason {
    pub(crate) fn is_terminated(&self) -> bool {
        matches!(self, Reason::Terminated | Reason::Engine(offheap_v8::Error::HeapLimit { .. }))
    }
}

impl From<offheap_v8::offheap::Error> for Reason {
    fn from(error: offheap_v8::offheap::Error) -> Self {
        Reason::Engine(error.into())
    }
}

impl<T> From<offheap_v8::offheap::Rejected<T>> for Reason {
    fn from(rejected: offheap_v8::offheap::Rejected<T>) -> Self {
        Reason::Engine(rejected.into_parts().0.into())
    }
}

/// A position in the text of a function. Both numbers begin at 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column, in UTF-16 units.
    pub column: usize,
}

/// Which of a function's types is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The argument at this index, which begins at 0.
    Argument(usize),
    /// The result.
    Result,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Role::Argument(index) => write!(f, "argument {}", index + 1),
            Role::Result => f.write_str("the result"),
        }
    }
}

struct AtPlace(Option<Place>);

impl fmt::Display for AtPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(Place { line, column }) => write!(f, " (line {line}, column {column})"),
            None => Ok(()),
        }
    }
}

struct InRow(Option<usize>);

impl fmt::Display for InRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(row) => write!(f, ", in row {row}"),
            None => Ok(()),
        }
    }
}

fn what_to_do(role: Role) -> &'static str {
    match role {
        Role::Argument(_) => "take; cast it to one that they do",
        Role::Result => "return; declare another type",
    }
}

/// What a result of a type has to be, unless the name of the type says that.
fn hint(expected: &DataType, value: &str, value_type: &str) -> String {
    match expected {
        DataType::FixedSizeList(_, length) => format!("; return a list of length {length}"),
        DataType::List(_) => "; return an array or a typed array".to_owned(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => "; return a Uint8Array".to_owned(),
        DataType::Date32 => "; return the milliseconds since 1970 of a whole day".to_owned(),
        DataType::Timestamp(TimeUnit::Second, _) => "; return the milliseconds since 1970 of a whole second".to_owned(),
        DataType::Date64 | DataType::Timestamp(TimeUnit::Millisecond, _) => {
            "; return whole milliseconds since 1970".to_owned()
        }
        DataType::Timestamp(..) => "; return the milliseconds since 1970".to_owned(),
        DataType::Int64 if value_type == "number" && is_large(value) => {
            "; return a BigInt for what is beyond 2^53 - 1".to_owned()
        }
        _ => String::new(),
    }
}

/// Whether a Number is a whole one with neighbours that are the same Number.
fn is_large(number: &str) -> bool {
    number.parse::<f64>().is_ok_and(|number| number.is_finite() && number.abs() >= 2f64.powi(53))
}

/// A count and its noun in the singular. It is printed with a plural `s` where one is due.
pub(crate) struct Count(pub(crate) usize, pub(crate) &'static str);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Count(count, word) = self;
        write!(f, "{count} {word}{}", if *count == 1 { "" } else { "s" })
    }
}
