//! Whether a module answers pictures: their shape, and values that fit what model.toml says of black and white.

use super::finish::ends;
use super::images;
use crate::manifest::Range;
use crate::runtime::Call;
use crate::runtime::staging::floats;
use crate::tasks::operation::{Breach, Contract};
use crate::tasks::spec::ModelSpec;

/// A side of an answer at most, as of an input.
const MOST_SIDE: i64 = 8192;

/// Bytes of the largest batch of answers at most, as 32-bit floats.
const MOST_BYTES: i64 = 1 << 30;

/// `forward(x[B, C, H, W]) → pictures[B, 3, h, w]`, or a map `[B, 1, h, w]` or `[B, h, w]`
pub(in crate::tasks) struct Pictures;

impl Contract for Pictures {
    fn check(&self, net: &dyn Call, spec: &ModelSpec, size: usize) -> Result<(), Breach> {
        let blank = net.forward(spec.blank(size, net.device())?)?;
        let shape = shape(&blank.size(), spec, size)?;
        spec.learn_picture(shape);
        spec.same_row(&blank.size())?;
        if size == 1 {
            let noise = net.forward(spec.noise(net.device())?)?;
            let channels = usize::try_from(shape[0]).unwrap_or(0);
            values(
                (&floats(&images(&blank)?)?, &floats(&images(&noise)?)?),
                channels,
                spec,
            )?;
        }
        Ok(())
    }
}

/// `[C, h, w]` of an answer of this shape.
fn shape(shape: &[i64], spec: &ModelSpec, size: usize) -> Result<[i64; 3], Breach> {
    let found = || {
        format!("forward answered {shape:?}, expected pictures [{size}, 3, h, w] or maps [{size}, 1, h, w]")
    };
    let (batch, [channels, height, width]) = match *shape {
        [batch, channels, height, width] => (batch, [channels, height, width]),
        [batch, height, width] => (batch, [1, height, width]),
        [_, _] => {
            return Err(format!(
                "{}; one row of numbers is task = \"regression\" or \"embedding\"",
                found()
            )
            .into());
        }
        _ => return Err(found().into()),
    };
    if batch != size as i64 {
        return Err(format!("{}: is the batch its first dimension?", found()).into());
    }
    if channels == 2 {
        return Err(format!(
            "{}; two channels, such as a flow, are no picture: task = \"tensor\"",
            found()
        )
        .into());
    }
    if channels != 1 && channels != 3 {
        return Err(format!(
            "{}; {channels} logits of each pixel are task = \"segmentation\"",
            found()
        )
        .into());
    }
    let input = spec.manifest.image_input()?;
    let (input_height, input_width) = (i64::from(input.fit.size.0), i64::from(input.fit.size.1));
    if height < 1 || width < 1 || height * input_width != width * input_height {
        return Err(format!(
            "forward answered {height} × {width} for an input of {input_height} × {input_width}: expected the same aspect, since \
             the answer has to lie on the picture"
        )
        .into());
    }
    if height.max(width) > MOST_SIDE || size as i64 * channels * height * width > MOST_BYTES / 4 {
        return Err(format!(
            "{}, of at most {MOST_SIDE} a side and 1 GiB in a batch; a smaller batching.max_batch_size makes it smaller",
            found()
        )
        .into());
    }
    let taken = input.mean.len();
    let is_input = spec.manifest.output.picture.map(|keys| keys.range) == Some(Range::Input);
    if is_input && channels != taken as i64 {
        return Err(format!(
            "forward answered {channels} channels for {taken}: output.range = \"input\" is for as many; for a map say \
             \"minmax\", or [black, white]"
        )
        .into());
    }
    Ok([channels, height, width])
}

/// Whether these may be what a module makes of a black picture and of one of noise, each `[C, h, w]`.
fn values((blank, noise): (&[f32], &[f32]), channels: usize, spec: &ModelSpec) -> Result<(), String> {
    if noise.iter().any(|v| !v.is_finite()) {
        return Err("of a picture of noise: forward answered NaN or infinity".into());
    }
    if channels == 3 && [blank, noise].into_iter().all(are_probabilities) {
        return Err(
            "forward answered three numbers from 0 to 1 whose sum is 1 at every pixel, which are probabilities of classes: \
             task = \"segmentation\", output.activation = \"none\""
                .into(),
        );
    }
    if spec.manifest.output.picture.map(|keys| keys.range) == Some(Range::MinMax) {
        return Ok(());
    }
    let ends = ends(spec, channels, (0.0, 1.0)).map_err(|e| e.to_string())?;
    fits(blank, noise, &ends)
}

/// Whether a softmax over three channels gives these.
fn are_probabilities(values: &[f32]) -> bool {
    let cells = values.len() / 3;
    let sum = |cell: usize| (0..3).map(|channel| values[channel * cells + cell]).sum::<f32>();
    cells > 0
        && values.iter().all(|v| (0.0..=1.0).contains(v))
        && (0..cells).all(|cell| (sum(cell) - 1.0).abs() < 1e-3)
}

/// Whether what is made of a black picture and of noise, each `[C, h, w]`, fits these values of black and white: of neither lie
/// many far outside, and where bytes are expected, they are not all parts of one.
fn fits(blank: &[f32], noise: &[f32], ends: &[[f32; 2]]) -> Result<(), String> {
    /// A range as wide as this is one of bytes; values as large as this are none.
    const OF_BYTES: f32 = 100.0;
    const OF_PARTS: f32 = 1.5;
    let all = || blank.iter().chain(noise).copied();
    let least = all().fold(f32::INFINITY, f32::min);
    let most = all().fold(f32::NEG_INFINITY, f32::max);
    let greatest = least.abs().max(most.abs());
    let is_too_wide = ends.iter().all(|[black, white]| white - black >= OF_BYTES) && greatest <= OF_PARTS;
    if !is_too_wide && !are_far(blank, ends) && !are_far(noise, ends) {
        return Ok(());
    }
    let likely = match (least, greatest) {
        (..-0.1, ..=OF_PARTS) => "[-1, 1]",
        (_, ..=OF_PARTS) => "[0, 1]",
        (-1.0.., 10.0..=300.0) => "[0, 255]",
        _ => "\"input\", or \"minmax\" for a map",
    };
    let [black, white] = ends.first().copied().unwrap_or_default();
    Err(format!(
        "forward answered values from {least} to {most}, but output.range says that {black} is black and {white} is white; \
         is it range = {likely}?"
    ))
}

/// Whether many of the values `[C, h, w]` lie far outside.
fn are_far(values: &[f32], ends: &[[f32; 2]]) -> bool {
    /// How far outside, in widths of the range, is far; which part of the values is many.
    const FAR: f32 = 0.25;
    const MANY: f64 = 0.1;
    let cells = (values.len() / ends.len().max(1)).max(1);
    let is_far = |value: f32, [black, white]: [f32; 2]| {
        let part = (value - black) / (white - black);
        !(-FAR..=1.0 + FAR).contains(&part)
    };
    let of_channel = |(values, ends): (&[f32], &[f32; 2])| {
        let far = values.iter().filter(|value| is_far(**value, *ends));
        far.count()
    };
    let far: usize = values.chunks(cells).zip(ends).map(of_channel).sum();
    far as f64 > MANY * values.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Manifest;
    use crate::tasks::Labels;

    fn spec(range: &str) -> ModelSpec {
        let text = format!("task = \"image_to_image\"\n[input]\nsize = [8, 16]\n[output]\nrange = {range}");
        ModelSpec::new(
            Manifest::parse(&text).expect("a right manifest"),
            Labels::default(),
        )
    }

    #[test]
    fn what_is_no_picture_is_refused_with_what_it_looks_like() {
        let of = |answered: &[i64], range: &str| {
            shape(answered, &spec(range), 2).map_err(|breach| match breach {
                Breach::Answer(problem) => problem,
                Breach::Raised(error) => error.to_string(),
            })
        };
        assert_eq!(of(&[2, 3, 16, 32], "\"input\""), Ok([3, 16, 32]));
        assert_eq!(of(&[2, 1, 4, 8], "\"minmax\""), Ok([1, 4, 8]));
        assert_eq!(
            of(&[2, 8, 16], "\"minmax\""),
            Ok([1, 8, 16]),
            "depth without channels"
        );
        for (answered, range, word) in [
            (&[1, 3, 8, 16][..], "\"input\"", "first dimension"),
            (&[2, 5], "\"input\"", "regression"),
            (&[2, 2, 8, 16], "\"minmax\"", "tensor"),
            (&[2, 21, 8, 16], "\"minmax\"", "segmentation"),
            (&[2, 3, 8, 8], "[0, 1]", "aspect"),
            (&[2, 3, 0, 0], "[0, 1]", "aspect"),
            (&[2, 1, 8, 16], "\"input\"", "1 channels for 3"),
            (&[2, 3, 8192, 16_384], "[0, 1]", "8192 a side"),
        ] {
            let problem = of(answered, range).expect_err(word);
            assert!(problem.contains(word), "{answered:?}: {problem}");
        }
    }

    #[test]
    fn values_that_do_not_fit_the_range_are_refused_with_one_that_they_fit() {
        let bytes: Vec<f32> = (0..=255u8).map(f32::from).collect();
        let parts: Vec<f32> = bytes.iter().map(|byte| byte / 255.0).collect();
        let around: Vec<f32> = parts.iter().map(|part| 2.0 * part - 1.0).collect();
        for (values, ends) in [
            (&bytes, [0.0, 255.0]),
            (&parts, [0.0, 1.0]),
            (&around, [-1.0, 1.0]),
        ] {
            assert_eq!(fits(&[0.0; 256], values, &[ends]), Ok(()));
        }
        for (values, ends, likely) in [
            (&bytes, [0.0, 1.0], "range = [0, 255]"),
            (&parts, [0.0, 255.0], "range = [0, 1]"),
            (&around, [0.0, 1.0], "range = [-1, 1]"),
        ] {
            assert!(
                fits(&[0.0; 256], values, &[ends]).is_err_and(|text| text.contains(likely)),
                "{likely}"
            );
        }
    }

    #[test]
    fn probabilities_of_three_classes_are_no_colours() {
        let softmax = [0.25, 0.5, 0.25, 0.25, 0.5, 0.25];
        assert!(
            values((&softmax, &softmax), 3, &spec("[0, 1]")).is_err_and(|text| text.contains("segmentation"))
        );
        let colours = [0.25, 0.5, 0.25, 0.25, 0.5, 0.75];
        assert_eq!(values((&colours, &colours), 3, &spec("[0, 1]")), Ok(()));
        assert!(values((&colours, &[f32::NAN; 6]), 3, &spec("[0, 1]")).is_err());
    }
}
