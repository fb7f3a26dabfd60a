//! Tensors whose memory Rust writes itself: `Tensor::from_slice` fills a new one with zeros and copies over them, and a batch
//! of pictures is large.
#![expect(unsafe_code, reason = "a new tensor's memory is behind a pointer")]

use std::mem::{MaybeUninit, take};
use std::slice;

use tch::{Device, Kind, Tensor};

use crate::error::{BridgeError, Result};

/// What is left to be written of a new tensor, from its start on, row-major.
#[derive(Debug)]
pub struct Slots<'a>(&'a mut [MaybeUninit<f32>]);

impl Slots<'_> {
    /// Writes groups of `N` numbers one after another; those that find no room are dropped.
    pub fn extend<const N: usize>(&mut self, groups: impl IntoIterator<Item = [f32; N]>) {
        let free = take(&mut self.0);
        let (slots, _) = free.as_chunks_mut::<N>();
        let mut written = 0;
        for (slot, group) in slots.iter_mut().zip(groups) {
            // By index: `map` of an array is a call for each number here.
            for at in 0..N {
                slot[at].write(group[at]);
            }
            written += N;
        }
        self.0 = &mut free[written..];
    }
}

/// A tensor of f32 on the CPU of the size `shape`, all of whose numbers `write` writes.
///
/// # Errors
/// [`BridgeError::Torch`] when the size is none, or something is left to be written; [`BridgeError::OutOfMemory`].
pub fn written(shape: &[i64], write: impl FnOnce(&mut Slots<'_>)) -> Result<Tensor> {
    let tensor = Tensor::f_empty(shape, (Kind::Float, Device::Cpu))?;
    let length = tensor.numel();
    let mut slots = Slots(match length {
        // Nothing is behind the pointer of an empty tensor.
        0 => &mut [],
        // SAFETY: a new CPU tensor of f32 is contiguous, aligned, and holds `length` numbers; nobody else knows of it until
        // it is returned. It is written as memory that is not initialised, and read only when all of it was.
        _ => unsafe { slice::from_raw_parts_mut(tensor.data_ptr().cast(), length) },
    });
    write(&mut slots);
    match slots.0.len() {
        0 => Ok(tensor),
        left => Err(BridgeError::Torch(format!(
            "{left} of {length} numbers of a new tensor were not written"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tensor_holds_what_was_written_in_its_order() {
        let tensor = written(&[2, 3], |slots| {
            slots.extend([[1.0, 2.0], [3.0, 4.0]]);
            slots.extend([[5.0], [6.0], [7.0]]);
        })
        .expect("all of it");
        assert_eq!(tensor.size(), [2, 3]);
        let values: Vec<f32> = tensor.flatten(0, -1).try_into().expect("f32 values");
        assert_eq!(values, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    }

    #[test]
    fn a_tensor_of_which_something_is_left_is_not_handed_out() {
        for write in [
            |_: &mut Slots<'_>| (),
            |slots: &mut Slots<'_>| slots.extend([[1.0, 2.0], [3.0, 4.0]]),
        ] {
            let left = written(&[3], write).expect_err("not all of it");
            assert!(left.to_string().contains("of 3 numbers"), "{left}");
        }
        assert!(written(&[-1], |_| ()).is_err(), "no size");
        assert_eq!(written(&[0, 3], |_| ()).expect("nothing to write").numel(), 0);
    }
}
