//! What a model is able to do.

use offheap_engine::{Capabilities, Error};

use crate::ModelEngine;

/// The settings of a [`ModelEngine`].
#[derive(Clone, Copy, Debug)]
pub struct ModelOptions {
    /// A name for reports: [`IsolateId::name`](offheap::IsolateId::name).
    pub name: Option<&'static str>,
    /// What decides when it collects, and how; see [`ModelEngine`].
    pub seed: u64,
    /// Its abilities, of those in [`ModelOptions::ALL`]. Without [`Capabilities::IMMUTABLE`], read-only memory is exposed as a
    /// copy.
    pub capabilities: Capabilities,
    /// The most bytes in one buffer.
    pub max_byte_length: usize,
}

/// A model with all its abilities, and this seed.
///
/// # Errors
/// [`Error::Memory`] when too many isolates are alive, [`Error::Unsupported`] in an owner's `Drop` or an observer.
pub fn model(seed: u64) -> Result<ModelEngine, Error> {
    ModelOptions { seed, ..ModelOptions::default() }.build()
}

impl ModelOptions {
    /// All abilities that the model has: it runs no script, and has no generations.
    pub const ALL: Capabilities = Capabilities::RESIZABLE
        .union(Capabilities::IMMUTABLE)
        .union(Capabilities::DETACH_KEYS)
        .union(Capabilities::SHARED);

    /// A model with these settings.
    ///
    /// # Errors
    /// [`Error::Memory`] when too many isolates are alive, [`Error::Unsupported`] in an owner's `Drop` or an observer.
    ///
    /// # Panics
    /// If the options ask for an ability that the model does not have.
    pub fn build(self) -> Result<ModelEngine, Error> {
        ModelEngine::build(self)
    }

    pub(crate) fn has(&self, capability: Capabilities) -> bool {
        self.capabilities.contains(capability)
    }
}

impl Default for ModelOptions {
    /// No name, seed 0, all abilities, and buffers of up to 1 GiB.
    fn default() -> Self {
        ModelOptions { name: None, seed: 0, capabilities: ModelOptions::ALL, max_byte_length: 1 << 30 }
    }
}
