//! Sizes for people to read.

use std::fmt;

/// A number of bytes for people to read: `512 B`, `1.0 KiB`, `1.5 MiB`, `5.0 GiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 3] = ["KiB", "MiB", "GiB"];
        if self.0 < 1024 {
            return f.pad(&format!("{} B", self.0));
        }
        let mut value = self.0 as f64 / 1024.0;
        let mut unit = 0;
        // A number that would round to 1024.0 is printed in the next unit.
        while value >= 1023.95 && unit + 1 < UNITS.len() {
            value /= 1024.0;
            unit += 1;
        }
        f.pad(&format!("{value:.1} {}", UNITS[unit]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_said_in_the_unit_that_fits() {
        let said = |bytes: u64| Size(bytes).to_string();
        assert_eq!(said(0), "0 B");
        assert_eq!(said(1023), "1023 B");
        assert_eq!(said(1024), "1.0 KiB");
        assert_eq!(said(1536), "1.5 KiB");
        assert_eq!(said((1 << 20) - 1), "1.0 MiB");
        assert_eq!(said(1 << 30), "1.0 GiB");
        assert_eq!(said(5 << 40), "5120.0 GiB");
    }
}
