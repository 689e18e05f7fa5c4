//! Bytes that arrive in pieces, given out as text as soon as characters are whole.

/// Holds back the beginning of a character until its other bytes arrive.
///
/// ```
/// let mut stream = quantization::llama::Utf8Stream::default();
/// let parts = [&b"na\xc3"[..], b"\xafve"].map(|bytes| stream.push(bytes));
/// assert_eq!(parts, ["na", "ïve"]);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Utf8Stream {
    pending: Vec<u8>,
}

impl Utf8Stream {
    /// The characters that are whole with these bytes; what can never become one gives U+FFFD.
    pub fn push(&mut self, bytes: &[u8]) -> String {
        self.pending.extend_from_slice(bytes);
        let mut text = String::new();
        let mut taken = 0;
        for chunk in self.pending.utf8_chunks() {
            text.push_str(chunk.valid());
            taken += chunk.valid().len();
            let invalid = chunk.invalid();
            let at_end = taken + invalid.len() == self.pending.len();
            if at_end && may_continue(invalid) {
                break;
            }
            if !invalid.is_empty() {
                text.push(char::REPLACEMENT_CHARACTER);
            }
            taken += invalid.len();
        }
        self.pending.drain(..taken);
        text
    }

    /// What was held back, as U+FFFD.
    pub fn finish(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.pending)).into_owned()
    }
}

/// Whether more bytes can make a character of these.
fn may_continue(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.valid_up_to() == 0 && error.error_len().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cut_anywhere_arrives_whole() {
        let text = "aé漢😀\u{fffd}z";
        for cut in 0..text.len() {
            let mut stream = Utf8Stream::default();
            let bytes = text.as_bytes();
            let parts = stream.push(&bytes[..cut]) + &stream.push(&bytes[cut..]) + &stream.finish();
            assert_eq!(parts, text);
        }
        let mut stream = Utf8Stream::default();
        let one_by_one: String = text.bytes().map(|byte| stream.push(&[byte])).collect();
        assert_eq!(one_by_one, text);
    }

    #[test]
    fn bytes_that_are_no_text_become_replacement_characters() {
        let mut stream = Utf8Stream::default();
        assert_eq!(stream.push(b"a\xffb\xe6\xbc"), "a\u{fffd}b");
        assert_eq!(stream.push(b"!"), "\u{fffd}!");
        assert_eq!(stream.push(b"\xf0\x9f"), "");
        assert_eq!(stream.finish(), "\u{fffd}");
    }
}
