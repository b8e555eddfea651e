//! Every shader in every permutation, parsed and validated by naga: no device is needed.

use std::collections::BTreeSet;

use naga::valid::{Capabilities, ValidationFlags, Validator};
use naga::{AddressSpace, Module};

use super::*;

const TILES: [TileSet; 3] = [TileSet::Software, TileSet::Gpu, TileSet::Plain];

/// Storage buffers of a shader stage that every WebGPU device has.
const STORAGE_BUFFERS: usize = 8;

fn kernels(tiles: TileSet, native_half: bool) -> Kernels {
    Kernels {
        tiles,
        native_half,
        poison: false,
    }
}

/// Parses and validates a shader and checks it against WebGPU's least limits.
fn check(shader: &Shader, threads: usize) {
    let source = shader
        .source()
        .unwrap_or_else(|error| panic!("{shader:?}: {error}"));
    let module = naga::front::wgsl::parse_str(&source)
        .unwrap_or_else(|error| panic!("{shader:?}: {}", error.emit_to_string(&source)));
    // What every adapter has, and `shader-f16` only for the shaders that ask for it.
    let mut capabilities = Capabilities::SHADER_FLOAT16_IN_FLOAT32;
    capabilities.set(Capabilities::SHADER_FLOAT16, source.contains("enable f16;"));
    Validator::new(ValidationFlags::all(), capabilities)
        .validate(&module)
        .unwrap_or_else(|error| panic!("{shader:?}: {}", error.emit_to_string(&source)));

    let size = module.entry_points[0].workgroup_size;
    assert_eq!(size, [threads as u32, 1, 1], "{shader:?}");
    assert!(
        threads <= WORKGROUP_THREADS,
        "{shader:?}: {threads} threads"
    );
    let memory = workgroup_memory(&module);
    assert!(memory <= WORKGROUP_MEMORY, "{shader:?}: {memory} bytes");
    let buffers = storage_buffers(&module);
    assert!(buffers <= STORAGE_BUFFERS, "{shader:?}: {buffers} buffers");
}

fn workgroup_memory(module: &Module) -> usize {
    module
        .global_variables
        .iter()
        .filter(|(_, variable)| variable.space == AddressSpace::WorkGroup)
        .map(|(_, variable)| module.types[variable.ty].inner.size(module.to_ctx()) as usize)
        .sum()
}

fn storage_buffers(module: &Module) -> usize {
    module
        .global_variables
        .iter()
        .filter(|(_, variable)| matches!(variable.space, AddressSpace::Storage { .. }))
        .count()
}

#[test]
fn every_permutation_of_attention_is_valid() {
    let masks = [
        (MaskKind::None, false),
        (MaskKind::KeyBias, false),
        (MaskKind::Causal, false),
        (MaskKind::Subject, false),
        (MaskKind::None, true),
    ];
    for tiles in TILES {
        for (mask, mix) in masks {
            for head_width in [8, 16, 24, 64, 80, 128, 2048, 4104] {
                let plan = AttentionPlan {
                    kernels: kernels(tiles, false),
                    heads: 2,
                    head_width,
                    mask,
                    mix,
                };
                for walk in [Walk::Forward, Walk::GradQuery, Walk::GradKey] {
                    let planned = plan.walk(walk);
                    check(&planned.shader, planned.threads);
                }
                let rows = plan.rows();
                check(&rows.shader, rows.threads);
                if mix {
                    let gate = plan.grad_gate();
                    check(&gate.shader, gate.threads);
                }
            }
        }
    }
}

#[test]
fn every_permutation_of_the_linear_layers_is_valid() {
    let activations = [Activation::None, Activation::Gelu, Activation::QuickGelu];
    // Which of bias, residual and saving; all eight.
    let extras = (0..8).map(|bits| (bits & 1 != 0, bits & 2 != 0, bits & 4 != 0));
    let sizes = [
        (1, 64, 64),
        (51, 768, 768),
        (33, 7, 5),
        (2000, 64, 512),
        (3, 4, 2),
    ];
    let mut seen = BTreeSet::new();
    for (bias, residual, save) in extras {
        for activation in activations {
            for tiles in TILES {
                for (weights, native) in [
                    (Weights::Plain, false),
                    (Weights::Transposed, false),
                    (Weights::Half, false),
                    (Weights::Half, true),
                ] {
                    for (rows, depth, width) in sizes {
                        let plan = LinearPlan {
                            kernels: kernels(tiles, native),
                            rows,
                            depth,
                            width,
                            activation,
                            weights,
                            x_columns: false,
                            patches: None,
                            bias,
                            residual,
                            save,
                        };
                        // Only gradients read x by columns, and they add nothing to it.
                        let plain = !(bias || residual || save) && weights == Weights::Plain;
                        if plain && activation == Activation::None {
                            let x_columns = true;
                            let planned = LinearPlan { x_columns, ..plan }.plan();
                            check(&planned.shader, planned.threads);
                        }
                        let planned = plan.plan();
                        if seen.insert(format!("{:?}", planned.shader)) {
                            check(&planned.shader, planned.threads);
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn every_permutation_of_patch_embedding_is_valid() {
    for tiles in TILES {
        for (side, patch) in [(224, 32), (15, 5), (64, 8), (6, 6)] {
            for (weights, width) in [(Weights::Transposed, 96), (Weights::Transposed, 7)] {
                let channels = 3;
                let grid = side / patch;
                let plan = LinearPlan {
                    kernels: kernels(tiles, false),
                    rows: 2 * grid * grid,
                    depth: channels * patch * patch,
                    width,
                    activation: Activation::None,
                    weights,
                    x_columns: false,
                    patches: Some(Patches {
                        channels,
                        side,
                        patch,
                    }),
                    bias: false,
                    residual: false,
                    save: false,
                };
                let planned = plan.plan();
                check(&planned.shader, planned.threads);
            }
        }
    }
}

#[test]
fn every_permutation_of_the_reductions_is_valid() {
    for tiles in TILES {
        for width in [1, 7, 64, 768] {
            let planned = layer_norm(kernels(tiles, false), width, 1e-5);
            check(&planned.shader, planned.threads);
        }
        let planned = coverage(kernels(tiles, false));
        check(&planned.shader, planned.threads);
    }
}

#[test]
fn both_passes_of_a_resize_are_valid() {
    for (file, mask) in [
        ("resample_rows.wgsl", false),
        ("resample_columns.wgsl", false),
        ("resample_columns.wgsl", true),
    ] {
        let planned = resample(file, 22, mask);
        check(&planned.shader, planned.threads);
    }
}

#[test]
fn software_blocks_leave_few_rows_idle() {
    assert_eq!(register_rows(51, 51), 51);
    assert_eq!(register_rows(51, 17), 17);
    assert_eq!(register_rows(1, 51), 1);
    assert_eq!(register_rows(49, 17), 17);
    for rows in 1..400 {
        let block = register_rows(rows, if rows % 2 == 0 { 51 } else { 17 });
        let idle = rows.div_ceil(block) * block - rows;
        assert!(
            idle < block && idle * 3 <= rows + 2 * block,
            "{rows} in blocks of {block}"
        );
    }
}

#[test]
fn numbers_survive_their_text() {
    for value in [0.125, 1.0 / 3.0, 1e-5, 0.088_388_35] {
        assert_eq!(float(value).parse::<f32>().unwrap(), value as f32);
    }
}
