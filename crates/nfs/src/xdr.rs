//! External data representation (RFC 4506), as far as it is needed here. Everything that is read is bounded by the
//! record it is in.

/// What was read is not what should be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Garbage;

/// Reads values one after another.
#[derive(Debug)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Garbage> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Garbage)?;
        self.0 = rest;
        Ok(taken)
    }

    /// Bytes of a known number.
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Garbage> {
        let taken = self.take(N)?;
        self.take(N.next_multiple_of(4) - N)?;
        taken.try_into().map_err(|_| Garbage)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Garbage> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Garbage> {
        self.array().map(u64::from_be_bytes)
    }

    pub(crate) fn bool(&mut self) -> Result<bool, Garbage> {
        match self.u32()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Garbage),
        }
    }

    /// A value that may be absent.
    pub(crate) fn option<T>(
        &mut self,
        value: impl FnOnce(&mut Self) -> Result<T, Garbage>,
    ) -> Result<Option<T>, Garbage> {
        self.bool()?.then(|| value(self)).transpose()
    }

    /// Bytes of which there are at most so many.
    pub(crate) fn opaque(&mut self, most: usize) -> Result<&'a [u8], Garbage> {
        let length = usize::try_from(self.u32()?).map_err(|_| Garbage)?;
        if length > most {
            return Err(Garbage);
        }
        let taken = self.take(length)?;
        self.take(length.next_multiple_of(4) - length)?;
        Ok(taken)
    }
}

/// Writes values one after another.
#[derive(Debug, Default)]
pub(crate) struct Writer(pub(crate) Vec<u8>);

impl Writer {
    pub(crate) fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    pub(crate) fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    pub(crate) fn bool(&mut self, value: bool) {
        self.u32(value.into());
    }

    /// Bytes whose number the reader knows: a multiple of four.
    pub(crate) fn array<const N: usize>(&mut self, bytes: [u8; N]) {
        const { assert!(N.is_multiple_of(4)) };
        self.0.extend_from_slice(&bytes);
    }

    /// Bytes with their number. They are shorter than a record.
    pub(crate) fn opaque(&mut self, bytes: &[u8]) {
        self.u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        self.0.extend_from_slice(bytes);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn what_is_written_is_read(number in proptest::num::u64::ANY, bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..20)) {
            let mut writer = Writer::default();
            writer.opaque(&bytes);
            writer.u64(number);
            writer.bool(true);
            let mut reader = Reader::new(&writer.0);
            assert_eq!(reader.opaque(20), Ok(&bytes[..]));
            assert_eq!(reader.u64(), Ok(number));
            assert_eq!(reader.bool(), Ok(true));
            assert_eq!(reader.u32(), Err(Garbage));
        }
    }

    #[test]
    fn a_length_beyond_the_record_is_garbage() {
        assert_eq!(Reader::new(&[0xff; 8]).opaque(usize::MAX), Err(Garbage));
        assert_eq!(
            Reader::new(&[0, 0, 0, 5, 1, 2, 3, 4, 5, 0, 0, 0]).opaque(4),
            Err(Garbage)
        );
        assert_eq!(Reader::new(&[0, 0, 0, 1, 1]).opaque(4), Err(Garbage));
    }
}
