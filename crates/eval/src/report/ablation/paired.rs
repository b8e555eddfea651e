//! Differences between two variants that were trained on the same seeds.

/// Two-sided 95 % quantiles of Student's distribution with 1, 2, … degrees of freedom.
const STUDENT_95: [f64; 30] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160,
    2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056,
    2.052, 2.048, 2.045, 2.042,
];

/// The same quantile of the normal distribution.
const NORMAL_95: f64 = 1.96;

/// A mean difference over seeds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Difference {
    /// Mean over the seeds that both have.
    pub mean: f64,
    /// Half the width of its 95 % confidence interval by Student's distribution over the seeds'
    /// differences; `None` for a single seed.
    pub reach: Option<f64>,
    /// Number of seeds.
    pub seeds: usize,
}

impl Difference {
    /// Whether the interval leaves out 0.
    pub fn is_clear(&self) -> bool {
        self.reach.is_some_and(|reach| self.mean.abs() > reach)
    }
}

/// The difference of `values` from `base`, both pairs of seed and value, over the seeds that both
/// have. A seed decides parameters, scenes and their order in both, so what it contributes to both
/// alike cancels out. `None` without a common seed.
pub fn paired_difference(values: &[(u64, f64)], base: &[(u64, f64)]) -> Option<Difference> {
    let differences: Vec<f64> = values
        .iter()
        .filter_map(|(seed, value)| {
            let (_, twin) = base.iter().find(|(other, _)| other == seed)?;
            Some(value - twin)
        })
        .collect();
    let count = differences.len();
    if count == 0 {
        return None;
    }
    let mean = differences.iter().sum::<f64>() / count as f64;
    let squares: f64 = differences.iter().map(|one| (one - mean).powi(2)).sum();
    let reach = (count > 1).then(|| {
        let deviation = (squares / (count - 1) as f64).sqrt();
        let quantile = STUDENT_95.get(count - 2).copied().unwrap_or(NORMAL_95);
        quantile * deviation / (count as f64).sqrt()
    });
    Some(Difference {
        mean,
        reach,
        seeds: count,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_common_seeds_are_compared() {
        let found = paired_difference(
            &[(1, 0.5), (2, 0.7), (4, 0.9)],
            &[(2, 0.6), (1, 0.2), (3, 0.0)],
        )
        .unwrap();
        assert_eq!(found.seeds, 2);
        assert!((found.mean - 0.2).abs() < 1e-12);
        // Differences 0.3 and 0.1: deviation 0.1414, over √2 0.1, times 12.706.
        assert!((found.reach.unwrap() - 1.2706).abs() < 1e-9);
        assert!(!found.is_clear());
        assert_eq!(paired_difference(&[(1, 0.5)], &[(2, 0.5)]), None);
    }

    #[test]
    fn what_seeds_share_cancels_out() {
        // Both vary by 0.4 over seeds, their difference by 0.01 or less.
        let base = [(1, 0.2), (2, 0.4), (3, 0.6)];
        let values = [(1, 0.30), (2, 0.51), (3, 0.70)];
        let found = paired_difference(&values, &base).unwrap();
        assert!(found.is_clear() && found.reach.unwrap() < 0.02, "{found:?}");
        let single = paired_difference(&values[..1], &base).unwrap();
        assert_eq!((single.reach, single.is_clear()), (None, false));
    }
}
