//! Gradients by parameter, so that those of several backward passes can be added.
//!
//! Burn's own `Gradients` belongs to one graph. A batch that is encoded in shards on several threads
//! has one graph a shard, and the same parameters in each.

use std::collections::HashMap;

use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::tensor::{Gradients, Tensor};

/// The gradient of each parameter that has one, flat, in burn's layout.
#[derive(Clone, Debug, Default)]
pub struct ParameterGradients {
    by_parameter: HashMap<ParamId, Tensor<1>>,
}

impl ParameterGradients {
    /// Takes the gradients of the module's parameters out of one backward pass.
    pub fn take<M: Module>(gradients: &mut Gradients, module: &M) -> Self {
        struct Taker<'a> {
            gradients: &'a mut Gradients,
            taken: HashMap<ParamId, Tensor<1>>,
        }
        impl ModuleVisitor for Taker<'_> {
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                if let Some(gradient) = param.val().grad_remove(self.gradients) {
                    let count = gradient.dims().iter().product::<usize>();
                    self.taken.insert(param.id, gradient.reshape([count]));
                }
            }
        }
        let mut taker = Taker {
            gradients,
            taken: HashMap::new(),
        };
        module.visit(&mut taker);
        Self {
            by_parameter: taker.taken,
        }
    }

    /// Adds the gradients of another pass.
    pub fn add(&mut self, other: Self) {
        for (id, gradient) in other.by_parameter {
            let sum = match self.by_parameter.remove(&id) {
                Some(own) => own + gradient,
                None => gradient,
            };
            self.by_parameter.insert(id, sum);
        }
    }

    pub(super) fn remove(&mut self, id: ParamId) -> Option<Tensor<1>> {
        self.by_parameter.remove(&id)
    }
}
