//! Takes the kernel's ELF image out of a bzImage, so that the guest need not decompress it, which is slow in
//! emulation. The ELF image boots by the PVH entry point. Format: `Documentation/arch/x86/boot.rst` of Linux.

use std::io::{self, Read};

const SETUP_SECTORS: usize = 0x1f1;
const MAGIC: usize = 0x202;
const PROTOCOL: usize = 0x206;
const PAYLOAD_OFFSET: usize = 0x248;
const PAYLOAD_LENGTH: usize = 0x24c;
/// The first boot protocol that says where the payload is.
const FIRST_PROTOCOL_WITH_PAYLOAD: u16 = 0x0208;
const SECTOR: usize = 512;
/// Far more than any kernel.
const MAX_KERNEL: u64 = 512 * 1024 * 1024;

/// The ELF image in `bz_image`; `None` when it is no bzImage or is compressed in a way that is not known here.
///
/// # Errors
/// When the payload is damaged.
pub(super) fn extract(bz_image: &[u8]) -> io::Result<Option<Vec<u8>>> {
    let Some(payload) = payload(bz_image) else {
        return Ok(None);
    };
    let mut kernel = Vec::new();
    match payload {
        [0x1f, 0x8b, ..] => flate2::read::GzDecoder::new(payload)
            .take(MAX_KERNEL)
            .read_to_end(&mut kernel)?,
        [0x02, 0x21, 0x4c, 0x18, ..] => {
            // The build appends the uncompressed length to what is one LZ4 stream in the legacy format.
            let stream = &payload[..payload.len().saturating_sub(4)];
            lz4_flex::frame::FrameDecoder::new(stream)
                .take(MAX_KERNEL)
                .read_to_end(&mut kernel)?
        }
        _ => return Ok(None),
    };
    if !kernel.starts_with(b"\x7fELF") {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the kernel's payload is no ELF image",
        ));
    }
    Ok(Some(kernel))
}

fn payload(image: &[u8]) -> Option<&[u8]> {
    if image.get(MAGIC..MAGIC + 4)? != b"HdrS" {
        return None;
    }
    let protocol = u16::from_le_bytes(image.get(PROTOCOL..PROTOCOL + 2)?.try_into().ok()?);
    if protocol < FIRST_PROTOCOL_WITH_PAYLOAD {
        return None;
    }
    // Zero stands for four, for the sake of very old kernels.
    let setup_sectors = match image.get(SETUP_SECTORS)? {
        0 => 4,
        sectors => usize::from(*sectors),
    };
    let number = |at: usize| -> Option<usize> {
        usize::try_from(u32::from_le_bytes(image.get(at..at + 4)?.try_into().ok()?)).ok()
    };
    let start = ((setup_sectors + 1) * SECTOR).checked_add(number(PAYLOAD_OFFSET)?)?;
    image.get(start..start.checked_add(number(PAYLOAD_LENGTH)?)?)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn bz_image(payload: &[u8]) -> Vec<u8> {
        let mut image = vec![0; 2 * SECTOR];
        image[SETUP_SECTORS] = 1;
        image[MAGIC..MAGIC + 4].copy_from_slice(b"HdrS");
        image[PROTOCOL..PROTOCOL + 2].copy_from_slice(&0x020f_u16.to_le_bytes());
        image[PAYLOAD_OFFSET..PAYLOAD_OFFSET + 4].copy_from_slice(&16_u32.to_le_bytes());
        image[PAYLOAD_LENGTH..PAYLOAD_LENGTH + 4]
            .copy_from_slice(&u32::try_from(payload.len()).unwrap().to_le_bytes());
        image.extend([0; 16]);
        image.extend(payload);
        image
    }

    #[test]
    fn a_gzip_payload_is_taken_out() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(b"\x7fELF kernel").unwrap();
        let mut payload = gzip.finish().unwrap();
        payload.extend(12_u32.to_le_bytes());
        assert_eq!(extract(&bz_image(&payload)).unwrap().unwrap(), b"\x7fELF kernel");
    }

    #[test]
    fn what_is_not_understood_is_left_to_the_boot_loader() {
        assert!(extract(b"MZ").unwrap().is_none());
        assert!(extract(&bz_image(b"another compression")).unwrap().is_none());
    }

    proptest::proptest! {
        #[test]
        fn garbage_does_not_panic(mut image in proptest::collection::vec(proptest::num::u8::ANY, 0..2048)) {
            if image.len() > PROTOCOL + 2 {
                image[MAGIC..MAGIC + 4].copy_from_slice(b"HdrS");
                image[PROTOCOL + 1] = 2;
            }
            drop(extract(&image));
        }
    }
}
