//! Every shader in every permutation, parsed and validated by naga: no device is needed.

use std::collections::BTreeSet;

use naga::valid::{Capabilities, ValidationFlags, Validator};
use naga::{AddressSpace, Module};

use super::*;
use crate::choice::SubgroupSizes;

const TILES: [TileSet; 3] = [TileSet::Software, TileSet::Gpu, TileSet::Plain];

/// Storage buffers of a shader stage that every WebGPU device has.
const STORAGE_BUFFERS: usize = 8;

fn kernels(tiles: TileSet, native_half: bool) -> Kernels {
    Kernels {
        tiles,
        native_half,
        subgroups: None,
        split_subject: false,
        products_in_memory: false,
        poison: false,
    }
}

/// Every tile set, and the one for GPUs with all kinds of subgroups: lavapipe's, NVIDIA's, Intel's,
/// AMD's, and some too small or too large for most kernels.
fn variants() -> Vec<Kernels> {
    let sizes = [(8, 8), (32, 32), (8, 32), (32, 64), (2, 4), (64, 128)];
    let with = |(least, most)| Kernels {
        subgroups: Some(SubgroupSizes { least, most }),
        ..kernels(TileSet::Gpu, false)
    };
    let plain = TILES.map(|tiles| kernels(tiles, false));
    plain.into_iter().chain(sizes.map(with)).collect()
}

/// What linear layers are planned for: every tile set, and products with sums in memory.
fn linear_variants(native_half: bool) -> Vec<Kernels> {
    let in_memory = Kernels {
        products_in_memory: true,
        ..kernels(TileSet::Software, native_half)
    };
    let plain = TILES.map(|tiles| kernels(tiles, native_half));
    plain.into_iter().chain([in_memory]).collect()
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
    // Subgroups likewise; naga knows no `enable subgroups;`.
    capabilities.set(Capabilities::SUBGROUP, source.contains("subgroup_size"));
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
    for kernels in variants() {
        for (mask, mix) in masks {
            for head_width in [8, 16, 24, 64, 80, 128, 2048, 4104] {
                let plan = AttentionPlan {
                    kernels,
                    heads: 2,
                    head_width,
                    mask,
                    mix,
                };
                // SAAM's forward pass has kernels of its own.
                let forward = !mix && mask != MaskKind::Subject;
                let forward = forward.then_some(Walk::Forward);
                for walk in forward.into_iter().chain([Walk::GradQuery, Walk::GradKey]) {
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
fn every_permutation_of_the_subject_in_one_dispatch_and_two_is_valid() {
    for kernels in variants() {
        for head_width in [8, 16, 24, 64, 80, 128, 2048, 4104] {
            for save in [false, true] {
                let plan = SubjectPlan {
                    kernels,
                    heads: 2,
                    head_width,
                    save,
                };
                for planned in plan.in_two() {
                    check(&planned.shader, planned.threads);
                }
                let fitting = (3..200).filter_map(|tokens| plan.at_once(tokens));
                let mut seen = BTreeSet::new();
                for planned in fitting {
                    if seen.insert(planned.threads) {
                        check(&planned.shader, planned.threads);
                    }
                }
                assert!(!seen.is_empty() || head_width > 1024, "{plan:?}");
            }
        }
    }
}

#[test]
fn a_subject_takes_one_dispatch_where_the_first_product_fits() {
    for kernels in variants() {
        let plan = SubjectPlan {
            kernels,
            heads: 12,
            head_width: 64,
            save: false,
        };
        // ViT-B/32's 51 tokens are 13,464 bytes of 16,384; ViT-B/16's 198 are too many.
        let planned = plan.at_once(51).expect("51 tokens fit");
        assert_eq!(plan.at_once(198).map(|planned| planned.threads), None);
        // The same lanes and keys a step as plain attention, for the same bits.
        let plain = plan.masked().walk(Walk::Forward);
        let lanes = |planned: &Planned| planned.threads / planned.rows;
        assert_eq!(lanes(&planned), lanes(&plain));
        for planned in plan.in_two() {
            assert_eq!(lanes(&planned), lanes(&plain));
        }
        let split = SubjectPlan {
            kernels: Kernels {
                split_subject: true,
                ..kernels
            },
            ..plan
        };
        assert!(split.at_once(51).is_none());
    }
}

#[test]
fn subgroups_hold_whole_rows() {
    let uses = |least, most, head_width| {
        let kernels = Kernels {
            subgroups: Some(SubgroupSizes { least, most }),
            ..kernels(TileSet::Gpu, false)
        };
        let plan = AttentionPlan {
            kernels,
            heads: 1,
            head_width,
            mask: MaskKind::None,
            mix: false,
        };
        let planned = plan.walk(Walk::Forward);
        let lanes = planned.threads / planned.rows;
        let source = planned.shader.source().unwrap();
        (lanes, source.contains("subgroupShuffleXor"))
    };
    // Four lanes a row of 64, three of 40: the latter become four.
    assert_eq!(uses(32, 32, 64), (4, true));
    assert_eq!(uses(32, 32, 40), (4, true));
    // A row of 2048 wants 128 lanes, one of 64 more than two; 128 threads don't fit in 64.
    assert_eq!(uses(32, 32, 2048), (128, false));
    assert_eq!(uses(2, 32, 64), (4, false));
    assert_eq!(uses(32, 128, 64), (4, false));
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
            for (weights, native) in [
                (Weights::Plain, false),
                (Weights::Transposed, false),
                (Weights::Half, false),
                (Weights::Half, true),
            ] {
                for kernels in linear_variants(native) {
                    for (rows, depth, width) in sizes {
                        let plan = LinearPlan {
                            kernels,
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
    for kernels in linear_variants(false) {
        for (side, patch) in [(224, 32), (15, 5), (64, 8), (6, 6)] {
            for (weights, width) in [(Weights::Transposed, 96), (Weights::Transposed, 7)] {
                let channels = 3;
                let grid = side / patch;
                let plan = LinearPlan {
                    kernels,
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
    for kernels in variants() {
        for width in [1, 7, 64, 768] {
            let planned = layer_norm(kernels, width, 1e-5);
            check(&planned.shader, planned.threads);
        }
        let planned = coverage(kernels);
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
    assert_eq!(block_rows(51, 51, 4), 51);
    assert_eq!(block_rows(51, 17, 4), 17);
    assert_eq!(block_rows(1, 51, 11), 1);
    assert_eq!(block_rows(49, 17, 4), 17);
    assert_eq!(block_rows(49, 51, 11), 51);
    for (tallest, reading) in [(51, 4), (17, 4), (51, 11)] {
        for rows in 1..400 {
            let block = block_rows(rows, tallest, reading);
            let idle = rows.div_ceil(block) * block - rows;
            assert!(
                idle < block && idle * 3 <= rows + 2 * block,
                "{rows} in blocks of {block}"
            );
        }
    }
}

#[test]
fn software_columns_leave_few_threads_idle() {
    // ViT-B/32's layers take the largest blocks, without remainder; the built-in models' fill threads.
    assert_eq!(block_quads(768 / 4), [8, 4, 6]);
    assert_eq!(block_quads(2304 / 4), [8, 4, 18]);
    assert_eq!(block_quads(192 / 4), [6, 4, 2]);
    assert_eq!(block_quads(64 / 4), [2, 4, 2]);
    for across in 1..1024 {
        let [quads, threads, groups] = block_quads(across);
        let there = quads * threads * groups;
        assert!((1..=8).contains(&quads) && (1..=4).contains(&threads));
        assert!(there >= across, "{across} vectors in {there}");
        assert!(
            there - across < 4 * groups + quads,
            "{across} vectors in {there}"
        );
    }
}

#[test]
fn numbers_survive_their_text() {
    for value in [0.125, 1.0 / 3.0, 1e-5, 0.088_388_35] {
        assert_eq!(float(value).parse::<f32>().unwrap(), value as f32);
    }
}
