//! `traceparent` (W3C Trace Context): the trace that a request belongs to.

/// What a caller says of its trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parent {
    pub(super) trace: [u8; 16],
    pub(super) span: [u8; 8],
    /// Whether the caller records it.
    pub(super) sampled: bool,
}

impl Parent {
    /// `00-<32 digits>-<16 digits>-<2 digits>`; later versions may have more behind that.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let mut next = || parts.next();
        let ([version], trace, span) = (hex(next()?)?, hex(next()?)?, hex(next()?)?);
        let [flags] = hex(next()?)?;
        let more = next().is_some();
        let valid = version != 0xff && (version > 0 || !more) && trace != [0; 16] && span != [0; 8];
        valid.then_some(Parent { trace, span, sampled: flags & 1 == 1 })
    }

    /// The id of the trace, for logs.
    pub(crate) fn trace_id(&self) -> String {
        format!("{:032x}", u128::from_be_bytes(self.trace))
    }
}

/// Small hexadecimal digits.
fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    if text.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_are_recognised() {
        let id = "4bf92f3577b34da6a3ce929d0e0e4736";
        let parent = |id: &str| format!("00-{id}-00f067aa0ba902b7-01");
        let read = Parent::read(&parent(id)).unwrap();
        assert_eq!(read.trace_id(), id);
        assert_eq!(read.span, 0x00f0_67aa_0ba9_02b7_u64.to_be_bytes());
        assert!(read.sampled);
        assert!(!Parent::read(&format!("00-{id}-00f067aa0ba902b7-00")).unwrap().sampled);
        assert!(Parent::read(&format!("01-{id}-00f067aa0ba902b7-01-later")).is_some());
        for wrong in ["", "00", &id[1..], &"0".repeat(32), "4BF92F3577B34DA6A3CE929D0E0E4736", "ä"]
        {
            assert_eq!(Parent::read(&parent(wrong)), None, "{wrong}");
        }
        for wrong in [
            format!("ff-{id}-00f067aa0ba902b7-01"),
            format!("00-{id}-00f067aa0ba902b7-01-more"),
            format!("00-{id}-0000000000000000-01"),
            format!("00-{id}-00f067aa0ba902b7"),
            format!("00-{id}-00f067aa0ba902b7-1"),
        ] {
            assert_eq!(Parent::read(&wrong), None, "{wrong}");
        }
    }
}
