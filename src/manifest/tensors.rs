//! `[[inputs]]` and `[[outputs]]`: the tensors that the tensor task names.

use std::fmt;

use serde::Deserialize;

use super::reader::Section;

/// Tensors that a model takes, and that it answers, at most.
const MOST_TENSORS: usize = 64;

/// Dimensions of a tensor at most.
const MOST_DIMENSIONS: usize = 16;

/// Values of one row of a tensor at most, which is 1 GiB of 32-bit floats.
const MOST_ELEMENTS: i64 = 1 << 28;

/// An input of open sizes may have so many times the values of its example, where nothing else is said.
const TIMES_THE_EXAMPLE: i64 = 16;

/// The tensors of a model of the tensor task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tensors {
    /// In the order of `forward`'s arguments.
    pub inputs: Vec<TensorInput>,
    /// In the order of `forward`'s results.
    pub outputs: Vec<TensorSpec>,
}

/// A tensor that goes in or comes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorSpec {
    /// Its name in requests and answers.
    pub name: String,
    /// The type of its values.
    pub dtype: Dtype,
    /// Its shape; −1 is any size, and as the first it is the batch.
    pub shape: Vec<i64>,
}

/// A tensor that goes in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInput {
    /// What requests have to fit.
    pub spec: TensorSpec,
    /// The shape that the model is tried with.
    pub example: Vec<i64>,
    /// Values that a request may have, where there is a bound: in each row where requests share batches, else in all.
    pub max_elements: Option<i64>,
    /// The least and the greatest whole number that a request may have, where the type has more of them.
    pub range: Option<[i64; 2]>,
}

/// The type of a tensor's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dtype {
    /// `true` and `false`.
    Bool,
    /// 8-bit integers from 0 to 255.
    U8,
    /// 32-bit integers.
    I32,
    /// 64-bit integers.
    I64,
    /// 16-bit floats; the model computes with them as 32-bit floats.
    F16,
    /// 32-bit floats.
    F32,
    /// 64-bit floats.
    F64,
}

impl Dtype {
    /// What model.toml may say.
    pub const ALL: [Self; 7] = [
        Self::Bool,
        Self::U8,
        Self::I32,
        Self::I64,
        Self::F16,
        Self::F32,
        Self::F64,
    ];

    /// As model.toml writes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::U8 => "u8",
            Self::I32 => "i32",
            Self::I64 => "i64",
            Self::F16 => "f16",
            Self::F32 => "f32",
            Self::F64 => "f64",
        }
    }

    /// Bytes of a value.
    #[must_use]
    pub fn size(self) -> usize {
        match self {
            Self::Bool | Self::U8 => 1,
            Self::F16 => 2,
            Self::I32 | Self::F32 => 4,
            Self::I64 | Self::F64 => 8,
        }
    }

    /// The least and the greatest of its whole numbers; nothing for what is none.
    #[must_use]
    pub fn whole_numbers(self) -> Option<[i64; 2]> {
        match self {
            Self::U8 => Some([0, u8::MAX.into()]),
            Self::I32 => Some([i32::MIN.into(), i32::MAX.into()]),
            Self::I64 => Some([i64::MIN, i64::MAX]),
            Self::Bool | Self::F16 | Self::F32 | Self::F64 => None,
        }
    }

    /// Whether its values have a fraction, so that there are gradients.
    #[must_use]
    pub fn is_float(self) -> bool {
        matches!(self, Self::F16 | Self::F32 | Self::F64)
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl TensorSpec {
    /// Whether the first size is open.
    fn begins_open(&self) -> bool {
        self.shape.first() == Some(&-1)
    }

    /// Whether a size other than the first is open.
    #[must_use]
    pub fn has_open_inner_sizes(&self) -> bool {
        self.shape.iter().skip(1).any(|&size| size == -1)
    }
}

impl Tensors {
    /// Whether requests share batches: −1 is the first size of every input and every output.
    #[must_use]
    pub fn is_batched(&self) -> bool {
        shares_batches(self.inputs.iter().map(|input| &input.spec), &self.outputs)
    }

    /// Bytes of the inputs that the model is tried with, in a batch of one.
    pub(super) fn bytes(&self) -> u64 {
        let first = usize::from(self.is_batched());
        let of_one = |input: &TensorInput| {
            let count: i64 = input.example[first..].iter().product();
            count.unsigned_abs() * input.spec.dtype.size() as u64
        };
        self.inputs.iter().map(of_one).sum()
    }
}

fn shares_batches<'a>(mut inputs: impl Iterator<Item = &'a TensorSpec>, outputs: &'a [TensorSpec]) -> bool {
    inputs.all(TensorSpec::begins_open) && outputs.iter().all(TensorSpec::begins_open)
}

/// What a table says of an input beside its [`TensorSpec`].
struct Said {
    spec: TensorSpec,
    example: Option<Vec<i64>>,
    max_elements: Option<i64>,
    range: Option<[i64; 2]>,
}

pub(super) fn tensors(root: &mut Section<'_>) -> Option<Tensors> {
    let said = root.tables("inputs", MOST_TENSORS, |s| {
        let spec = spec(s);
        let example = s.optional("example", "a shape such as [1, 3, 64, 64]");
        let max_elements = s.optional("max_elements", "a number of values");
        let fits = max_elements.is_none_or(|most| (1..=MOST_ELEMENTS).contains(&most));
        s.check(fits, "max_elements", || {
            format!(
                "found {}, expected 1 to {MOST_ELEMENTS}",
                max_elements.unwrap_or(0)
            )
        });
        let range: Option<[i64; 2]> = s.optional(
            "range",
            "the least and the greatest whole number, such as [0, 999]",
        );
        let spec = spec?;
        let within = |[least, most]: [i64; 2]| {
            let all = spec.dtype.whole_numbers();
            all.is_some_and(|[first, last]| first <= least && least <= most && most <= last)
        };
        s.check(range.is_none_or(within), "range", || {
            format!(
                "found {:?}, expected the least and the greatest whole number of {}",
                range.unwrap_or_default(),
                spec.dtype
            )
        });
        Some(Said {
            spec,
            example,
            max_elements,
            range,
        })
    });
    let outputs = root.tables("outputs", MOST_TENSORS, spec);
    let (said, outputs) = (said?, outputs?);
    check_names(root, "inputs", said.iter().map(|said| &said.spec));
    check_names(root, "outputs", outputs.iter());
    let is_batched = shares_batches(said.iter().map(|said| &said.spec), &outputs);
    let inputs = said.into_iter().enumerate();
    let inputs: Vec<Option<TensorInput>> = inputs
        .map(|(index, said)| input(root, index, said, is_batched))
        .collect();
    Some(Tensors {
        inputs: inputs.into_iter().collect::<Option<_>>()?,
        outputs,
    })
}

/// The keys that inputs and outputs have.
fn spec(s: &mut Section<'_>) -> Option<TensorSpec> {
    let name: Option<String> = s.required("name", "a name such as \"x\"");
    let names: Vec<String> = Dtype::ALL.iter().map(|dtype| format!("\"{dtype}\"")).collect();
    let dtype = s.required("dtype", &format!("one of {}", names.join(", ")));
    let shape: Option<Vec<i64>> = s.required("shape", "sizes such as [-1, 4]; -1 is any size");
    let (name, shape) = (name?, shape?);
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    s.check(
        begins && name.len() <= 64 && name.chars().all(is_plain),
        "name",
        || "expected at most 64 letters, digits, `_`, `-` and `.`, a letter or `_` first".into(),
    );
    s.check(shape.len() <= MOST_DIMENSIONS, "shape", || {
        format!("found {} sizes, expected at most {MOST_DIMENSIONS}", shape.len())
    });
    let wrong = shape.iter().find(|&&size| size != -1 && size < 1);
    s.check(wrong.is_none(), "shape", || {
        format!(
            "found {}, expected sizes from 1, or -1 for any size",
            wrong.unwrap_or(&0)
        )
    });
    s.check(elements(&shape).is_some(), "shape", || {
        format!("expected at most {MOST_ELEMENTS} values")
    });
    Some(TensorSpec {
        name,
        dtype: dtype?,
        shape,
    })
}

/// How many values a tensor of this shape has, if they are not too many; open sizes count once.
fn elements(shape: &[i64]) -> Option<i64> {
    let mut fixed = shape.iter().map(|&size| size.max(1));
    let product = fixed.try_fold(1, i64::checked_mul);
    product.filter(|&count| count <= MOST_ELEMENTS)
}

fn check_names<'a>(root: &mut Section<'_>, key: &str, specs: impl Iterator<Item = &'a TensorSpec>) {
    let mut names: Vec<&str> = specs.map(|spec| spec.name.as_str()).collect();
    names.sort_unstable();
    if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        root.check(false, key, || {
            format!("`{}` is the name of more than one", pair[0])
        });
    }
}

/// An input with the shape that it is tried with, where that is known.
fn input(root: &mut Section<'_>, index: usize, said: Said, is_batched: bool) -> Option<TensorInput> {
    let Said {
        spec,
        example,
        max_elements,
        range,
    } = said;
    let key = format!("inputs[{index}].example");
    let first_inner = usize::from(is_batched);
    let is_open = spec.shape.iter().skip(first_inner).any(|&size| size == -1);
    root.check(!is_open || example.is_some(), &key, || {
        format!(
            "is missing; the shape {:?} has open sizes{}, so say the shape that the model is tried with, such as \
             example = [1, 3, 64, 64]",
            spec.shape,
            if is_batched { " beside the batch" } else { "" }
        )
    });
    let fits = |example: &Vec<i64>| {
        let mut sizes = example.iter().zip(&spec.shape);
        let each = sizes.all(|(&found, &size)| found > 0 && (size == -1 || size == found));
        example.len() == spec.shape.len() && each && elements(example).is_some()
    };
    root.check(example.as_ref().is_none_or(fits), &key, || {
        format!(
            "found {:?}, expected a shape that fits {:?} (-1 is any size) and has at most {MOST_ELEMENTS} values",
            example.as_deref().unwrap_or_default(),
            spec.shape
        )
    });
    let tried = match example {
        Some(example) if fits(&example) => example,
        None if !is_open => spec.shape.iter().map(|&size| size.max(1)).collect(),
        _ => return None,
    };
    let usual = elements(&tried[first_inner..])?.saturating_mul(TIMES_THE_EXAMPLE);
    let of_open = is_open.then_some(usual.min(MOST_ELEMENTS));
    Some(TensorInput {
        max_elements: max_elements.or(of_open),
        example: tried,
        range,
        spec,
    })
}
