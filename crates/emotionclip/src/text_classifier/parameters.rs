//! The classifier's parameters by key, out of and into a model.
//!
//! Keys are those of CLIP's text encoder (`token_embedding.weight`, `positional_embedding`,
//! `transformer.resblocks.N.…`, `ln_final.*`) and `head.{weight, bias}`; linear weights are
//! `[out, in]` as in PyTorch.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{DType, Tensor, TensorData};

use super::TextClassifier;
use crate::checkpoint::{CheckpointError, RawTensor, StateDict, verify};
use crate::parameters::ParameterInfo;

/// Path through the module tree, and whether the innermost module is a linear map.
#[derive(Default)]
struct Location {
    path: Vec<String>,
    containers: Vec<String>,
}

impl Location {
    fn enter(&mut self, name: &str, container: &str) {
        self.path.push(name.to_owned());
        self.containers.push(container.to_owned());
    }

    fn exit(&mut self) {
        self.path.pop();
        self.containers.pop();
    }

    /// The key, and whether its tensor is transposed against burn's.
    fn key(&self) -> (String, bool) {
        let path = self.path.join(".");
        let linear = self
            .containers
            .iter()
            .any(|container| container == "Struct:Linear");
        let transposed = linear && path.ends_with(".weight");
        let key = if path == "token_embedding" {
            "token_embedding.weight".to_owned()
        } else {
            path.replace(".in_proj.weight", ".in_proj_weight")
                .replace(".in_proj.bias", ".in_proj_bias")
                .replace(".gamma", ".weight")
                .replace(".beta", ".bias")
        };
        (key, transposed)
    }
}

impl TextClassifier {
    /// The parameters in the order of construction, without reading any value.
    pub fn parameters(&self) -> Vec<ParameterInfo> {
        #[derive(Default)]
        struct Lister {
            location: Location,
            found: Vec<ParameterInfo>,
        }
        impl ModuleVisitor for Lister {
            fn enter_module(&mut self, name: &str, container: &str) {
                self.location.enter(name, container);
            }
            fn exit_module(&mut self, _: &str, _: &str) {
                self.location.exit();
            }
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                let (key, transposed) = self.location.key();
                let mut shape = param.lazy_shape().to_vec();
                if transposed {
                    shape.reverse();
                }
                let id = param.id;
                self.found.push(ParameterInfo { key, shape, id });
            }
        }
        let mut lister = Lister::default();
        self.visit(&mut lister);
        lister.found
    }

    /// The parameters as f32 tensors.
    ///
    /// # Errors
    ///
    /// If the device fails to give a tensor back.
    pub fn to_state_dict(&self) -> Result<StateDict, CheckpointError> {
        struct Reader {
            location: Location,
            tensors: Result<StateDict, CheckpointError>,
        }
        impl ModuleVisitor for Reader {
            fn enter_module(&mut self, name: &str, container: &str) {
                self.location.enter(name, container);
            }
            fn exit_module(&mut self, _: &str, _: &str) {
                self.location.exit();
            }
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                let (key, transposed) = self.location.key();
                let value = param.val();
                let value = if transposed { value.transpose() } else { value };
                let shape = value.dims().to_vec();
                let raw = value
                    .try_into_vec_as::<f32>()
                    .map_err(|error| CheckpointError::Device(format!("{key}: {error}")))
                    .and_then(|values| RawTensor::from_f32(shape, &values));
                match (&mut self.tensors, raw) {
                    (Ok(tensors), Ok(raw)) => {
                        tensors.insert(key, raw);
                    }
                    (tensors, Err(error)) => *tensors = Err(error),
                    (Err(_), Ok(_)) => {}
                }
            }
        }
        let mut reader = Reader {
            location: Location::default(),
            tensors: Ok(StateDict::new()),
        };
        self.visit(&mut reader);
        reader.tensors
    }

    /// The classifier with these parameters, on the same device and with the same identities.
    ///
    /// # Errors
    ///
    /// One error lists every missing, unexpected, misshapen or non-finite tensor.
    pub fn load_state_dict(self, tensors: &StateDict) -> Result<Self, CheckpointError> {
        let expected: Vec<(String, Vec<usize>)> = self
            .parameters()
            .into_iter()
            .map(|info| (info.key, info.shape))
            .collect();
        verify(tensors, &expected, |_| false)?;
        Ok(self.map(&mut Loader {
            location: Location::default(),
            tensors,
        }))
    }
}

struct Loader<'a> {
    location: Location,
    tensors: &'a StateDict,
}

impl ModuleMapper for Loader<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.location.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.location.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (key, transposed) = self.location.key();
        let Some(raw) = self.tensors.get(&key) else {
            return param;
        };
        let shape = param.lazy_shape().to_vec();
        let device = param.lazy_device();
        let values = raw.to_f32();
        // Transposed on the host: a strided view takes other matrix kernels than a contiguous
        // tensor, and a resumed run would round differently.
        let values = match shape[..] {
            [rows, columns] if transposed => (0..rows * columns)
                .map(|index| values[(index % columns) * rows + index / columns])
                .collect(),
            _ => values,
        };
        let tensor = Tensor::<D>::from_data(TensorData::new(values, shape), (&device, DType::F32));
        let id = param.id;
        param.transform_for_load(tensor, id)
    }
}
