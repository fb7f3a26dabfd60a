//! Whether the tokens that are no cells, such as a class token, come before those that are or behind them. No shape tells it, and
//! a map that is off by a token looks like any other: the model is asked.

use tch::{Kind, Tensor};

use super::cells::Cells;
use super::default_layer::Seen;
use crate::error::Result;

/// The rows and columns of cells of the first layer that has tokens beside them.
pub(super) fn questioned(seen: &[Seen]) -> Option<[i64; 2]> {
    let grid = |seen: &Seen| match seen.layer.cells? {
        Cells::Tokens {
            before: 1..,
            rows,
            columns,
        } => Some([rows, columns]),
        _ => None,
    };
    seen.iter().find_map(grid)
}

/// `plain`, a picture `[1, C, H, W]`, with the first of so many patches as `other` has it.
///
/// # Errors
/// Those of libtorch.
pub(super) fn with_first_patch(plain: &Tensor, other: &Tensor, [rows, columns]: [i64; 2]) -> Result<Tensor> {
    let (_, _, height, width) = plain.size4()?;
    let mut picture = plain.f_empty_like()?;
    picture.f_copy_(plain)?;
    let patch = |of: &Tensor| -> Result<Tensor> {
        let part = of.f_narrow(2, 0, (height / rows).max(1))?;
        Ok(part.f_narrow(3, 0, (width / columns).max(1))?)
    };
    patch(&picture)?.f_copy_(&patch(other)?)?;
    Ok(picture)
}

/// Whether cells come first, by what each layer gave a picture and the same with another first patch: in the first layers of
/// tokens each is of one patch, and one alone changes. Where all are mixed at once, they are taken to come last, as most do.
///
/// # Errors
/// Those of libtorch.
pub(super) fn is_cells_first(plain: &[Seen], changed: &[Seen]) -> Result<bool> {
    for (plain, changed) in plain.iter().zip(changed) {
        let (Some(Cells::Tokens { before: 1.., .. }), Some(one), Some(other)) =
            (plain.layer.cells, &plain.output, &changed.output)
        else {
            continue;
        };
        if let [only] = moved_tokens(one, other)?[..] {
            return Ok(only == 0);
        }
    }
    Ok(false)
}

/// The places of the tokens that differ in two outputs `[1, N, D]`.
fn moved_tokens(one: &Tensor, other: &Tensor) -> Result<Vec<i64>> {
    if one.size() != other.size() {
        return Ok(Vec::new());
    }
    let apart = one.f_detach()?.f_sub(&other.f_detach()?)?.f_abs()?;
    let moved = apart.f_amax([0, 2].as_slice(), false)?.f_gt(0.0)?;
    let places = moved.f_nonzero()?.f_flatten(0, -1)?.f_to_kind(Kind::Int64)?;
    Ok(Vec::try_from(places.f_to_device(tch::Device::Cpu)?)?)
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::super::layers::LayerMap;
    use super::*;

    fn of_tokens(output: &[f32]) -> Seen {
        let output = Tensor::from_slice(output).reshape([1, -1, 1]);
        Seen {
            layer: LayerMap {
                path: "blocks.0".into(),
                kind: "Block".into(),
                shape: output.size(),
                cells: Some(Cells::Tokens {
                    before: 1,
                    rows: 2,
                    columns: 2,
                }),
                calls: 1,
            },
            output: Some(output),
        }
    }

    #[test]
    fn the_token_that_changes_with_the_first_patch_tells_where_the_cells_are() {
        let plain = [of_tokens(&[0.0; 5])];
        let found = |changed: [f32; 5]| is_cells_first(&plain, &[of_tokens(&changed)]).expect("two outputs");
        assert!(found([1.0, 0.0, 0.0, 0.0, 0.0]), "the class token is the last");
        assert!(!found([0.0, 1.0, 0.0, 0.0, 0.0]), "it is the first");
        assert!(!found([1.0, 0.5, 0.5, 0.5, 0.5]), "they are mixed");
        assert_eq!(questioned(&plain), Some([2, 2]));
    }

    #[test]
    fn the_first_patch_is_another_and_the_rest_as_it_was() {
        let options = (Kind::Float, Device::Cpu);
        let (plain, other) = (
            Tensor::zeros([1, 1, 4, 6], options),
            Tensor::ones([1, 1, 4, 6], options),
        );
        let picture = with_first_patch(&plain, &other, [2, 2]).expect("a picture");
        assert_eq!(picture.sum(Kind::Float).double_value(&[]), 6.0);
        assert_eq!(picture.double_value(&[0, 0, 1, 2]), 1.0);
        assert_eq!(plain.sum(Kind::Float).double_value(&[]), 0.0);
    }
}
