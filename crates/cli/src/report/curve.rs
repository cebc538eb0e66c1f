//! Curves for the eye: smoothed, and no longer than can be seen.

/// A curve of `[x, y]`, by rising x.
pub(super) type Points = Vec<[f64; 2]>;

/// Most corners of a drawn curve.
const CORNERS: usize = 500;

/// The curve averaged over a window of a fifteenth of its points, twice, so that
/// the weights fall off towards the window's ends. Weights are never negative:
/// a bound that holds at every point holds for the averages too.
pub(super) fn smooth(points: &[[f64; 2]]) -> Points {
    let half = points.len() / 30;
    let once = window_means(points, half);
    window_means(&once, half)
}

/// Means over up to `half` neighbours on either side.
fn window_means(points: &[[f64; 2]], half: usize) -> Points {
    if half == 0 {
        return points.to_vec();
    }
    let mut sums = vec![0.0];
    for [_, y] in points {
        sums.push(sums[sums.len() - 1] + y);
    }
    let mean = |index: usize| {
        let (start, end) = (
            index.saturating_sub(half),
            points.len().min(index + half + 1),
        );
        (sums[end] - sums[start]) / (end - start) as f64
    };
    let points = points.iter().enumerate();
    points.map(|(i, [x, _])| [*x, mean(i)]).collect()
}

/// The curve with few enough corners, its peaks and its ends kept.
pub(super) fn thin(points: &[[f64; 2]]) -> Points {
    if points.len() <= CORNERS {
        return points.to_vec();
    }
    let mut thinned = Vec::with_capacity(CORNERS + 2);
    thinned.extend(points.first());
    for piece in points.chunks(points.len().div_ceil(CORNERS / 2)) {
        let by_height = |a: &&[f64; 2], b: &&[f64; 2]| a[1].total_cmp(&b[1]);
        let low = piece.iter().min_by(by_height);
        let high = piece.iter().max_by(by_height);
        if let (Some(low), Some(high)) = (low, high) {
            let (first, second) = if low[0] <= high[0] {
                (low, high)
            } else {
                (high, low)
            };
            thinned.extend([*first, *second]);
        }
    }
    thinned.extend(points.last());
    thinned.dedup();
    thinned
}

/// Mean over the last tenth of the points, at least one.
pub(super) fn last_tenth(points: &[[f64; 2]]) -> Option<f64> {
    let last = &points[points.len() - points.len().div_ceil(10)..];
    let sum: f64 = last.iter().map(|[_, y]| y).sum();
    (!last.is_empty()).then(|| sum / last.len() as f64)
}

/// The value at the point nearest to `x`; `None` beyond the ends.
pub(super) fn nearest(points: &[[f64; 2]], x: f64) -> Option<f64> {
    let (first, last) = (points.first()?, points.last()?);
    if x < first[0] - 0.5 || x > last[0] + 0.5 {
        return None;
    }
    let after = points
        .partition_point(|[at, _]| *at < x)
        .min(points.len() - 1);
    let before = after.saturating_sub(1);
    let closer = x - points[before][0] < points[after][0] - x;
    Some(points[if closer { before } else { after }][1])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noisy(count: usize) -> Points {
        let y = |i: usize| (i as f64 * 0.01).sin() + if i.is_multiple_of(2) { 0.3 } else { -0.3 };
        (0..count).map(|i| [i as f64, y(i)]).collect()
    }

    #[test]
    fn smoothing_keeps_what_is_straight_and_calms_what_is_not() {
        let straight: Points = (0..1000).map(|i| [f64::from(i), 2.5]).collect();
        assert!(
            smooth(&straight)
                .iter()
                .all(|[_, y]| (y - 2.5).abs() < 1e-9)
        );
        let jumps = |points: &[[f64; 2]]| {
            let jump = |pair: &[[f64; 2]]| (pair[1][1] - pair[0][1]).abs();
            points.windows(2).map(jump).fold(0.0, f64::max)
        };
        assert!(jumps(&smooth(&noisy(1000))) < 0.1 * jumps(&noisy(1000)));
        assert_eq!(smooth(&noisy(10)), noisy(10), "a short curve is left alone");
    }

    #[test]
    fn smoothing_keeps_a_lower_bound_below() {
        let upper = noisy(800);
        let lower: Points = upper
            .iter()
            .map(|[x, y]| [*x, y - (0.1 + x % 7.0)])
            .collect();
        for (low, high) in smooth(&lower).iter().zip(smooth(&upper)) {
            assert!(low[1] <= high[1]);
        }
    }

    #[test]
    fn a_thinned_curve_keeps_its_ends_and_its_peaks() {
        let mut points = noisy(100_000);
        points[54_321][1] = 9.0;
        points[77_777][1] = -9.0;
        let thinned = thin(&points);
        assert!(thinned.len() <= CORNERS + 4, "{}", thinned.len());
        assert_eq!(thinned.first(), points.first());
        assert_eq!(thinned.last(), points.last());
        for peak in [points[54_321], points[77_777]] {
            assert!(thinned.contains(&peak));
        }
        assert!(thinned.is_sorted_by(|a, b| a[0] <= b[0]));
    }

    #[test]
    fn a_curve_has_no_value_beyond_its_ends() {
        let points = [[1.0, 10.0], [2.0, 20.0], [5.0, 50.0]];
        assert_eq!(nearest(&points, 0.0), None);
        assert_eq!(nearest(&points, 3.0), Some(20.0));
        assert_eq!(nearest(&points, 4.0), Some(50.0));
        assert_eq!(nearest(&points, 6.0), None);
        assert_eq!(nearest(&[], 1.0), None);
        assert_eq!(last_tenth(&[]), None);
        assert_eq!(last_tenth(&points), Some(50.0));
    }
}
