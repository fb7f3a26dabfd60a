//! The tables of weights, and the raw numbers that they name.

use std::collections::HashMap;
use std::fs::File;

use crate::archive::Archive;
use crate::refused::{Refused, Result, excerpt};
use crate::schema::{Payload, PayloadConfig, Size, TensorMeta};

/// Dimensions that a tensor may have.
const MOST_DIMENSIONS: usize = 64;

/// What a tensor's numbers are, in torch.export's numbering of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are torch's")]
pub enum Number {
    U8,
    I8,
    I16,
    I32,
    I64,
    F16,
    F32,
    F64,
    C64,
    C128,
    Bool,
    Bf16,
}

impl Number {
    pub(crate) fn of(dtype: i64) -> Result<Self> {
        Ok(match dtype {
            1 => Self::U8,
            2 => Self::I8,
            3 => Self::I16,
            4 => Self::I32,
            5 => Self::I64,
            6 => Self::F16,
            7 => Self::F32,
            8 => Self::F64,
            10 => Self::C64,
            11 => Self::C128,
            12 => Self::Bool,
            13 => Self::Bf16,
            9 | 28..=35 => {
                return Err(Refused::unsupported(format!(
                    "its tensors hold numbers that are not computed with (torch.export's dtype {dtype})"
                )));
            }
            _ => return Err(Refused::damaged(format!("there is no dtype {dtype}"))),
        })
    }

    /// Its number in c10's own order, which a graph's constants have.
    #[must_use]
    pub fn c10(self) -> i64 {
        match self {
            Self::U8 => 0,
            Self::I8 => 1,
            Self::I16 => 2,
            Self::I32 => 3,
            Self::I64 => 4,
            Self::F16 => 5,
            Self::F32 => 6,
            Self::F64 => 7,
            Self::C64 => 9,
            Self::C128 => 10,
            Self::Bool => 11,
            Self::Bf16 => 15,
        }
    }

    /// Bytes of one.
    #[must_use]
    pub fn bytes(self) -> u64 {
        match self {
            Self::U8 | Self::I8 | Self::Bool => 1,
            Self::I16 | Self::F16 | Self::Bf16 => 2,
            Self::I32 | Self::F32 => 4,
            Self::I64 | Self::F64 | Self::C64 => 8,
            Self::C128 => 16,
        }
    }
}

/// A parameter, buffer or constant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weight {
    /// Its path from the top: "layer1.0.conv1.weight".
    pub path: String,
    /// Whether it is a parameter.
    pub is_parameter: bool,
    /// Whether gradients are taken of it in training.
    pub requires_grad: bool,
    /// Its numbers.
    pub number: Number,
    /// Its shape.
    pub sizes: Vec<i64>,
    /// Numbers from one element to the next, in each dimension.
    pub strides: Vec<i64>,
    /// The number in the record that is its first.
    pub offset: i64,
    record: String,
}

/// A file whose weights are read: opened once for all of them.
pub struct Records<'a>(Archive<'a>);

impl<'a> Records<'a> {
    /// Opens `file`.
    ///
    /// # Errors
    /// [`Refused`] where it is no archive of torch.export.
    pub fn open(file: &'a File) -> Result<Self> {
        Archive::open(file).map(Self)
    }

    /// The bytes of a weight's record, which is as long as shape, strides and offset need.
    ///
    /// # Errors
    /// [`Refused::Damaged`] where this is not the file that the weight was read from.
    pub fn bytes(&mut self, weight: &Weight) -> Result<Vec<u8>> {
        self.0.bytes(&weight.record, u64::MAX)
    }
}

impl Weight {
    /// Whether both are one tensor: the same numbers of the same record.
    pub(crate) fn is_same_tensor(&self, other: &Self) -> bool {
        self.record == other.record && self.is_parameter == other.is_parameter && self.has_same_view(other)
    }

    /// Whether both are read alike from records that hold the same bytes.
    pub(crate) fn has_same_view(&self, other: &Self) -> bool {
        self.number == other.number
            && self.sizes == other.sizes
            && self.strides == other.strides
            && self.offset == other.offset
    }

    /// The numbers that its record must have.
    fn needed(&self) -> Option<u64> {
        if self.sizes.contains(&0) {
            return Some(0);
        }
        let last = self
            .sizes
            .iter()
            .zip(&self.strides)
            .try_fold(self.offset, |last, (size, stride)| {
                last.checked_add(size.checked_sub(1)?.checked_mul(*stride)?)
            })?;
        u64::try_from(last.checked_add(1)?).ok()
    }
}

/// The tables of one program.
pub(crate) struct Tables {
    weights: HashMap<String, Payload>,
    constants: HashMap<String, Payload>,
}

impl Tables {
    pub(crate) fn read(archive: &mut Archive<'_>, program: &str) -> Result<Self> {
        let mut table = |folder: &str| -> Result<HashMap<String, Payload>> {
            let record = format!("data/{folder}/{program}_{folder}_config.json");
            Ok(archive.json::<PayloadConfig>(&record)?.config)
        };
        Ok(Self {
            weights: table("weights")?,
            constants: table("constants")?,
        })
    }

    /// A parameter, or a buffer that `state_dict` has.
    pub(crate) fn weight(&self, archive: &mut Archive<'_>, path: &str, is_parameter: bool) -> Result<Weight> {
        entry(archive, &self.weights, "data/weights/", path, is_parameter)
    }

    /// A constant, or a buffer that `state_dict` has not.
    pub(crate) fn constant(&self, archive: &mut Archive<'_>, path: &str) -> Result<Weight> {
        entry(archive, &self.constants, "data/constants/", path, false)
    }
}

fn entry(
    archive: &mut Archive<'_>,
    table: &HashMap<String, Payload>,
    folder: &str,
    path: &str,
    is_parameter: bool,
) -> Result<Weight> {
    let name = excerpt(path);
    let damaged = |why: String| Refused::damaged(format!("the weight {name}: {why}"));
    let payload = table.get(path).ok_or_else(|| damaged("it is missing".into()))?;
    if payload.use_pickle {
        return Err(Refused::unsupported(format!(
            "the weight {name} is a pickle, as those of tensor subclasses are (torchao's quantised ones); a pickle can run \
             code and is not opened: export the network with plain tensors"
        )));
    }
    let meta = payload
        .tensor_meta
        .as_ref()
        .ok_or_else(|| damaged("it has no shape".into()))?;
    let record = format!("{folder}{}", payload.path_name);
    let weight = described(path, meta, record, is_parameter)?;
    let bytes = archive
        .size(&weight.record)
        .ok_or_else(|| damaged("its numbers are missing".into()))?;
    let needed = weight
        .needed()
        .and_then(|count| count.checked_mul(weight.number.bytes()));
    match needed {
        Some(needed) if needed <= bytes => Ok(weight),
        _ => Err(damaged(format!(
            "its shape needs more than the {bytes} bytes that it has"
        ))),
    }
}

fn described(path: &str, meta: &TensorMeta, record: String, is_parameter: bool) -> Result<Weight> {
    let name = excerpt(path);
    let damaged = |why: &str| Refused::damaged(format!("the weight {name}: {why}"));
    if meta.layout != 7 {
        return Err(Refused::unsupported(format!(
            "the weight {name} is not a dense tensor"
        )));
    }
    let whole = |sizes: &[Size]| -> Result<Vec<i64>> {
        let size = |size: &Size| match size {
            Size::Int(size) if *size >= 0 => Ok(*size),
            _ => Err(damaged("its shape is no list of whole numbers")),
        };
        sizes.iter().map(size).collect()
    };
    let (sizes, strides) = (whole(&meta.sizes)?, whole(&meta.strides)?);
    if sizes.len() != strides.len() || sizes.len() > MOST_DIMENSIONS {
        return Err(damaged("its shape and its strides do not fit"));
    }
    let offset = match &meta.storage_offset {
        None => 0,
        Some(Size::Int(offset)) if *offset >= 0 => *offset,
        Some(_) => return Err(damaged("its offset is no whole number")),
    };
    let number = Number::of(meta.dtype)?;
    Ok(Weight {
        path: path.to_owned(),
        is_parameter,
        requires_grad: meta.requires_grad,
        number,
        sizes,
        strides,
        offset,
        record,
    })
}
