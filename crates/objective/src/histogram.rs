//! A histogram of weights over fixed, logarithmically spaced bins.

/// Number of bins of a [`Histogram`].
pub const HISTOGRAM_BINS: usize = HISTOGRAM_EDGES.len() + 1;

/// Edges between the bins: `2^(k/2)` for `k` from -12 to 20, that is from
/// 1/64 to 1024, two bins an octave.
///
/// Bin 0 holds weights below the first edge (zero among them), bin `k` those
/// from edge `k - 1` to below edge `k`, the last bin those from the last edge
/// on. Fixed edges make histograms of different steps and runs comparable and
/// mergeable.
pub const HISTOGRAM_EDGES: [f64; 33] = edges();

const fn edges() -> [f64; 33] {
    let mut edges = [0.0; 33];
    let mut power = 1.0 / 64.0;
    let mut k = 0;
    while k < edges.len() {
        edges[k] = power;
        if k + 1 < edges.len() {
            edges[k + 1] = power * std::f64::consts::SQRT_2;
        }
        power *= 2.0;
        k += 2;
    }
    edges
}

/// How many weights fell into each bin of [`HISTOGRAM_EDGES`].
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram([f64; HISTOGRAM_BINS]);

impl Default for Histogram {
    fn default() -> Self {
        Self([0.0; HISTOGRAM_BINS])
    }
}

impl Histogram {
    /// Counts one weight.
    pub fn add(&mut self, weight: f64) {
        self.0[HISTOGRAM_EDGES.partition_point(|edge| *edge <= weight)] += 1.0;
    }

    /// Adds the counts of another histogram.
    pub fn merge(&mut self, other: &Self) {
        for (count, more) in self.0.iter_mut().zip(other.0) {
            *count += more;
        }
    }

    /// The count of each bin, `[HISTOGRAM_BINS]`.
    pub fn counts(&self) -> &[f64; HISTOGRAM_BINS] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_run_from_one_64th_to_1024_by_half_octaves() {
        assert_eq!(HISTOGRAM_EDGES[0], 1.0 / 64.0);
        assert_eq!(HISTOGRAM_EDGES[12], 1.0);
        assert_eq!(HISTOGRAM_EDGES[32], 1024.0);
        for pair in HISTOGRAM_EDGES.windows(2) {
            assert!((pair[1] / pair[0] - std::f64::consts::SQRT_2).abs() < 1e-15);
        }
    }

    #[test]
    fn a_weight_lands_in_the_bin_whose_lower_edge_it_reaches() {
        for (weight, bin) in [
            (0.0, 0),
            (0.01, 0),
            (1.0, 13),
            (0.999, 12),
            (1023.0, 32),
            (1e9, 33),
        ] {
            let mut histogram = Histogram::default();
            histogram.add(weight);
            assert_eq!(histogram.counts()[bin], 1.0, "weight {weight}");
        }
    }
}
