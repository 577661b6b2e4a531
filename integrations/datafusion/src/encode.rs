//! A function as bytes, in the plans of Ballista.
//!
//! The form: `JSFN`, the version as one byte, how many bytes follow (`u32`), and these bytes. Numbers are little-endian. A
//! text is its length (`u32`) and its UTF-8. A type is the text that Arrow prints and parses.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, exec_err, plan_err};
use datafusion::logical_expr::Volatility;

use crate::definition::{Definition, Kind, Nulls, Parameter};
use crate::function::Function;
use crate::settings::Limits;

const MAGIC: &[u8] = b"JSFN";
/// The version that this program writes, and the only one that it reads.
const VERSION: u8 = 1;
const HEADER: usize = MAGIC.len() + 1 + size_of::<u32>();

const VOLATILITIES: [Volatility; 3] = [Volatility::Immutable, Volatility::Stable, Volatility::Volatile];
const NULLS: [Nulls; 2] = [Nulls::Strict, Nulls::Called];

/// Writes a function.
///
/// # Errors
/// If a text has 4 GiB, or if Arrow cannot parse a type that it prints.
pub(crate) fn encode(function: &Function) -> Result<Vec<u8>> {
    let Function { definition, limits } = function;
    let mut body = Vec::with_capacity(definition.text.len() + 256);
    text(&mut body, &definition.name)?;
    match &definition.kind {
        Kind::Scalar => body.push(0),
        Kind::Aggregate { state } => {
            body.push(1);
            length(&mut body, state.len())?;
            for (name, column) in state {
                text(&mut body, name)?;
                data_type(&mut body, column)?;
            }
        }
    }
    body.push(index(&VOLATILITIES, &definition.volatility));
    body.push(index(&NULLS, &definition.nulls));
    for limit in [limits.time_limit_ms, limits.heap_limit_mb as u64, limits.buffer_limit_mb as u64] {
        body.extend(limit.to_le_bytes());
    }
    length(&mut body, definition.parameters.len())?;
    for parameter in &definition.parameters {
        body.push(u8::from(parameter.name.is_some()));
        text(&mut body, parameter.name.as_deref().unwrap_or_default())?;
        data_type(&mut body, &parameter.data_type)?;
    }
    data_type(&mut body, &definition.result)?;
    text(&mut body, &definition.text)?;

    let mut bytes = Vec::with_capacity(HEADER + body.len());
    bytes.extend(MAGIC);
    bytes.push(VERSION);
    length(&mut bytes, body.len())?;
    bytes.extend(body);
    Ok(bytes)
}

/// Whether these bytes are meant to be a function.
pub(crate) fn is_function(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// Reads what [`encode`] wrote.
///
/// # Errors
/// If the bytes were cut short, are of another version, or are no function.
pub(crate) fn decode(name: &str, bytes: &[u8]) -> Result<Function> {
    let Some(rest) = bytes.strip_prefix(MAGIC) else {
        return plan_err!("function {name}: the plan has {} bytes that are no JavaScript function", bytes.len());
    };
    match rest.first() {
        None => return cut_short(name, HEADER, bytes.len()),
        Some(&VERSION) => {}
        Some(version) => {
            return plan_err!(
                "JavaScript function {name}: the plan has version {version} of its definition, and this program reads \
                 version {VERSION}; run the same version of offheap-datafusion everywhere"
            );
        }
    }
    let mut header = Reader { name, bytes: &rest[1..], wanted: HEADER, total: bytes.len() };
    let body_length = header.number()?;
    let wanted = HEADER + body_length;
    if bytes.len() > wanted {
        return plan_err!(
            "JavaScript function {name}: the plan has {} bytes after its definition",
            bytes.len() - wanted
        );
    }
    let mut reader = Reader { name, bytes: header.bytes, wanted, total: bytes.len() };
    if bytes.len() < wanted {
        return reader.cut_short();
    }
    let function = reader.function()?;
    match reader.bytes.is_empty() {
        true => Ok(function),
        false => plan_err!(
            "JavaScript function {name}: its definition in the plan has {} bytes too many",
            reader.bytes.len()
        ),
    }
}

fn cut_short<T>(name: &str, wanted: usize, found: usize) -> Result<T> {
    plan_err!("JavaScript function {name}: its definition in the plan was cut short, to {found} of {wanted} bytes")
}

fn index<T: PartialEq>(all: &[T], one: &T) -> u8 {
    let at = all.iter().position(|each| each == one).expect("all values are listed");
    u8::try_from(at).expect("three at most")
}

fn length(bytes: &mut Vec<u8>, length: usize) -> Result<()> {
    match u32::try_from(length) {
        Ok(length) => bytes.extend(length.to_le_bytes()),
        Err(_) => return exec_err!("a JavaScript function of {length} bytes does not fit into a plan"),
    }
    Ok(())
}

fn text(bytes: &mut Vec<u8>, text: &str) -> Result<()> {
    length(bytes, text.len())?;
    bytes.extend(text.as_bytes());
    Ok(())
}

fn data_type(bytes: &mut Vec<u8>, data_type: &DataType) -> Result<()> {
    let printed = data_type.to_string();
    match printed.parse::<DataType>() {
        Ok(parsed) if parsed == *data_type => text(bytes, &printed),
        _ => exec_err!("the type {printed} of a JavaScript function cannot be written into a plan"),
    }
}

struct Reader<'a> {
    name: &'a str,
    bytes: &'a [u8],
    /// How many bytes the whole should have, and has.
    wanted: usize,
    total: usize,
}

impl<'a> Reader<'a> {
    fn cut_short<T>(&self) -> Result<T> {
        cut_short(self.name, self.wanted.max(self.total + 1), self.total)
    }

    fn take(&mut self, byte_length: usize) -> Result<&'a [u8]> {
        match self.bytes.split_at_checked(byte_length) {
            Some((taken, rest)) => {
                self.bytes = rest;
                Ok(taken)
            }
            None => self.cut_short(),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        Ok(self.take(N)?.try_into().expect("as many as were taken"))
    }

    fn number(&mut self) -> Result<usize> {
        Ok(usize::try_from(u32::from_le_bytes(self.array()?)).expect("32 bits"))
    }

    fn limit(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> Result<T> {
        let [at] = self.array()?;
        match all.get(usize::from(at)) {
            Some(one) => Ok(*one),
            None => plan_err!("JavaScript function {}: its definition in the plan has an unknown {at}", self.name),
        }
    }

    fn text(&mut self) -> Result<&'a str> {
        let byte_length = self.number()?;
        let bytes = self.take(byte_length)?;
        str::from_utf8(bytes)
            .or_else(|_| plan_err!("JavaScript function {}: a text in the plan is not UTF-8", self.name))
    }

    fn data_type(&mut self) -> Result<DataType> {
        let text = self.text()?;
        text.parse().or_else(|_| plan_err!("JavaScript function {}: the plan has an unknown type {text:?}", self.name))
    }

    fn function(&mut self) -> Result<Function> {
        let name = self.text()?.to_owned();
        let kind = match self.one_of(&[false, true])? {
            false => Kind::Scalar,
            true => {
                let mut state = Vec::new();
                for _ in 0..self.number()? {
                    state.push((self.text()?.to_owned(), self.data_type()?));
                }
                Kind::Aggregate { state }
            }
        };
        let volatility = self.one_of(&VOLATILITIES)?;
        let nulls = self.one_of(&NULLS)?;
        let limits = Limits::checked(self.limit()?, self.limit()?, self.limit()?)?;
        let mut parameters = Vec::new();
        for _ in 0..self.number()? {
            let is_named = self.one_of(&[false, true])?;
            let name = self.text()?.to_owned();
            parameters.push(Parameter { name: is_named.then_some(name), data_type: self.data_type()? });
        }
        let result = self.data_type()?;
        let text = self.text()?.into();
        let definition = Definition { name, kind, parameters, result, volatility, nulls, text };
        Ok(Function { definition: Arc::new(definition), limits })
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::datatypes::{Field, TimeUnit};

    use super::*;

    fn function(types: Vec<DataType>, text: &str) -> Function {
        let parameter =
            |(i, data_type): (usize, DataType)| Parameter { name: (i % 2 == 0).then(|| format!("p{i}")), data_type };
        let definition = Definition {
            name: "größe".into(),
            kind: Kind::Aggregate { state: vec![("n".into(), DataType::Float64), ("Σ x".into(), DataType::Float64)] },
            parameters: types.into_iter().enumerate().map(parameter).collect(),
            result: DataType::Float64,
            volatility: Volatility::Stable,
            nulls: Nulls::Called,
            text: text.into(),
        };
        let limits = Limits::checked(250, 64, 32).unwrap();
        Function { definition: Arc::new(definition), limits }
    }

    #[test]
    fn comes_back_with_every_type() {
        let list = |item: DataType, is_nullable| Arc::new(Field::new_list_field(item, is_nullable));
        let types = vec![
            DataType::Boolean,
            DataType::Int8,
            DataType::UInt32,
            DataType::Int64,
            DataType::Float32,
            DataType::Utf8,
            DataType::LargeUtf8,
            DataType::Utf8View,
            DataType::Binary,
            DataType::BinaryView,
            DataType::Date32,
            DataType::Date64,
            DataType::Timestamp(TimeUnit::Nanosecond, None),
            DataType::Timestamp(TimeUnit::Second, Some("+02:00".into())),
            DataType::List(list(DataType::Float64, true)),
            DataType::FixedSizeList(list(DataType::Float32, false), 384),
            DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
        ];
        let written = function(types, "x => `$$\0'\"${x}`\n");
        assert_eq!(decode("f", &encode(&written).unwrap()).unwrap(), written);
        let mut none = function(vec![], "");
        Arc::make_mut(&mut none.definition).kind = Kind::Scalar;
        assert_eq!(decode("f", &encode(&none).unwrap()).unwrap(), none);
        let long = function(vec![DataType::Int32], &"é".repeat(1 << 20));
        assert_eq!(decode("f", &encode(&long).unwrap()).unwrap(), long);
    }

    #[test]
    fn a_type_that_arrow_cannot_parse_is_an_error() {
        let field = Field::new("item", DataType::Int32, true).with_metadata([("a".into(), "b".into())].into());
        let error = encode(&function(vec![DataType::List(Arc::new(field))], "x => x")).unwrap_err().to_string();
        assert!(error.contains("cannot be written into a plan"), "{error}");
    }

    #[test]
    fn every_shorter_length_is_an_error() {
        let bytes = encode(&function(vec![DataType::Float64, DataType::Utf8View], "x => x")).unwrap();
        for end in MAGIC.len()..bytes.len() {
            let error = decode("f", &bytes[..end]).unwrap_err().to_string();
            let told = format!("JavaScript function f: its definition in the plan was cut short, to {end} of ");
            assert!(error.contains(&told), "{end}: {error}");
        }
        assert!(decode("f", &bytes[..3]).unwrap_err().to_string().contains("no JavaScript function"));
        assert!(decode("f", b"").unwrap_err().to_string().contains("no JavaScript function"));
    }

    #[test]
    fn another_version_and_additional_bytes_are_errors() {
        let mut bytes = encode(&function(vec![], "() => 1")).unwrap();
        bytes.push(0);
        assert!(decode("f", &bytes).unwrap_err().to_string().contains("1 bytes after its definition"));
        bytes[MAGIC.len()] = VERSION + 1;
        let error = decode("f", &bytes).unwrap_err().to_string();
        assert!(error.contains("version 2 of its definition, and this program reads version 1"), "{error}");
    }

    #[test]
    fn random_changes_never_panic() {
        let bytes = encode(&function(vec![DataType::Float64, DataType::Utf8View], "x => x")).unwrap();
        fastrand::seed(7);
        for _ in 0..20_000 {
            let mut changed = bytes.clone();
            let at = fastrand::usize(MAGIC.len() + 1..changed.len());
            changed[at] = fastrand::u8(..);
            let _ = decode("f", &changed);
        }
    }
}
