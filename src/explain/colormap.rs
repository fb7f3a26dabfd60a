//! From a value in 0..=1 to a colour.

/// The colours of an overlay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Colormap {
    /// Google's Turbo: a rainbow with even lightness.
    #[default]
    Turbo,
    /// matplotlib's default: even to the eye, safe for colour-blind readers.
    Viridis,
    /// The rainbow that Grad-CAM papers use.
    Jet,
    /// From black to white.
    Gray,
    /// ColorBrewer's RdBu: blue, over white at zero, to red; for maps with values below zero.
    RedBlue,
}

impl Colormap {
    /// The colour of `value`, which is clamped to 0..=1.
    #[must_use]
    pub fn color(self, value: f32) -> [u8; 3] {
        let value = if value.is_finite() {
            value.clamp(0.0, 1.0)
        } else {
            0.0
        };
        match self {
            Self::Turbo => colorous::TURBO.eval_continuous(f64::from(value)).as_array(),
            Self::Viridis => colorous::VIRIDIS.eval_continuous(f64::from(value)).as_array(),
            Self::Jet => [3.0, 2.0, 1.0].map(|peak| jet_channel(value, peak)),
            Self::RedBlue => colorous::RED_BLUE
                .eval_continuous(f64::from(1.0 - value))
                .as_array(),
            Self::Gray => [(value * 255.0).round() as u8; 3],
        }
    }
}

/// A trapezoid whose centre is at `peak / 4`: MATLAB's jet.
fn jet_channel(value: f32, peak: f32) -> u8 {
    ((1.5 - (4.0 * value - peak).abs()).clamp(0.0, 1.0) * 255.0).round() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_and_middle_are_as_published() {
        // matplotlib: jet(0) = (0, 0, 127), jet(0.5) = (127, 255, 127), jet(1) = (127, 0, 0), to one rounding step.
        assert_eq!(Colormap::Jet.color(0.0), [0, 0, 128]);
        assert_eq!(Colormap::Jet.color(0.5), [128, 255, 128]);
        assert_eq!(Colormap::Jet.color(1.0), [128, 0, 0]);
        assert_eq!(Colormap::Viridis.color(0.0), [68, 1, 84]);
        assert_eq!(Colormap::Viridis.color(1.0), [253, 231, 37]);
        let [low, middle, high] = [0.0, 0.5, 1.0].map(|value| Colormap::RedBlue.color(value));
        assert!(
            low[2] > low[0] && high[0] > high[2] && middle.iter().all(|&v| v > 235),
            "blue, white, red"
        );
        assert_eq!(Colormap::Gray.color(2.0), [255; 3], "clamped");
        assert_eq!(Colormap::Gray.color(f32::NAN), [0; 3]);
    }
}
