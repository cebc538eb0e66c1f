//! How columns of HDF5 files may be compressed.

use hdf5_reader::error::Error;
use hdf5_reader::filters::{
    FILTER_DEFLATE, FILTER_FLETCHER32, FILTER_NBIT, FILTER_SCALEOFFSET, FILTER_SHUFFLE,
    FILTER_SZIP, FilterRegistry,
};
use hdf5_reader::messages::filter_pipeline::FilterDescription;

/// h5py's own, which the library does not have.
const LZF: u16 = 32000;

/// Those that are read.
const READ: [u16; 7] = [
    FILTER_DEFLATE,
    FILTER_SHUFFLE,
    FILTER_FLETCHER32,
    FILTER_SZIP,
    FILTER_NBIT,
    FILTER_SCALEOFFSET,
    LZF,
];

/// Names of others, by the number under which they are registered.
const NAMES: [(u16, &str); 12] = [
    (307, "bzip2"),
    (32001, "Blosc"),
    (32004, "LZ4"),
    (32008, "Bitshuffle"),
    (32013, "ZFP"),
    (32015, "Zstandard"),
    (32016, "B3D"),
    (32017, "SZ"),
    (32018, "FCIDECOMP"),
    (32019, "JPEG"),
    (32024, "SZ3"),
    (32026, "Blosc2"),
];

pub(super) fn registry() -> FilterRegistry {
    let mut registry = FilterRegistry::new();
    registry.register(
        LZF,
        Box::new(|filter, packed, _| {
            let size = filter.client_data.get(2).copied().unwrap_or(0);
            unpack_lzf(packed, size as usize)
                .ok_or_else(|| Error::DecompressionError("LZF: damaged".to_owned()))
        }),
    );
    registry
}

/// The name of a filter that is not read: `Zstandard (filter 32015)`.
pub(super) fn unknown(filter: &FilterDescription) -> Option<String> {
    if READ.contains(&filter.id) {
        return None;
    }
    let known = NAMES.iter().find(|(id, _)| *id == filter.id);
    let own = filter.name.as_deref().filter(|name| !name.is_empty());
    Some(match known.map(|(_, name)| *name).or(own) {
        Some(name) => format!("{name} (filter {})", filter.id),
        None => format!("filter {}", filter.id),
    })
}

/// Unpacks LZF: bytes as they are, and pieces of what was unpacked before, of at most
/// 264 bytes from at most 8192 back. `None` if it is no `size` bytes.
fn unpack_lzf(packed: &[u8], size: usize) -> Option<Vec<u8>> {
    let mut bytes = packed.iter().copied().map(usize::from);
    let mut unpacked = Vec::new();
    while let Some(head) = bytes.next() {
        if head < 32 {
            for _ in 0..=head {
                unpacked.push(u8::try_from(bytes.next()?).ok()?);
            }
        } else {
            let length = match head >> 5 {
                7 => 7 + bytes.next()?,
                length => length,
            };
            let back = ((head & 31) << 8) + bytes.next()? + 1;
            let start = unpacked.len().checked_sub(back)?;
            for place in start..start + length + 2 {
                unpacked.push(unpacked[place]);
            }
        }
        if unpacked.len() > size {
            return None;
        }
    }
    (unpacked.len() == size).then_some(unpacked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lzf_repeats_what_it_has_unpacked() {
        // "abc", then 9 bytes from 3 back, then 300 bytes (7 + 255 + 2 and 36) of the last.
        let packed = [2, b'a', b'b', b'c', 0xe0, 0, 2];
        assert_eq!(unpack_lzf(&packed, 12).unwrap(), b"abcabcabcabc");
        let zeros = [0, 0, 0xe0, 255, 0];
        assert_eq!(unpack_lzf(&zeros, 265).unwrap(), [0; 265]);
        for damaged in [&packed[..3], &packed[..6], &[0x20, 5], &[0xe0, 0]] {
            assert!(unpack_lzf(damaged, 12).is_none());
        }
        assert!(unpack_lzf(&zeros, 264).is_none());
    }

    #[test]
    fn a_filter_that_is_not_read_has_a_name() {
        let name = |id, name: Option<&str>| {
            unknown(&FilterDescription {
                id,
                name: name.map(str::to_owned),
                client_data: Vec::new(),
            })
        };
        assert_eq!(name(FILTER_DEFLATE, None), None);
        assert_eq!(name(32015, None).unwrap(), "Zstandard (filter 32015)");
        assert_eq!(name(40000, Some("ours")).unwrap(), "ours (filter 40000)");
        assert_eq!(name(40000, None).unwrap(), "filter 40000");
    }
}
