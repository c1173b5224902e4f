//! What is wrong with a configuration.

use std::fmt;

/// One fault: where it is and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Dotted: `services.web.pools.blue.upstreams[1]`; empty for the syntax of the file.
    pub path: String,
    /// From 1; 0 where the file could not be read at all.
    pub line: usize,
    pub column: usize,
    pub detail: String,
    /// How the key is written, where the value by itself is wrong or missing: `hold = "10m"`.
    pub example: Option<String>,
}

/// Everything that is wrong with a file, in its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults {
    /// What the file is called.
    pub file: String,
    pub faults: Vec<Fault>,
}

impl Faults {
    pub(super) fn unreadable(file: &str, error: &std::io::Error, remedy: &str) -> Self {
        let detail = format!("cannot be read: {error}; {remedy}");
        Faults {
            file: file.to_owned(),
            faults: vec![Fault { path: String::new(), line: 0, column: 0, detail, example: None }],
        }
    }
}

impl std::error::Error for Faults {}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.faults.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{}:", self.file)?;
            if fault.line > 0 {
                write!(f, "{}:{}:", fault.line, fault.column)?;
            }
            if !fault.path.is_empty() {
                write!(f, " {}:", fault.path)?;
            }
            write!(f, " {}", fault.detail)?;
        }
        Ok(())
    }
}
