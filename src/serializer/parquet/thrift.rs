//! Thrift's compact protocol, as far as footers and page headers are looked at before the Parquet library sees them.

/// How deep structures may nest; Parquet's own nest fewer than ten.
pub(super) const MAX_DEPTH: usize = 32;

/// Whether a field was read by whom it was shown to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    Read,
    Left,
}

/// What is left of the bytes.
pub(super) struct Walk<'a> {
    pub(super) bytes: &'a [u8],
}

impl Walk<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(*first)
    }

    fn skip(&mut self, count: usize) -> Option<()> {
        self.bytes = self.bytes.get(count..)?;
        Some(())
    }

    pub(super) fn varint(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    pub(super) fn integer(&mut self, kind: u8) -> Option<i64> {
        if !(4..=6).contains(&kind) {
            return None;
        }
        let value = self.varint()?;
        Some((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    /// The number and kind of the next field; the kind is 0 at the end of a structure.
    pub(super) fn field(&mut self, last: i64) -> Option<(i64, u8)> {
        let header = self.byte()?;
        match (header & 0x0f, header >> 4) {
            (0, 0) => Some((0, 0)),
            (0, _) => None,
            (kind, 0) => Some((self.integer(4)?, kind)),
            (kind, delta) => Some((last.checked_add(delta.into())?, kind)),
        }
    }

    /// A structure, field by field: what `take` leaves of them is skipped over.
    pub(super) fn structure(
        &mut self,
        depth: usize,
        mut take: impl FnMut(&mut Self, i64, u8) -> Option<Taken>,
    ) -> Option<()> {
        let mut last = 0;
        loop {
            let (number, kind) = self.field(last)?;
            if kind == 0 {
                return Some(());
            }
            // A truth has its value in the header.
            if take(self, number, kind)? == Taken::Left && kind > 2 {
                self.value(kind, depth)?;
            }
            last = number;
        }
    }

    /// A structure whose field `number`, if it is there, is a number that is wanted.
    pub(super) fn number_in(&mut self, number: i64, depth: usize) -> Option<i64> {
        let mut found = 0;
        self.structure(depth, |walk, at, kind| {
            if at != number {
                return Some(Taken::Left);
            }
            found = walk.integer(kind)?;
            Some(Taken::Read)
        })?;
        Some(found)
    }

    pub(super) fn fields(&mut self, depth: usize) -> Option<()> {
        depth.checked_sub(1)?;
        loop {
            let header = self.byte()?;
            if header == 0 {
                return Some(());
            }
            if header >> 4 == 0 {
                self.varint()?;
            }
            match header & 0x0f {
                // A boolean field has its value in the header.
                1 | 2 => {}
                kind => self.value(kind, depth)?,
            }
        }
    }

    pub(super) fn value(&mut self, kind: u8, depth: usize) -> Option<()> {
        match kind {
            1..=3 => self.skip(1),
            4..=6 => self.varint().map(drop),
            7 => self.skip(8),
            8 => {
                let length = self.varint()?;
                self.skip(usize::try_from(length).ok()?)
            }
            9 | 10 => self.list(depth - 1),
            11 => self.map(depth - 1),
            12 => self.fields(depth - 1),
            13 => self.skip(16),
            _ => None,
        }
    }

    fn list(&mut self, depth: usize) -> Option<()> {
        depth.checked_sub(1)?;
        let (count, kind) = self.list_header()?;
        (0..count).try_for_each(|_| self.value(kind, depth))
    }

    pub(super) fn list_header(&mut self) -> Option<(usize, u8)> {
        let header = self.byte()?;
        let count = match header >> 4 {
            15 => usize::try_from(self.varint()?).ok()?,
            few => usize::from(few),
        };
        (count <= self.bytes.len()).then_some((count, header & 0x0f))
    }

    fn map(&mut self, depth: usize) -> Option<()> {
        depth.checked_sub(1)?;
        let count = usize::try_from(self.varint()?).ok()?;
        if count > self.bytes.len() {
            return None;
        }
        if count == 0 {
            return Some(());
        }
        let kinds = self.byte()?;
        (0..count).try_for_each(|_| {
            self.value(kinds >> 4, depth)?;
            self.value(kinds & 0x0f, depth)
        })
    }
}
