//! The settings `js.…` of a session, and the limits that they make.

use std::any::Any;
use std::time::Duration;

use datafusion::common::{Result, config_err};
use datafusion::config::{ConfigEntry, ConfigExtension, ConfigOptions, ExtensionOptions};

const MIB: usize = 1 << 20;

/// What a JavaScript function may use. The limits protect from mistakes in functions, not from attackers.
///
/// In SQL they are the settings `js.time_limit_ms`, `js.heap_limit_mb` and `js.buffer_limit_mb`. A query is planned with
/// the settings that its session has then. The plan carries them, also to other machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Limits {
    /// How long a function may run for one batch of rows, in milliseconds: 10,000 unless set.
    pub(crate) time_limit_ms: u64,
    /// How large V8's heap may become in one thread, in MiB: 256 unless set. All functions that the thread runs share it.
    pub(crate) heap_limit_mb: usize,
    /// How many bytes script's ArrayBuffers may have in one thread, in MiB: 256 unless set.
    pub(crate) buffer_limit_mb: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { time_limit_ms: 10_000, heap_limit_mb: 256, buffer_limit_mb: 256 }
    }
}

const NAMES: &str = "time_limit_ms, heap_limit_mb, buffer_limit_mb";

/// The name, the smallest and the largest value, and what the setting is.
type Setting = (&'static str, u64, u64, &'static str);

const TIME: Setting = ("time_limit_ms", 1, 1 << 32, "How long a JavaScript function may run for one batch, in ms");
// V8 ends the process if a heap of a few MiB cannot hold what every isolate has.
const HEAP: Setting = ("heap_limit_mb", 16, 1 << 20, "How large V8's heap may become in one thread, in MiB");
const BUFFERS: Setting =
    ("buffer_limit_mb", 1, 1 << 20, "How large script's ArrayBuffers may be in one thread, in MiB");

impl Limits {
    /// The limits of a session: the defaults where `JavaScript::install` did not see its configuration.
    pub(crate) fn of(config: &ConfigOptions) -> Limits {
        config.extensions.get::<Limits>().copied().unwrap_or_default()
    }

    /// The value that a setting has unless it is set. `variable` is its name, with the prefix.
    ///
    /// # Errors
    /// If there is no such setting.
    pub(crate) fn default_of(variable: &str) -> Result<String> {
        let found = Limits::default().entries().into_iter().find(|entry| entry.key == variable);
        match found.and_then(|entry| entry.value) {
            Some(value) => Ok(value),
            None => config_err!("there is no setting {variable}: the settings are {NAMES}"),
        }
    }

    /// Limits that came in a plan.
    #[cfg(feature = "ballista")]
    pub(crate) fn checked(time_limit_ms: u64, heap_limit_mb: u64, buffer_limit_mb: u64) -> Result<Limits> {
        let mut limits = Limits::default();
        for ((name, ..), value) in [(TIME, time_limit_ms), (HEAP, heap_limit_mb), (BUFFERS, buffer_limit_mb)] {
            limits.set(name, &value.to_string())?;
        }
        Ok(limits)
    }

    pub(crate) fn time(&self) -> Duration {
        Duration::from_millis(self.time_limit_ms)
    }

    /// The bytes of V8's heap, and those of script's buffers.
    pub(crate) fn memory(&self) -> (usize, usize) {
        (self.heap_limit_mb * MIB, self.buffer_limit_mb * MIB)
    }
}

impl ConfigExtension for Limits {
    const PREFIX: &'static str = "js";
}

impl ExtensionOptions for Limits {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }

    fn cloned(&self) -> Box<dyn ExtensionOptions> {
        Box::new(*self)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<()> {
        let Some((name, least, most, _)) = [TIME, HEAP, BUFFERS].into_iter().find(|(name, ..)| *name == key) else {
            return config_err!("there is no setting js.{key}: the settings are {NAMES}");
        };
        let number = match value.parse::<u64>() {
            Ok(number) if (least..=most).contains(&number) => number,
            _ => return config_err!("js.{name} must be a whole number from {least} to {most}, and not {value:?}"),
        };
        let size = usize::try_from(number).expect("at most 2^20 of MiB");
        match name {
            "time_limit_ms" => self.time_limit_ms = number,
            "heap_limit_mb" => self.heap_limit_mb = size,
            _ => self.buffer_limit_mb = size,
        }
        Ok(())
    }

    fn entries(&self) -> Vec<ConfigEntry> {
        let values = [self.time_limit_ms, self.heap_limit_mb as u64, self.buffer_limit_mb as u64];
        let entry = |((name, _, _, description), value): (Setting, u64)| ConfigEntry {
            key: format!("{}.{name}", Self::PREFIX),
            value: Some(value.to_string()),
            description,
        };
        [TIME, HEAP, BUFFERS].into_iter().zip(values).map(entry).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_whole_numbers_in_their_range_and_nothing_else() {
        let mut limits = Limits::default();
        limits.set("time_limit_ms", "250").unwrap();
        limits.set("heap_limit_mb", "64").unwrap();
        limits.set("buffer_limit_mb", "1").unwrap();
        assert_eq!(limits, Limits { time_limit_ms: 250, heap_limit_mb: 64, buffer_limit_mb: 1 });
        for (key, value) in [
            ("time_limit_ms", "0"),
            ("time_limit_ms", "1.5"),
            ("time_limit_ms", "-1"),
            ("heap_limit_mb", "15"),
            ("heap_limit_mb", "18446744073709551615"),
            ("buffer_limit_mb", ""),
            ("buffer_limit_mb", "256 MB"),
        ] {
            let error = limits.set(key, value).unwrap_err().to_string();
            assert!(error.contains(&format!("js.{key} must be a whole number from")), "{error}");
        }
        assert!(limits.set("stack", "1").unwrap_err().to_string().contains("there is no setting js.stack"));
        assert_eq!(limits, Limits { time_limit_ms: 250, heap_limit_mb: 64, buffer_limit_mb: 1 });
    }

    #[test]
    fn entries_can_be_set_again() {
        let limits = Limits { time_limit_ms: 7, heap_limit_mb: 17, buffer_limit_mb: 27 };
        let mut config = ConfigOptions::new();
        config.extensions.insert(Limits::default());
        for entry in limits.entries() {
            config.set(&entry.key, &entry.value.unwrap()).unwrap();
        }
        assert_eq!(Limits::of(&config), limits);
    }
}
