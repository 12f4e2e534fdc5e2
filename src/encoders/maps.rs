//! Maps of features: what comes behind every network of convolutions.

use burn::tensor::Tensor;

use super::timm::TimmConfig;

/// How one vector is made of maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MapPool {
    /// The mean of each map.
    Mean,
    /// The maximum of each map.
    Max,
    /// Half the sum of both.
    MeanMax,
    /// The means, and behind them the maxima.
    Both,
}

impl MapPool {
    /// What a checkpoint of timm asks for; the words for what cannot be done.
    pub(super) fn of(config: &TimmConfig) -> Result<Self, String> {
        match config.pool("avg")? {
            "avg" => Ok(Self::Mean),
            "max" => Ok(Self::Max),
            "avgmax" => Ok(Self::MeanMax),
            "catavgmax" => Ok(Self::Both),
            other => Err(format!(
                "`global_pool` is `{other}`; `avg`, `max`, `avgmax` and `catavgmax` can be computed"
            )),
        }
    }

    /// The length of the vector that so many maps become.
    pub(super) const fn length(self, maps: usize) -> usize {
        match self {
            Self::Mean | Self::Max | Self::MeanMax => maps,
            Self::Both => 2 * maps,
        }
    }

    /// # Shapes
    /// - maps: `[pictures, maps, height, width]`
    /// - output: `[pictures, length]`
    pub(super) fn apply(self, maps: Tensor<4>) -> Tensor<2> {
        let [pictures, count, height, width] = maps.dims();
        let maps = maps.reshape([pictures, count, height * width]);
        let mean = |maps: Tensor<3>| maps.mean_dim(2).reshape([pictures, count]);
        let max = |maps: Tensor<3>| maps.max_dim(2).reshape([pictures, count]);
        match self {
            Self::Mean => mean(maps),
            Self::Max => max(maps),
            Self::MeanMax => (mean(maps.clone()) + max(maps)) * 0.5,
            Self::Both => Tensor::cat(vec![mean(maps.clone()), max(maps)], 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    #[test]
    fn pools_each_map() {
        let maps = Tensor::<4>::from_data([[[[1.0, 3.0]], [[8.0, 4.0]]]], &Device::flex());
        for (pool, expected) in [
            (MapPool::Mean, &[2.0, 6.0][..]),
            (MapPool::Max, &[3.0, 8.0]),
            (MapPool::MeanMax, &[2.5, 7.0]),
            (MapPool::Both, &[2.0, 6.0, 3.0, 8.0]),
        ] {
            let found = pool.apply(maps.clone()).try_into_vec_as::<f32>().unwrap();
            assert_eq!(found, expected, "{pool:?}");
            assert_eq!(pool.length(2), expected.len());
        }
    }
}
