//! Explanations as tensors, beside those of a prediction.

use super::datatype::Datatype;
use super::outputs::size;
use super::tensor::Tensor;
use crate::error::{Error, Result};
use crate::explain::Explanation;
use crate::service::{Attributed, Explained, render};

/// The names of what an explanation answers.
pub(super) const NAMES: [&str; 6] = [
    "saliency",
    "saliency_images",
    "saliency_targets",
    "saliency_layers",
    "saliency_degenerate",
    "saliency_notes",
];

/// `saliency [M, …]`, M maps in the order of pictures, targets and layers, and of each map: `saliency_images [M]`, the index of
/// its picture; `saliency_targets [M]`, what was explained, in words; `saliency_layers [M]`, the layer that was looked at; `saliency_degenerate
/// [M]`, whether it says nothing; `saliency_notes [M]`, what a reader should know of it.
///
/// # Errors
/// [`Error::UnsupportedForTask`](crate::error::Error::UnsupportedForTask) where maps are of different sizes.
pub(super) fn of_pictures(done: &Explained) -> Result<Vec<Tensor>> {
    let maps = done.images.iter().enumerate().flat_map(|(index, image)| {
        let maps = image.explanations.iter();
        maps.map(move |map| (index, render::presented(image, map, &done.options.view)))
    });
    tensors(&maps.collect::<Vec<_>>())
}

/// The same of a model of tensors, of which there is one map.
///
/// # Errors
/// As [`of_pictures`].
pub(super) fn of_tensors(done: Attributed) -> Result<Vec<Tensor>> {
    tensors(&[(0, done.explanation)])
}

/// Bytes that the maps take as tensors, while they are made.
pub(super) fn cost(done: &Explained) -> u64 {
    let view = done.options.view;
    done.images
        .iter()
        .map(|image| render::array_cost(image, view))
        .sum()
}

fn tensors(maps: &[(usize, Explanation)]) -> Result<Vec<Tensor>> {
    let mut shapes = maps.iter().map(|(_, map)| map.map.shape.as_slice());
    let inner = shapes.next().unwrap_or_default();
    if shapes.any(|shape| shape != inner) {
        return Err(Error::UnsupportedForTask(
            "maps of different sizes do not fit into one tensor; ask for one layer and one picture at a time, or for \
             resolution=input"
                .into(),
        ));
    }
    let count = size(maps.len());
    let shape = [count]
        .into_iter()
        .chain(inner.iter().map(|&length| size(length)));
    let values: Vec<f32> = maps
        .iter()
        .flat_map(|(_, map)| map.map.data.iter().copied())
        .collect();
    let images: Vec<i64> = maps.iter().map(|(image, _)| size(*image)).collect();
    let flags: Vec<u8> = maps
        .iter()
        .map(|(_, map)| u8::from(map.degeneracy.is_some()))
        .collect();
    let [saliency, image_of, target_of, layer_of, degenerate, notes_of] = NAMES;
    let layers = maps.iter().map(|(_, map)| map.layer.clone().unwrap_or_default());
    Ok(vec![
        Tensor::floats(saliency, shape.collect(), &values),
        Tensor::integers(image_of, vec![count], &images),
        Tensor::texts(
            target_of,
            vec![count],
            maps.iter().map(|(_, map)| map.target.to_string()),
        ),
        Tensor::texts(layer_of, vec![count], layers),
        Tensor::plain(degenerate, Datatype::Bool, vec![count], flags),
        Tensor::texts(notes_of, vec![count], maps.iter().map(|(_, map)| notes(map))),
    ])
}

/// Why a map says nothing, that it stopped early, what its method does not show, and how far it adds up.
fn notes(map: &Explanation) -> String {
    let stopped = map.passes.filter(|passes| passes.done < passes.planned);
    let stopped = stopped.map(|passes| {
        format!(
            "stopped early, after {} of {} passes",
            passes.done, passes.planned
        )
    });
    let adds_up = map
        .completeness
        .map(|found| format!("completeness error {}", found.error));
    let said = [
        map.degeneracy.map(str::to_owned),
        stopped,
        map.caution.map(str::to_owned),
        adds_up,
    ];
    said.into_iter().flatten().collect::<Vec<_>>().join("; ")
}
