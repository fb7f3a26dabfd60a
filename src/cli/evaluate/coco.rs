//! The true objects of pictures, as COCO's JSON has them: `images`, `annotations` with `bbox`, `iscrowd` and `segmentation`,
//! `categories`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;

use super::outline::Outline;
use crate::error::{Error, Result, excerpt};
use crate::evaluation::Truth;
use crate::manifest::read_text;
use crate::tasks::Labels;

/// Bytes of such a file at most: twice that of COCO's own for training.
const MOST_BYTES: u64 = 1 << 30;

/// Things that are named in a message.
const MOST_NAMED: usize = 10;

#[derive(Deserialize)]
struct File {
    images: Vec<Image>,
    annotations: Vec<Annotation>,
    categories: Vec<Category>,
}

#[derive(Deserialize)]
struct Image {
    id: u64,
    file_name: String,
}

#[derive(Deserialize)]
struct Annotation {
    image_id: u64,
    category_id: u64,
    /// Left and upper edge, width and height in pixels.
    bbox: [f64; 4],
    #[serde(default)]
    iscrowd: u8,
    segmentation: Option<Outline>,
}

#[derive(Deserialize)]
struct Category {
    id: u64,
    name: String,
}

/// A picture and the objects in it.
#[derive(Debug)]
pub(super) struct Annotated {
    pub(super) file: PathBuf,
    /// Their boxes.
    pub(super) truths: Vec<Truth>,
    /// Their pixels, in the same order; empty where the file does not say them.
    pub(super) outlines: Vec<Outline>,
}

impl AsRef<Path> for Annotated {
    fn as_ref(&self) -> &Path {
        &self.file
    }
}

/// What a file says.
pub(super) struct Annotations {
    /// By their ids, as pycocotools takes them.
    pub(super) pictures: Vec<Annotated>,
    /// The categories that no label of the model is called after; their objects are left out.
    pub(super) unknown: Vec<String>,
    /// The classes that a category is called after; what the model finds of others is left out.
    pub(super) classes: BTreeSet<usize>,
    /// Whether the pixels of every object are said.
    pub(super) has_outlines: bool,
}

/// What `file` says of the pictures in `dir`, for a model with these labels.
///
/// # Errors
/// [`Error::InvalidSettings`] where it cannot be read, is wrong in itself, or has no category that is called as a label is.
pub(super) fn read(file: &Path, dir: &Path, labels: &Labels) -> Result<Annotations> {
    let wrong = |why: String| Error::InvalidSettings(format!("{}: {why}", file.display()));
    let text = read_text(file, MOST_BYTES).map_err(|e| wrong(e.to_string()))?;
    let said: File = serde_json::from_str(&text).map_err(|e| {
        wrong(format!(
            "is no JSON of COCO's, with images, annotations and categories: {e}"
        ))
    })?;
    understood(said, dir, labels).map_err(wrong)
}

fn understood(said: File, dir: &Path, labels: &Labels) -> Result<Annotations, String> {
    let (classes, unknown) = categories(&said.categories, labels)?;
    let known: BTreeSet<u64> = said.categories.iter().map(|category| category.id).collect();
    let mut pictures = pictures(said.images, dir)?;
    for annotation in said.annotations {
        let (image_id, category_id) = (annotation.image_id, annotation.category_id);
        let picture = pictures
            .get_mut(&image_id)
            .ok_or_else(|| format!("an annotation is of image {image_id}, which is not among `images`"))?;
        if !known.contains(&category_id) {
            return Err(format!(
                "an annotation is of category {category_id}, which is not among `categories`"
            ));
        }
        let bounds = annotation.bounds()?;
        if let Some(&class_id) = classes.get(&category_id) {
            picture.truths.push(Truth {
                class_id,
                region: bounds,
                is_crowd: annotation.iscrowd != 0,
            });
            if let Some(outline) = annotation.segmentation.filter(|outline| !outline.is_empty()) {
                outline
                    .check()
                    .map_err(|why| format!("image {image_id}: {why}"))?;
                picture.outlines.push(outline);
            }
        }
    }
    let with_outline = pictures.values().any(|picture| !picture.outlines.is_empty());
    let without = |picture: &Annotated| picture.outlines.len() < picture.truths.len();
    if let Some((image, _)) = pictures
        .iter()
        .find(|(_, picture)| with_outline && without(picture))
    {
        return Err(format!(
            "an annotation of image {image} has no segmentation, and others have one; all have one, or none"
        ));
    }
    Ok(Annotations {
        has_outlines: with_outline,
        pictures: pictures.into_values().collect(),
        unknown,
        classes: classes.into_values().collect(),
    })
}

/// The class of each category by its id, and the names of those that no label is called after.
fn categories(said: &[Category], labels: &Labels) -> Result<(BTreeMap<u64, usize>, Vec<String>), String> {
    let mut classes = BTreeMap::new();
    let mut unknown = Vec::new();
    for category in said {
        let meant: Vec<usize> = labels.all(&category.name).take(2).collect();
        match meant[..] {
            [class_id] => {
                classes.insert(category.id, class_id);
            }
            [] => unknown.push(excerpt(&category.name).into_owned()),
            _ => {
                let name = excerpt(&category.name);
                return Err(format!(
                    "category \"{name}\": several labels of the model are called so"
                ));
            }
        }
    }
    if classes.is_empty() {
        let named: Vec<&str> = unknown.iter().take(MOST_NAMED).map(String::as_str).collect();
        return Err(format!(
            "no label of the model is called as one of its categories is: {}",
            named.join(", ")
        ));
    }
    Ok((classes, unknown))
}

/// The pictures below `dir`, by their ids.
fn pictures(said: Vec<Image>, dir: &Path) -> Result<BTreeMap<u64, Annotated>, String> {
    let mut pictures = BTreeMap::new();
    for image in said {
        let (id, path) = (image.id, Path::new(&image.file_name));
        let is_below = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
        if !path.components().all(is_below) {
            return Err(format!(
                "image {id}: \"{}\" is no path below the folder of pictures",
                excerpt(&image.file_name)
            ));
        }
        let annotated = Annotated {
            file: dir.join(path),
            truths: Vec::new(),
            outlines: Vec::new(),
        };
        if pictures.insert(id, annotated).is_some() {
            return Err(format!("two images have the id {id}"));
        }
    }
    Ok(pictures)
}

impl Annotation {
    /// Left, upper, right and lower edge.
    fn bounds(&self) -> Result<[f64; 4], String> {
        let [x, y, width, height] = self.bbox;
        let is_finite = self.bbox.iter().all(|side| side.is_finite());
        if is_finite && width >= 0.0 && height >= 0.0 {
            return Ok([x, y, x + width, y + height]);
        }
        Err(format!(
            "image {}: found bbox [{x}, {y}, {width}, {height}], expected [x, y, width, height] in pixels",
            self.image_id
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Annotations, String> {
        let said: File = serde_json::from_str(text).map_err(|e| e.to_string())?;
        let labels = Labels::new(["cat", "dog"].map(String::from));
        understood(said, Path::new("pictures"), &labels)
    }

    const CATEGORIES: &str = r#""categories": [{"id": 9, "name": "dog"}, {"id": 1, "name": "yak"}]"#;

    #[test]
    fn boxes_become_edges_and_categories_classes() {
        let found = of(&format!(
            r#"{{"info": {{}}, "images": [{{"id": 5, "file_name": "b.jpg"}}, {{"id": 2, "file_name": "a/a.jpg", "width": 3}}],
              "annotations": [{{"id": 1, "image_id": 5, "category_id": 9, "bbox": [1, 2, 3, 4], "area": 12, "iscrowd": 1}},
                              {{"id": 2, "image_id": 5, "category_id": 1, "bbox": [0, 0, 1, 1]}}], {CATEGORIES}}}"#
        ))
        .expect("right");
        assert_eq!(found.unknown, ["yak"]);
        assert_eq!(found.classes, BTreeSet::from([1]));
        assert_eq!(found.pictures[0].file, Path::new("pictures/a/a.jpg"));
        let truth = found.pictures[1].truths[0];
        assert_eq!(
            (truth.class_id, truth.region, truth.is_crowd),
            (1, [1.0, 2.0, 4.0, 6.0], true)
        );
        assert_eq!(found.pictures[1].truths.len(), 1);
    }

    #[test]
    fn what_is_wrong_in_itself_is_named() {
        for (images, annotations, expected) in [
            (r#"{"id": 1, "file_name": "../a.jpg"}"#, "", "no path below"),
            (r#"{"id": 1, "file_name": "/a.jpg"}"#, "", "no path below"),
            (
                r#"{"id": 1, "file_name": "a"}, {"id": 1, "file_name": "b"}"#,
                "",
                "two images have the id 1",
            ),
            (
                "",
                r#"{"image_id": 3, "category_id": 9, "bbox": [0, 0, 1, 1]}"#,
                "image 3, which is not among",
            ),
            (
                r#"{"id": 1, "file_name": "a"}"#,
                r#"{"image_id": 1, "category_id": 8, "bbox": [0, 0, 1, 1]}"#,
                "category 8",
            ),
            (
                r#"{"id": 1, "file_name": "a"}"#,
                r#"{"image_id": 1, "category_id": 9, "bbox": [0, 0, -1, 1]}"#,
                "found bbox",
            ),
            (
                r#"{"id": 1, "file_name": "a"}"#,
                r#"{"image_id": 1, "category_id": 9, "bbox": [0, 0, 1, 1], "segmentation": [[0, 0, 1, 1]]}"#,
                "a polygon has 4 numbers",
            ),
            (
                r#"{"id": 1, "file_name": "a"}"#,
                r#"{"image_id": 1, "category_id": 9, "bbox": [0, 0, 1, 1], "segmentation": [[0, 0, 1, 1, 0, 1]]},
                   {"image_id": 1, "category_id": 9, "bbox": [0, 0, 1, 1]}"#,
                "image 1 has no segmentation",
            ),
        ] {
            let text = format!(r#"{{"images": [{images}], "annotations": [{annotations}], {CATEGORIES}}}"#);
            let said = of(&text).err().unwrap_or_default();
            assert!(said.contains(expected), "{text}: {said}");
        }
        let none = of(r#"{"images": [], "annotations": [], "categories": [{"id": 1, "name": "yak"}]}"#);
        assert!(none.is_err_and(|said| said.contains("yak")));
    }
}
