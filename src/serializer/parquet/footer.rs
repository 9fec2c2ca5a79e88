//! Looks over a footer before the Parquet library parses it.

use super::thrift::{MAX_DEPTH, Walk};
use crate::error::{Error, Result};

/// How deep columns may nest: the library goes down them by recursion.
const MAX_NESTING: usize = 256;

/// Refuses a footer in which a list claims more elements than there are bytes left, or columns nest too deep.
///
/// The library reserves memory for the number of elements that a list claims; a footer made to break it could claim
/// billions, and a failed reservation ends the process.
pub(super) fn check_lists(footer: &[u8]) -> Result<()> {
    let mut walk = Walk { bytes: footer };
    walk.file().ok_or_else(|| Error::damaged("the Parquet footer is malformed"))
}

/// Refuses a structure in which a list claims more elements than there are bytes left.
pub(super) fn check_structure(bytes: &[u8]) -> Result<()> {
    let mut walk = Walk { bytes };
    walk.fields(MAX_DEPTH).ok_or_else(|| Error::damaged("the Parquet page index is malformed"))
}

impl Walk<'_> {
    /// The footer: as any structure, but its second field is the tree of columns.
    fn file(&mut self) -> Option<()> {
        let mut last = 0;
        loop {
            let (number, kind) = self.field(last)?;
            match (number, kind) {
                (_, 0) => return Some(()),
                (_, 1 | 2) => {}
                (2, 9) => self.columns()?,
                _ => self.value(kind, MAX_DEPTH - 1)?,
            }
            last = number;
        }
    }

    /// The tree of columns as a list: each says how many of those that follow are its children.
    fn columns(&mut self) -> Option<()> {
        let (count, kind) = self.list_header()?;
        let mut open: Vec<i64> = Vec::new();
        for _ in 0..count {
            if kind != 12 {
                return None;
            }
            let children = self.number_in(5, MAX_DEPTH - 2)?;
            if let Some(left) = open.last_mut() {
                *left -= 1;
            }
            open.push(children);
            while open.last().is_some_and(|left| *left <= 0) {
                open.pop();
            }
            if open.len() > MAX_NESTING {
                return None;
            }
        }
        Some(())
    }
}
