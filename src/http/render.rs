//! Predictions as pictures: masks, tints, boxes, reconstructions. It draws and compresses, so it runs on the pool.

use super::accept::Form;
use crate::error::{Error, Result};
use crate::image::{
    Annotation, Picture, Rect, annotate, class_color, encode_indexed_png, encode_png, grid, tint,
};
use crate::repository::manifest::TaskKind;
use crate::tasks::segmentation::{self, Render, UNSEEN};
use crate::tasks::{Frame, Options, Prediction, detection, vae};

/// The forms in which a prediction of this task can be answered, the default first.
pub(super) fn forms(task: TaskKind) -> &'static [Form] {
    match task {
        TaskKind::Classification | TaskKind::Tensor => &[Form::Json],
        TaskKind::Segmentation => &[Form::Json, Form::Png, Form::Npy],
        TaskKind::Detection | TaskKind::Vae => &[Form::Json, Form::Png],
        TaskKind::Captioning => &[Form::Json, Form::Events],
    }
}

/// The PNG or NPY of one prediction.
pub(super) fn bytes(
    form: Form,
    picture: &Picture,
    prediction: &Prediction,
    options: &Options,
) -> Result<Vec<u8>> {
    match (form, prediction, options) {
        (Form::Npy, Prediction::Segmentation(found), _) => {
            super::npy::npy(&found.mask.size, &found.class_ids)
        }
        (Form::Png, Prediction::Segmentation(found), Options::Segmentation(options)) => {
            segments(picture, found, options)
        }
        (Form::Png, Prediction::Detection(found), _) => objects(picture, found),
        (Form::Png, Prediction::Vae(vae::Prediction::Reconstruction(found)), _) => found.reconstruction.png(),
        (Form::Png, Prediction::Vae(vae::Prediction::Decoding(found)), _) => found.decoded.png(),
        _ => Err(Error::NotAcceptable(format!(
            "{} cannot show this answer",
            form.media_type()
        ))),
    }
}

fn segments(
    picture: &Picture,
    found: &segmentation::Prediction,
    options: &segmentation::Options,
) -> Result<Vec<u8>> {
    match options.render {
        Render::Mask => {
            let palette: Vec<[u8; 3]> = (0..=255).map(class_color).collect();
            encode_indexed_png(picture.width(), picture.height(), &found.class_ids, &palette)
        }
        Render::Overlay => {
            let color = |index: usize| match found.class_ids[index] {
                0 | UNSEEN => None,
                class_id => Some((class_color(class_id.into()), options.alpha)),
            };
            encode_png(&tint(picture, color)?)
        }
    }
}

fn objects(picture: &Picture, found: &detection::Prediction) -> Result<Vec<u8>> {
    let annotation = |object: &detection::Object| Annotation {
        bounds: Rect {
            x_min: object.bounds.x_min.into(),
            y_min: object.bounds.y_min.into(),
            x_max: object.bounds.x_max.into(),
            y_max: object.bounds.y_max.into(),
        },
        label: format!("{} {:.2}", object.label, object.score),
        // Class 0 would be black, which is hard to see.
        color: class_color(object.class_id + 1),
    };
    let annotations: Vec<Annotation> = found.objects.iter().map(annotation).collect();
    encode_png(&annotate(picture, &annotations)?)
}

/// Frames in a grid that is about as wide as it is high, or in one row.
pub(super) fn frames_png(frames: &[Frame], in_a_row: bool) -> Result<Vec<u8>> {
    let pictures = frames.iter().map(picture).collect::<Result<Vec<_>>>()?;
    let columns = if in_a_row {
        frames.len()
    } else {
        (frames.len() as f64).sqrt().ceil() as usize
    };
    encode_png(&grid(&pictures, columns)?)
}

fn picture(frame: &Frame) -> Result<Picture> {
    let rgb = match frame.channels {
        1 => frame.data.iter().flat_map(|&v| [v; 3]).collect(),
        _ => frame.data.clone(),
    };
    Picture::new(frame.width, frame.height, rgb)
}
