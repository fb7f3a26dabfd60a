//! An encoded message as it lies, read without building it: what decoding would take is known before it is done.
//! <https://protobuf.dev/programming-guides/encoding/>

/// The bytes are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// The value of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// A number, of any kind.
    Number,
    /// A text, bytes, a message, or numbers one behind the other.
    Bytes(&'a [u8]),
}

/// The fields of an encoded message, each with its number.
#[derive(Debug, Clone)]
pub struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// Of `message`.
    #[must_use]
    pub fn of(message: &'a [u8]) -> Self {
        Self(message)
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0;
        for place in 0..10 {
            let (&byte, rest) = self.0.split_first().ok_or(Malformed)?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << (7 * place);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Malformed)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn field(&mut self) -> Result<(u32, Value<'a>), Malformed> {
        let key = self.varint()?;
        let number = u32::try_from(key >> 3).map_err(|_| Malformed)?;
        let value = match key & 7 {
            0 => self.varint().map(|_| Value::Number),
            1 => self.take(8).map(|_| Value::Number),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| Malformed)?;
                self.take(length).map(Value::Bytes)
            }
            5 => self.take(4).map(|_| Value::Number),
            // Groups, which this version of the language does not have.
            _ => Err(Malformed),
        };
        Ok((number, value?))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Value<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;
    use crate::inference::{InferTensorContents, ModelInferRequest, model_infer_request::InferInputTensor};

    #[test]
    fn fields_are_those_that_were_written() {
        let contents = InferTensorContents {
            int64_contents: vec![1, -1],
            ..Default::default()
        };
        let input = InferInputTensor {
            name: "x".into(),
            shape: vec![2],
            contents: Some(contents.clone()),
            ..Default::default()
        };
        let request = ModelInferRequest {
            model_name: "m".into(),
            inputs: vec![input.clone()],
            ..Default::default()
        };
        let bytes = request.encode_to_vec();
        let fields: Result<Vec<_>, _> = Fields::of(&bytes).collect();
        let inner = input.encode_to_vec();
        assert_eq!(
            fields,
            Ok(vec![(1, Value::Bytes(b"m")), (5, Value::Bytes(&inner))])
        );
        for end in 1..bytes.len() {
            // An end within a field is no message; one between two is.
            let is_whole = Fields::of(&bytes[..end]).all(|field| field.is_ok());
            assert_eq!(is_whole, end == 3, "{end}");
        }
    }

    #[test]
    fn what_is_no_message_ends() {
        for bytes in [&[0x0b][..], &[0x80; 11], &[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]] {
            assert_eq!(Fields::of(bytes).next(), Some(Err(Malformed)), "{bytes:?}");
        }
        let mut twice = Fields::of(&[0x0b, 0x08, 0x01]);
        assert!(twice.next().is_some() && twice.next().is_none());
    }
}
