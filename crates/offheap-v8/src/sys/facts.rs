//! The properties of a buffer that never change.

/// The properties of a buffer that never change.
#[derive(Clone, Copy)]
pub(crate) struct Facts {
    pub(crate) shared: bool,
    pub(crate) immutable: bool,
    /// Set if the buffer is resizable.
    pub(crate) max_byte_length: Option<usize>,
}

impl Facts {
    /// The facts of a fixed-length buffer that script may write.
    pub(crate) const PLAIN: Facts = Facts { shared: false, immutable: false, max_byte_length: None };
    pub(crate) const SHARED: Facts = Facts { shared: true, ..Facts::PLAIN };
    pub(crate) const IMMUTABLE: Facts = Facts { immutable: true, ..Facts::PLAIN };
}
