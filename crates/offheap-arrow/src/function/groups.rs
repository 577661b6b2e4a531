//! The state of an aggregate: columns of numbers, one row a group.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, FixedSizeListArray, Float64Array};
use arrow_schema::{DataType, Field, FieldRef};

use super::error::{Count, Error, Reason};

/// The state of an aggregate, as its text declares it: the fields, and the numbers that a new group begins with. It belongs to no
/// isolate.
#[derive(Clone, Debug, PartialEq)]
pub struct AggregateState {
    function: Arc<str>,
    fields: Arc<[StateField]>,
}

/// A field of the state.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StateField {
    pub(crate) name: String,
    /// The number, or those of the `Float64Array`, which has at least one.
    pub(crate) initial: Vec<f64>,
    pub(crate) is_array: bool,
}

impl StateField {
    /// The numbers that a group has in this field.
    pub(crate) fn width(&self) -> usize {
        self.initial.len()
    }

    pub(crate) fn data_type(&self) -> DataType {
        match self.is_array {
            false => DataType::Float64,
            true => DataType::FixedSizeList(item(), self.width() as i32),
        }
    }
}

fn item() -> FieldRef {
    Arc::new(Field::new_list_field(DataType::Float64, true))
}

impl AggregateState {
    pub(crate) fn new(function: &str, fields: Vec<StateField>) -> Self {
        AggregateState { function: function.into(), fields: fields.into() }
    }

    pub(crate) fn fields(&self) -> &[StateField] {
        &self.fields
    }

    /// The name and the type of each column, in the order of the text: `Float64` for a number, `FixedSizeList` of `Float64` for a
    /// `Float64Array`.
    pub fn columns(&self) -> impl ExactSizeIterator<Item = (&str, DataType)> {
        self.fields.iter().map(|field| (&*field.name, field.data_type()))
    }

    /// Checks states that other groups gave away.
    pub(crate) fn check(&self, states: &[ArrayRef], row_count: usize) -> Result<(), Reason> {
        if states.len() != self.columns().len() {
            let [expected, given] =
                [self.columns().len(), states.len()].map(|count| Count(count, "column").to_string());
            return Err(Reason::WrongColumns { expected, given });
        }
        for (column, (name, data_type)) in states.iter().zip(self.columns()) {
            let numbers = column.as_fixed_size_list_opt().map_or(column, |lists| lists.values());
            let is_right = column.data_type().equals_datatype(&data_type) && column.len() == row_count;
            if !is_right || column.null_count() != 0 || numbers.null_count() != 0 {
                let nulls = |count| if count == 0 { "no NULL" } else { "NULLs" };
                let described = |data_type: &DataType, rows, null_count| {
                    format!("a column of {data_type} for `state.{name}` with {rows} rows and {}", nulls(null_count))
                };
                let null_count = column.null_count() + numbers.null_count();
                let given = described(column.data_type(), column.len(), null_count);
                return Err(Reason::WrongColumns { expected: described(&data_type, row_count, 0), given });
            }
        }
        Ok(())
    }

    /// No groups yet.
    pub fn groups(&self) -> Groups {
        let columns = vec![Vec::new(); self.fields.len()];
        Groups { state: self.clone(), columns, count: 0, is_lost: false }
    }
}

/// The states of the groups of an aggregation: a column for each field of the state, and a row for each group. Rust owns them, and
/// script has them only while a batch is computed. So they may go to another thread, and on in another isolate.
#[derive(Clone, Debug)]
pub struct Groups {
    state: AggregateState,
    columns: Vec<Vec<f64>>,
    count: usize,
    is_lost: bool,
}

impl Groups {
    /// The number of groups.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are no groups.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// What the states consist of.
    pub fn state(&self) -> &AggregateState {
        &self.state
    }

    /// The bytes of memory that the states take, with what is reserved for more groups.
    pub fn byte_size(&self) -> usize {
        size_of::<Self>() + self.columns.iter().map(|column| size_of_val(column) + column.capacity() * 8).sum::<usize>()
    }

    /// Takes the states of the first `count` groups out, as columns of the types of [`AggregateState::columns`]. The group that came
    /// after them is now the first. Nothing is copied if these are all groups. Another `Groups` gets them by
    /// [`AggregateFunction::merge`](super::AggregateFunction::merge).
    ///
    /// # Errors
    /// [`Reason::StateLost`]. [`Reason::WrongColumns`] if there are fewer groups.
    pub fn take(&mut self, count: usize) -> Result<Vec<ArrayRef>, Error> {
        self.check_count(count).map_err(|reason| Error::new(&self.state.function, reason))?;
        let columns = self.columns.iter_mut().zip(self.state.fields()).map(|(column, field)| {
            let rest = column.split_off(count * field.width());
            let numbers = Float64Array::new(std::mem::replace(column, rest).into(), None);
            match field.is_array {
                false => Arc::new(numbers) as ArrayRef,
                true => {
                    let width = field.width() as i32;
                    Arc::new(FixedSizeListArray::new(item(), width, Arc::new(numbers), None))
                }
            }
        });
        let columns = columns.collect();
        self.count -= count;
        Ok(columns)
    }

    /// Forgets the first `count` groups, which [`check_count`](Self::check_count) has accepted.
    pub(crate) fn forget(&mut self, count: usize) {
        for (column, field) in self.columns.iter_mut().zip(self.state.fields()) {
            column.drain(..count * field.width());
        }
        self.count -= count;
    }

    pub(crate) fn check_count(&self, count: usize) -> Result<(), Reason> {
        self.check()?;
        match count <= self.count {
            true => Ok(()),
            false => {
                let [expected, given] = [self.count, count].map(|count| format!("{count} groups"));
                Err(Reason::WrongColumns { expected: format!("at most {expected}"), given })
            }
        }
    }

    fn check(&self) -> Result<(), Reason> {
        if self.is_lost { Err(Reason::StateLost) } else { Ok(()) }
    }

    /// The groups of rows as script gets them.
    pub(crate) fn checked(&self, group_indices: &[usize]) -> Result<Vec<u32>, Reason> {
        // In two passes, each of which the compiler turns into vector instructions.
        match group_indices.iter().max().filter(|&&group| group >= self.count) {
            None => Ok(group_indices.iter().map(|&group| group as u32).collect()),
            Some(group) => {
                let expected = format!("groups below {}", self.count);
                Err(Reason::WrongColumns { expected, given: format!("group {group}") })
            }
        }
    }

    /// Makes new groups, so that there are at least `count`.
    pub(crate) fn grow(&mut self, count: usize) -> Result<(), Reason> {
        self.check()?;
        if count > MAX_GROUP_COUNT {
            return Err(Reason::TooLarge { unit: "groups", given: count, limit: MAX_GROUP_COUNT });
        }
        let new = count.saturating_sub(self.count);
        for (column, field) in self.columns.iter_mut().zip(self.state.fields()) {
            let numbers = new.saturating_mul(field.width());
            let failed = |_| offheap::Error::OutOfMemory { requested: numbers.saturating_mul(size_of::<f64>()) };
            column.try_reserve(numbers).map_err(failed)?;
        }
        for (column, field) in self.columns.iter_mut().zip(self.state.fields()) {
            column.extend(field.initial.iter().cycle().take(new * field.width()));
        }
        self.count = self.count.max(count);
        Ok(())
    }

    /// Calls `work` with the columns, which it must fill again. If it fails to, or panics, the states are lost.
    pub(crate) fn lend<R>(
        &mut self,
        work: impl FnOnce(&mut [Vec<f64>]) -> (bool, Result<R, Reason>),
    ) -> Result<R, Reason> {
        self.is_lost = true;
        let (is_back, result) = work(&mut self.columns);
        match is_back {
            true => self.is_lost = false,
            false => self.columns.iter_mut().for_each(|column| *column = Vec::new()),
        }
        result
    }
}

/// Groups are counted in 32 bits in script.
const MAX_GROUP_COUNT: usize = u32::MAX as usize;
