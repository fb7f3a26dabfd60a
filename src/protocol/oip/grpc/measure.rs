//! What a request would take once it is decoded, which is known before it is: a list of few bytes may become many.

use grpc_messages::wire::{Fields, Malformed, Value};

use super::super::request::{MOST_SIZES, MOST_TENSORS};
use crate::error::{Error, Result};
use crate::reading::MOST_PARAMETERS;

/// Bytes of a list are taken so often: twice while it grows, and once as the elements of a tensor.
const COPIES: u64 = 3;

/// Bytes of an element of `bytes_contents`, besides its own, which lie where they came.
const BYTES_A_TEXT: u64 = 32;

/// The bytes that decoding `message`, a `ModelInferRequest`, takes beside its own.
///
/// # Errors
/// [`Error::InvalidBody`] for what is no message, and for one of more tensors or parameters than there may be.
pub(super) fn measured(message: &[u8]) -> Result<u64> {
    let mut bytes = 0;
    let [mut inputs, mut outputs, mut raw, mut parameters] = [0; 4];
    for field in Fields::of(message) {
        match field.map_err(no_message)? {
            (4, _) => count(&mut parameters, MOST_PARAMETERS, "parameters")?,
            (5, Value::Bytes(input)) => {
                count(&mut inputs, MOST_TENSORS, "inputs")?;
                bytes += of_input(input)?;
            }
            (6, Value::Bytes(output)) => {
                count(&mut outputs, MOST_TENSORS, "outputs")?;
                of_parameters(output, 2)?;
            }
            (7, _) => count(&mut raw, MOST_TENSORS, "raw_input_contents")?,
            _ => {}
        }
    }
    Ok(bytes)
}

fn of_input(input: &[u8]) -> Result<u64> {
    of_parameters(input, 4)?;
    let (mut bytes, mut sizes) = (0, 0);
    for field in Fields::of(input) {
        match field.map_err(no_message)? {
            (3, Value::Number) => count(&mut sizes, MOST_SIZES, "sizes of a shape")?,
            (3, Value::Bytes(packed)) => {
                for _ in ends(packed) {
                    count(&mut sizes, MOST_SIZES, "sizes of a shape")?;
                }
            }
            (5, Value::Bytes(contents)) => bytes += of_contents(contents)?,
            _ => {}
        }
    }
    Ok(bytes)
}

fn of_parameters(tensor: &[u8], number: u32) -> Result<()> {
    let mut parameters = 0;
    for field in Fields::of(tensor) {
        if field.map_err(no_message)?.0 == number {
            count(&mut parameters, MOST_PARAMETERS, "parameters of a tensor")?;
        }
    }
    Ok(())
}

fn of_contents(contents: &[u8]) -> Result<u64> {
    let mut bytes = 0;
    for field in Fields::of(contents) {
        bytes += match field.map_err(no_message)? {
            (8, _) => BYTES_A_TEXT,
            (_, Value::Number) => size_of::<u64>() as u64,
            (1 | 6 | 7, Value::Bytes(packed)) => packed.len() as u64,
            (2 | 4, Value::Bytes(packed)) => ends(packed).count() as u64 * size_of::<u32>() as u64,
            (3 | 5, Value::Bytes(packed)) => ends(packed).count() as u64 * size_of::<u64>() as u64,
            (_, Value::Bytes(_)) => 0,
        };
    }
    Ok(bytes * COPIES)
}

/// The last bytes of the numbers that lie one behind the other in `packed`.
fn ends(packed: &[u8]) -> impl Iterator<Item = &u8> {
    packed.iter().filter(|byte| **byte < 0x80)
}

fn count(found: &mut usize, most: usize, what: &str) -> Result<()> {
    *found += 1;
    if *found > most {
        return Err(Error::InvalidBody(format!("more than {most} {what}")));
    }
    Ok(())
}

fn no_message(_: Malformed) -> Error {
    Error::InvalidBody("the message is no ModelInferRequest: it is cut off, or of another kind".into())
}

#[cfg(test)]
mod tests {
    use grpc_messages::Message;
    use grpc_messages::inference::model_infer_request::InferInputTensor;
    use grpc_messages::inference::{InferTensorContents, ModelInferRequest};

    use super::*;

    fn request(inputs: Vec<InferInputTensor>) -> Vec<u8> {
        ModelInferRequest {
            inputs,
            ..Default::default()
        }
        .encode_to_vec()
    }

    #[test]
    fn short_numbers_count_as_what_they_become() {
        let contents = InferTensorContents {
            int64_contents: vec![1; 1000],
            uint_contents: vec![300; 100],
            ..Default::default()
        };
        let input = InferInputTensor {
            shape: vec![10, 110],
            contents: Some(contents),
            ..Default::default()
        };
        let found = measured(&request(vec![input])).expect("a message");
        assert_eq!(found, 3 * (8 * 1000 + 4 * 100));
    }

    #[test]
    fn what_has_too_many_of_anything_is_refused_before_it_is_built() {
        let many = measured(&request(vec![InferInputTensor::default(); 65])).expect_err("65 inputs");
        assert!(many.to_string().contains("more than 64 inputs"), "{many}");
        let shape = vec![1; 65];
        let input = InferInputTensor {
            shape,
            ..Default::default()
        };
        let many = measured(&request(vec![input])).expect_err("65 sizes");
        assert!(many.to_string().contains("sizes of a shape"), "{many}");
        assert!(measured(&[0x3a]).is_err());
    }
}
