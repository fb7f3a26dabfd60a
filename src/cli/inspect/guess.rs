//! What a module may be: a task with its `[output]`.

/// A task with its `[output]`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Guess {
    /// As model.toml writes it.
    pub task: &'static str,
    /// Keys of `[output]` with their values, as TOML.
    pub keys: Vec<(&'static str, String)>,
    /// How pictures go in.
    pub pictures: Pictures,
    /// How many labels it needs, where that is known.
    pub classes: Option<i64>,
    /// What tells it, or what else it may be.
    pub why: String,
}

/// How pictures become the model's input, which its file does not tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pictures {
    /// From 0 to 1, less ImageNet's mean, by its deviation.
    ImageNet,
    /// From 0 to 1.
    Plain,
    /// From 0 to 1, whole, within a frame.
    Letterbox,
}

/// Which values of a picture that comes out are black and white.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Range {
    /// Those of the input.
    Input,
    /// The least and the greatest.
    MinMax,
    /// 0 and 1, whatever those of the input are.
    Of0To1,
}

impl Guess {
    pub(super) fn new(task: &'static str, why: impl Into<String>) -> Self {
        Self {
            task,
            keys: Vec::new(),
            pictures: Pictures::ImageNet,
            classes: None,
            why: why.into(),
        }
    }

    /// Pictures and maps of pictures, whose values from black to white are those of `range`.
    pub(super) fn image(why: impl Into<String>, range: Range) -> Self {
        let range = match range {
            Range::Input => "\"input\"",
            Range::MinMax => "\"minmax\"",
            Range::Of0To1 => "[0, 1]",
        };
        Self::new("image_to_image", why)
            .key("range", range)
            .pictures(Pictures::Plain)
    }

    pub(super) fn key(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.keys.push((name, value.into()));
        self
    }

    pub(super) fn pictures(self, pictures: Pictures) -> Self {
        Self { pictures, ..self }
    }

    /// Whether its outputs have labels.
    pub(super) fn takes_labels(&self) -> bool {
        matches!(
            self.task,
            "classification" | "segmentation" | "detection" | "captioning"
        )
    }

    pub(super) fn classes(self, classes: i64) -> Self {
        Self {
            classes: Some(classes),
            ..self
        }
    }
}
