//! The moving average of a network's weights over the steps of its training.

use burn::{
    module::{Module as _, ModuleVisitor, Param},
    tensor::Tensor,
};

use super::{
    fusion::{Fusion, numbers},
    network::Network,
};

/// An average of weights that forgets: the last steps count most.
///
/// Single steps of a small batch go astray; their average lies nearer to where they all go
/// (Polyak and Juditsky, 1992; as here: Tarvainen and Valpola, 2017).
#[derive(Debug)]
pub(super) struct Average {
    /// What share of it each step leaves, at most.
    decay: f64,
    /// Of how many steps it is.
    steps: usize,
    /// As [`flat`] gives them.
    weights: Vec<Tensor<1>>,
}

impl Average {
    /// That of a network which has not learned yet.
    pub(super) fn new(model: &Fusion, decay: f64) -> Self {
        Self {
            decay,
            steps: 0,
            weights: flat(model),
        }
    }

    /// What it is after `steps` steps, with the weights that it has then.
    pub(super) const fn after(&self, steps: usize, weights: Vec<Tensor<1>>) -> Self {
        Self {
            decay: self.decay,
            steps,
            weights,
        }
    }

    /// Of how many steps it is.
    pub(super) const fn steps(&self) -> usize {
        self.steps
    }

    /// Takes in the weights after one more step.
    pub(super) fn follow(&mut self, model: &Fusion) {
        // So that what the network began with is soon forgotten.
        let young = (1.0 + self.steps as f64) / (10.0 + self.steps as f64);
        let keep = self.decay.min(young);
        self.steps += 1;
        let weights = std::mem::take(&mut self.weights).into_iter();
        self.weights = weights
            .zip(flat(model))
            .map(|(average, now)| average * keep + now * (1.0 - keep))
            .collect();
    }

    /// The network that has the averaged weights; `model` is the one that is followed.
    pub(super) fn to_plain(&self, model: &Fusion) -> Network {
        let mut network = model.to_plain();
        let tensors = network.tensors_mut().into_iter();
        for ((_, values), average) in tensors.zip(&self.weights) {
            *values = numbers(average.clone());
        }
        network
    }
}

/// The weights of a network as they are now, in the order of [`Network::tensors_mut`].
fn flat(model: &Fusion) -> Vec<Tensor<1>> {
    #[derive(Default)]
    struct Flat(Vec<Tensor<1>>);

    impl ModuleVisitor for Flat {
        fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
            let weights = parameter.val().inner();
            let count = weights.shape().num_elements();
            self.0.push(weights.reshape([count]));
        }
    }

    let mut found = Flat::default();
    model.visit(&mut found);
    found.0
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::learning::{design::Group, heads::network::Shape, seeds};

    const SHAPE: Shape = Shape {
        hidden: 5,
        blocks: 1,
        attention: true,
        quantiles: true,
    };

    #[test]
    fn it_is_the_average_that_one_computes_by_hand() {
        let groups = [(0, 3), (3, 2)].map(|(start, width)| Group {
            name: String::new(),
            start,
            width,
        });
        let device = Device::flex().autodiff();
        let mut networks: Vec<Network> = (0..4)
            .map(|seed| {
                let mut generator = seeds::generator(seed, "test");
                let mut network = Network::random(&groups, SHAPE, &mut generator);
                // No tensor is like another, so that none can stand for another.
                for (at, (_, values)) in network.tensors_mut().into_iter().enumerate() {
                    values.iter_mut().for_each(|value| *value += at as f32);
                }
                network
            })
            .collect();
        let models: Vec<Fusion> = networks
            .iter()
            .map(|network| Fusion::from_plain(network, &device))
            .collect();
        let mut average = Average::new(&models[0], 0.15);
        assert_eq!(average.to_plain(&models[3]), networks[0]);
        for model in &models[1..] {
            average.follow(model);
        }
        let mut found = average.to_plain(&models[3]);
        // 1/10, then 2/11, which is more than 0.15.
        let shares = [0.1 * 0.15 * 0.15, 0.9 * 0.15 * 0.15, 0.85 * 0.15, 0.85];
        let mut steps = networks.iter_mut().map(Network::tensors_mut);
        let mut wanted = steps.next().unwrap();
        for (_, values) in &mut wanted {
            values.iter_mut().for_each(|value| *value *= shares[0]);
        }
        for (step, share) in steps.zip(&shares[1..]) {
            for ((_, sums), (_, values)) in wanted.iter_mut().zip(step) {
                let values = values.iter();
                sums.iter_mut()
                    .zip(values)
                    .for_each(|(sum, v)| *sum += share * v);
            }
        }
        for ((name, found), (_, wanted)) in found.tensors_mut().into_iter().zip(wanted) {
            for (found, wanted) in found.iter().zip(wanted) {
                assert!((found - *wanted).abs() < 1e-5, "{name}: {found} {wanted}");
            }
        }
    }
}
