//! What is asked of the masks of a segmentation.

/// In which form masks are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaskForm {
    /// As their runs.
    Text,
    /// As a picture.
    Drawing,
    /// Pixel by pixel.
    Array,
}

/// What is asked of masks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaskQuestion {
    /// In which form they are answered.
    pub form: MaskForm,
    /// Whether it is told how sure the model is.
    pub uncertainty: bool,
}

impl MaskQuestion {
    /// The masks in this form, and nothing else.
    #[must_use]
    pub fn plain(form: MaskForm) -> Self {
        Self {
            form,
            uncertainty: false,
        }
    }
}
