//! Memory that is filled in, and then handed on.

use arrow::buffer::Buffer;
use bytes::Bytes;
use memmap2::MmapMut;

/// From here on memory comes straight from the system, in as large pages as it has.
const LARGE: usize = 4 * 1024 * 1024;

/// Zeroed memory; the system gives it only where it is touched.
pub(super) enum Room {
    Small(Vec<u8>),
    Large(MmapMut),
}

impl Room {
    /// Room for so many bytes.
    pub(super) fn new(bytes: usize) -> Self {
        let large = if bytes < LARGE { None } else { MmapMut::map_anon(bytes).ok() };
        match large {
            Some(room) => {
                // Taking memory page by page costs as much as filling it. Where there are no larger pages, nothing is lost.
                #[cfg(target_os = "linux")]
                let _ = room.advise(memmap2::Advice::HugePage);
                Self::Large(room)
            }
            None => Self::Small(vec![0; bytes]),
        }
    }

    /// All of it, to be filled in.
    pub(super) fn bytes(&mut self) -> &mut [u8] {
        match self {
            Self::Small(room) => room,
            Self::Large(room) => room,
        }
    }

    /// The same bytes, which nobody changes any more.
    pub(super) fn into_buffer(self) -> Buffer {
        match self {
            Self::Small(room) => Buffer::from_vec(room),
            Self::Large(room) => Buffer::from(Bytes::from_owner(room)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_filled_in_is_handed_on() {
        for bytes in [0, 1, 1_000, LARGE - 1, LARGE, LARGE + 4_097] {
            let mut room = Room::new(bytes);
            assert!(room.bytes().iter().all(|byte| *byte == 0) && room.bytes().len() == bytes);
            room.bytes().iter_mut().zip(0_u32..).for_each(|(byte, at)| *byte = (at % 251) as u8);
            let start = room.bytes().as_ptr();
            let buffer = room.into_buffer();
            assert!(buffer.iter().zip(0_u32..).all(|(byte, at)| *byte == (at % 251) as u8) && buffer.len() == bytes);
            assert!(bytes == 0 || buffer.as_ptr() == start);
        }
    }
}
