//! The pixels of a polygon, the very ones that pycocotools 2.0 takes (`rleFrPoly`): its outline is drawn five times as large,
//! and of each column of pixels those count that lie between the places where the outline crosses the column's middle.

use super::region::Pixels;

/// How much larger the outline is drawn.
const SCALE: f64 = 5.0;

impl Pixels {
    /// Those of the polygon through these points, `x, y` in pixels, in a picture of `[height, width]`.
    #[must_use]
    pub fn of_polygon(points: &[[f64; 2]], [height, width]: [usize; 2]) -> Self {
        let scaled: Vec<[i64; 2]> = points
            .iter()
            .map(|point| point.map(|at| (SCALE * at + 0.5) as i64))
            .collect();
        let next = scaled.iter().cycle().skip(1);
        let outline: Vec<[i64; 2]> = scaled
            .iter()
            .zip(next)
            .flat_map(|(from, to)| line(*from, *to))
            .collect();
        let crossed = outline
            .windows(2)
            .filter_map(|pair| crossing(pair[0], pair[1], [height, width]));
        let mut places: Vec<usize> = crossed.collect();
        if places.len() % 2 == 1 {
            places.push(height * width);
        }
        Self::between(places)
    }
}

/// The points of a line, a step of one along its longer side; both ends are among them.
fn line(from: [i64; 2], to: [i64; 2]) -> impl Iterator<Item = [i64; 2]> {
    let (wide, high) = ((to[0] - from[0]).abs(), (to[1] - from[1]).abs());
    let (long, short) = if wide >= high { (0, 1) } else { (1, 0) };
    let steps = wide.max(high);
    // The same points are drawn in both directions.
    let backwards = from[long] > to[long];
    let (first, last) = if backwards { (to, from) } else { (from, to) };
    let slope = match steps {
        0 => 0.0,
        _ => (last[short] - first[short]) as f64 / steps as f64,
    };
    (0..=steps).map(move |step| {
        let step = if backwards { steps - step } else { step };
        let mut point = [0; 2];
        point[long] = first[long] + step;
        point[short] = (first[short] as f64 + slope * step as f64 + 0.5) as i64;
        point
    })
}

/// Where the outline crosses the middle of a column between two of its points, counted down the columns.
fn crossing([x, y]: [i64; 2], [next_x, next_y]: [i64; 2], [height, width]: [usize; 2]) -> Option<usize> {
    if x == next_x {
        return None;
    }
    let left = if next_x < x { next_x } else { next_x - 1 };
    let column = (left as f64 + 0.5) / SCALE - 0.5;
    if column.fract() != 0.0 || column < 0.0 || column > width as f64 - 1.0 {
        return None;
    }
    let row = (y.min(next_y) as f64 + 0.5) / SCALE - 0.5;
    let row = row.clamp(0.0, height as f64).ceil();
    Some(column as usize * height + row as usize)
}

#[cfg(test)]
mod tests {
    use super::super::region::Region;
    use super::*;

    #[test]
    fn a_square_has_the_pixels_whose_middles_it_holds() {
        let square = [[1.0, 2.0], [4.0, 2.0], [4.0, 5.0], [1.0, 5.0]];
        let found = Pixels::of_polygon(&square, [8, 8]);
        assert_eq!(found.area(), 9.0);
        let expected = Pixels::of_runs(&[10, 3, 5, 3, 5, 3, 35], [8, 8]);
        assert_eq!(Some(&found), expected.as_ref());
        let backwards: Vec<[f64; 2]> = square.into_iter().rev().collect();
        assert_eq!(Pixels::of_polygon(&backwards, [8, 8]), found);
    }

    #[test]
    fn what_is_beyond_the_picture_is_not_there() {
        let large = [[-10.0, -10.0], [30.0, -10.0], [30.0, 30.0], [-10.0, 30.0]];
        assert_eq!(Pixels::of_polygon(&large, [8, 6]).area(), 48.0);
        let beside = [[10.0, 0.0], [12.0, 0.0], [12.0, 5.0]];
        assert_eq!(Pixels::of_polygon(&beside, [8, 6]).area(), 0.0);
        assert_eq!(Pixels::of_polygon(&[], [8, 6]), Pixels::default());
    }
}
