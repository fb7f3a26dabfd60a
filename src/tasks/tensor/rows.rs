//! Which rows of requests belong together: those of the inputs of one, and those of several in a batch.

use super::arrange::Values;
use crate::error::{Error, Result, counted};
use crate::manifest::Tensors;

/// Whether all of `values` have as many rows; of a model whose requests share batches.
///
/// # Errors
/// [`Error::InvalidParameter`] for the first that has others: which row belongs to which could not be told.
pub fn check_rows(values: &[Values], model: &Tensors) -> Result<()> {
    let rows = |values: &Values| values.shape.first().copied().unwrap_or(1);
    let mut named = values.iter().zip(&model.inputs);
    let Some((first, of_first)) = named.next() else {
        return Ok(());
    };
    match named.find(|(other, _)| rows(other) != rows(first)) {
        Some((other, input)) => Err(Error::parameter(
            &input.spec.name,
            format!(
                "found {}, and {} of `{}`: the first size is the batch, which all inputs share",
                counted(usize::try_from(rows(other)).unwrap_or(0), "row"),
                rows(first),
                of_first.spec.name
            ),
        )),
        None => Ok(()),
    }
}

/// How many rows a request has, and its other sizes.
#[derive(Debug, PartialEq)]
pub(super) struct InBatch {
    rows: i64,
    inner: Vec<Vec<i64>>,
}

/// What a request adds to a batch; nothing where its inputs have not the same number of rows.
pub(super) fn shape_in_batch(values: &[Values]) -> Option<InBatch> {
    let rows = *values.first()?.shape.first()?;
    let inner = |value: &Values| match value.shape.split_first() {
        Some((&first, inner)) if first == rows => Some(inner.to_vec()),
        _ => None,
    };
    Some(InBatch {
        rows,
        inner: values.iter().map(inner).collect::<Option<_>>()?,
    })
}

/// Which requests are run together: those whose inner sizes are the same, up to so many rows; a request that can share
/// with none, or has more rows by itself, is alone.
pub(super) fn groups(requests: &[Option<InBatch>], most_rows: usize) -> Vec<Vec<usize>> {
    let mut groups: Vec<(Vec<usize>, i64)> = Vec::new();
    for (index, request) in requests.iter().enumerate() {
        let Some(own) = request else {
            groups.push((vec![index], i64::MAX));
            continue;
        };
        let has_room = |(members, rows): &&mut (Vec<usize>, i64)| {
            let first = members.first().and_then(|&first| requests[first].as_ref());
            first.is_some_and(|first| first.inner == own.inner)
                && rows.saturating_add(own.rows) <= i64::try_from(most_rows).unwrap_or(i64::MAX)
        };
        match groups.iter_mut().find(has_room) {
            Some((members, rows)) => {
                members.push(index);
                *rows += own.rows;
            }
            None => groups.push((vec![index], own.rows)),
        }
    }
    groups.into_iter().map(|(members, _)| members).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{Dtype, Manifest};
    use crate::tasks::tensor::Numbers;

    fn values(shape: &[i64]) -> Values {
        Values {
            shape: shape.to_vec(),
            data: Numbers::zeros(shape.iter().product::<i64>() as usize, Dtype::F32),
        }
    }

    #[test]
    fn requests_of_the_same_inner_sizes_share_a_batch_up_to_its_rows() {
        let of = |rows: i64, inner: i64| {
            Some(InBatch {
                rows,
                inner: vec![vec![inner]],
            })
        };
        let found = groups(&[of(1, 4), of(2, 7), None, of(1, 4), of(3, 4), of(9, 7), None], 4);
        assert_eq!(found, [vec![0, 3], vec![1], vec![2], vec![4], vec![5], vec![6]]);
    }

    #[test]
    fn a_request_whose_inputs_differ_in_rows_shares_with_none() {
        assert!(shape_in_batch(&[values(&[2, 3]), values(&[1])]).is_none());
        let shared = shape_in_batch(&[values(&[2, 3]), values(&[2])]);
        assert_eq!(
            shared,
            Some(InBatch {
                rows: 2,
                inner: vec![vec![3], vec![]]
            })
        );
    }

    #[test]
    fn rows_are_those_of_all_inputs() {
        let text = "task = \"tensor\"\n[[inputs]]\nname = \"x\"\ndtype = \"f32\"\nshape = [-1, 2]\n\
                    [[inputs]]\nname = \"k\"\ndtype = \"f32\"\nshape = [-1]\n\
                    [[outputs]]\nname = \"y\"\ndtype = \"f32\"\nshape = [-1, 3]";
        let manifest = Manifest::parse(text).expect("a tensor model");
        let model = manifest.tensors().expect("tensors");
        assert_eq!(check_rows(&[values(&[2, 2]), values(&[2])], model), Ok(()));
        let refused = check_rows(&[values(&[2, 2]), values(&[1])], model);
        let refused = refused.expect_err("one is short").to_string();
        assert!(refused.contains("`k`: found 1 row, and 2 of `x`"), "{refused}");
    }
}
