//! The operations on the GPU: which shaders run, on what, in which order.

use burn::backend::TensorMetadata;
use burn_cubecl::CubeBackend;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;

use super::launch::{folded, output, run};
use super::{CoveragePlan, KernelBackend, LayerNormPlan};
use crate::picture::ResamplePlan;
use crate::plan::{self, AttentionPlan, LinearPlan, Planned, SubjectPlan, Walk, Weights};

/// Batch and tokens of a joint projection, with the numbers of every attention launch.
fn attention_info(qkv: &CubeTensor, plan: &AttentionPlan) -> (usize, usize, [u32; 3]) {
    let shape = qkv.shape();
    let (batch, tokens) = (shape[0], shape[1]);
    (
        batch,
        tokens,
        [batch, tokens, plan.heads].map(|number| number as u32),
    )
}

/// Maximum, inverse sum and mean gradient of every query row, `[B, heads, N, 3]`.
fn gather_rows(
    qkv: &CubeTensor,
    mixed: &CubeTensor,
    stats: &CubeTensor,
    grad: &CubeTensor,
    plan: AttentionPlan,
) -> CubeTensor {
    let (batch, tokens, info) = attention_info(qkv, &plan);
    let gathered = output(qkv, [batch, plan.heads, tokens, 3], plan.kernels);
    let Planned {
        shader,
        threads,
        rows,
    } = plan.rows();
    let groups = [tokens.div_ceil(rows), plan.heads, batch];
    run(
        shader,
        threads,
        groups,
        &[mixed, grad, stats, &gathered],
        &info,
    );
    gathered
}

/// The two walks of a backward pass: queries, then keys and values.
fn walk_back(
    walk: Walk,
    qkv: &CubeTensor,
    others: &[&CubeTensor],
    outputs: &[&CubeTensor],
    plan: AttentionPlan,
) {
    let (batch, tokens, info) = attention_info(qkv, &plan);
    let Planned {
        shader,
        threads,
        rows,
    } = plan.walk(walk);
    let mut buffers = vec![qkv];
    buffers.extend(others);
    buffers.extend(outputs);
    let groups = [tokens.div_ceil(rows), plan.heads, batch];
    run(shader, threads, groups, &buffers, &info);
}

/// One linear layer; `weight` is f32 or packed halves, as the plan says.
fn apply_linear(
    x: CubeTensor,
    weight: CubeTensor,
    bias: CubeTensor,
    residual: CubeTensor,
    plan: LinearPlan,
) -> (CubeTensor, CubeTensor) {
    let [x, weight] = [x, weight].map(into_contiguous);
    let shape = [plan.rows, plan.width];
    let y = output(&x, shape, plan.kernels);
    let before = output(&x, if plan.save { shape } else { [1, 1] }, plan.kernels);
    let bias = plan.bias.then(|| into_contiguous(bias));
    let residual = plan.residual.then(|| into_contiguous(residual));
    let mut buffers = vec![&x, &weight];
    buffers.extend(&bias);
    buffers.extend(&residual);
    buffers.push(&y);
    if plan.save {
        buffers.push(&before);
    }
    let planned = plan.plan();
    let [columns, rows] = planned.groups;
    let groups = [columns, rows, 1];
    run(
        planned.shader,
        planned.threads,
        groups,
        &buffers,
        &plan.info(),
    );
    (y, before)
}

impl KernelBackend for CubeBackend {
    fn attend(qkv: CubeTensor, bias: CubeTensor, plan: AttentionPlan) -> (CubeTensor, CubeTensor) {
        let qkv = into_contiguous(qkv);
        let bias = plan.needs_bias().then(|| into_contiguous(bias));
        let (batch, tokens, info) = attention_info(&qkv, &plan);
        let width = plan.heads * plan.head_width;
        let mixed = output(&qkv, [batch, tokens, width], plan.kernels);
        let stats = output(&qkv, [batch, plan.heads, tokens, 2], plan.kernels);
        let planned = plan.walk(Walk::Forward);
        let mut buffers = vec![&qkv];
        buffers.extend(&bias);
        buffers.extend([&mixed, &stats]);
        let groups = [tokens.div_ceil(planned.rows), plan.heads, batch];
        run(planned.shader, planned.threads, groups, &buffers, &info);
        (mixed, stats)
    }

    fn attend_backward(
        qkv: CubeTensor,
        bias: CubeTensor,
        mixed: CubeTensor,
        stats: CubeTensor,
        grad: CubeTensor,
        plan: AttentionPlan,
    ) -> CubeTensor {
        let [qkv, mixed, stats, grad] = [qkv, mixed, stats, grad].map(into_contiguous);
        let bias = plan.needs_bias().then(|| into_contiguous(bias));
        let (batch, tokens, _) = attention_info(&qkv, &plan);
        let width = 3 * plan.heads * plan.head_width;
        let grad_qkv = output(&qkv, [batch, tokens, width], plan.kernels);
        let rows = gather_rows(&qkv, &mixed, &stats, &grad, plan);
        let mut others: Vec<&CubeTensor> = bias.iter().collect();
        others.extend([&rows, &grad]);
        walk_back(Walk::GradQuery, &qkv, &others, &[&grad_qkv], plan);
        walk_back(Walk::GradKey, &qkv, &others, &[&grad_qkv], plan);
        grad_qkv
    }

    fn subject(
        qkv: CubeTensor,
        outside: CubeTensor,
        gate: CubeTensor,
        plan: SubjectPlan,
    ) -> (CubeTensor, CubeTensor, CubeTensor, CubeTensor) {
        let [qkv, outside, gate] = [qkv, outside, gate].map(into_contiguous);
        let (batch, tokens, info) = attention_info(&qkv, &plan.masked());
        let values = [batch, tokens, plan.heads * plan.head_width];
        let numbers = [batch, plan.heads, tokens, 2];
        let mixed = output(&qkv, values, plan.kernels);
        let at_once = plan.at_once(tokens);
        let between = |wanted: bool| {
            let values = if wanted { values } else { [1; 3] };
            let stats = || output(&qkv, if wanted { numbers } else { [1; 4] }, plan.kernels);
            (output(&qkv, values, plan.kernels), stats(), stats())
        };
        let is_split = at_once.is_none();
        let (detours, masked_stats, stats) = between(plan.save || is_split);
        let pass = |planned: Planned, groups, buffers: &[&CubeTensor]| {
            let groups = [groups, plan.heads, batch];
            run(planned.shader, planned.threads, groups, buffers, &info);
        };
        if let Some(planned) = at_once {
            let mut buffers = vec![&qkv, &outside, &gate, &mixed];
            if plan.save {
                buffers.extend([&detours, &masked_stats, &stats]);
            }
            pass(planned, 1, &buffers);
        } else {
            let [streams, detour] = plan.in_two();
            let groups = (tokens + 1).div_ceil(streams.rows);
            let buffers = [&qkv, &outside, &mixed, &detours, &masked_stats, &stats];
            pass(streams, groups, &buffers);
            let groups = tokens.div_ceil(detour.rows);
            let buffers = [&qkv, &gate, &mixed, &detours, &stats];
            pass(detour, groups, &buffers);
        }
        let (detours, masked_stats, stats) = if is_split && !plan.save {
            between(false)
        } else {
            (detours, masked_stats, stats)
        };
        (mixed, detours, masked_stats, stats)
    }

    fn mix_backward(
        qkv: CubeTensor,
        detours: CubeTensor,
        gate: CubeTensor,
        mixed: CubeTensor,
        stats: CubeTensor,
        grad: CubeTensor,
        plan: AttentionPlan,
    ) -> (CubeTensor, CubeTensor, CubeTensor) {
        let [qkv, detours, gate] = [qkv, detours, gate].map(into_contiguous);
        let [mixed, stats, grad] = [mixed, stats, grad].map(into_contiguous);
        let (batch, tokens, info) = attention_info(&qkv, &plan);
        let width = plan.heads * plan.head_width;
        let grad_qkv = output(&qkv, [batch, tokens, 3 * width], plan.kernels);
        let grad_detours = output(&qkv, [batch, tokens, width], plan.kernels);
        let grad_gate = output(&qkv, [plan.heads, tokens, tokens], plan.kernels);
        let rows = gather_rows(&qkv, &mixed, &stats, &grad, plan);
        let others = [&detours, &gate, &rows, &grad];
        walk_back(Walk::GradQuery, &qkv, &others, &[&grad_qkv], plan);
        let outputs = [&grad_qkv, &grad_detours];
        walk_back(Walk::GradKey, &qkv, &others, &outputs, plan);
        let planned = plan.grad_gate();
        let groups = [tokens.div_ceil(planned.rows), tokens, plan.heads];
        let buffers = [&qkv, &detours, &gate, &rows, &grad, &grad_gate];
        run(planned.shader, planned.threads, groups, &buffers, &info);
        (grad_qkv, grad_detours, grad_gate)
    }

    fn project(
        x: CubeTensor,
        weight: CubeTensor,
        bias: CubeTensor,
        residual: CubeTensor,
        plan: LinearPlan,
    ) -> (CubeTensor, CubeTensor) {
        apply_linear(x, weight, bias, residual, plan)
    }

    fn project_half(
        x: CubeTensor,
        weight: CubeTensor,
        bias: CubeTensor,
        residual: CubeTensor,
        plan: LinearPlan,
    ) -> CubeTensor {
        debug_assert_eq!(plan.weights, Weights::Half);
        apply_linear(x, weight, bias, residual, plan).0
    }

    fn normalise(
        x: CubeTensor,
        gain: CubeTensor,
        bias: CubeTensor,
        layer: LayerNormPlan,
    ) -> (CubeTensor, CubeTensor) {
        let [x, gain, bias] = [x, gain, bias].map(into_contiguous);
        let shape = x.shape();
        let (rows, width) = (shape[0], shape[1]);
        let y = output(&x, [rows, width], layer.kernels);
        let stats = output(&x, [rows, 2], layer.kernels);
        let planned = plan::layer_norm(layer.kernels, width, layer.epsilon);
        let length = if width.is_multiple_of(4) {
            width / 4
        } else {
            width
        };
        let groups = folded(rows.div_ceil(planned.rows));
        let info = [rows as u32, length as u32];
        let buffers = [&x, &gain, &bias, &y, &stats];
        run(planned.shader, planned.threads, groups, &buffers, &info);
        (y, stats)
    }

    fn cover(masks: CubeTensor, coverage: CoveragePlan) -> CubeTensor {
        let masks = into_contiguous(masks);
        let shape = masks.shape();
        let (count, side) = (shape[0], shape[1]);
        let grid = side / coverage.patch;
        let covered = output(&masks, [count, grid * grid], coverage.kernels);
        let planned = plan::coverage(coverage.kernels);
        let groups = folded((count * grid * grid).div_ceil(planned.rows));
        let info = [count, side, coverage.patch, grid].map(|number| number as u32);
        run(
            planned.shader,
            planned.threads,
            groups,
            &[&masks, &covered],
            &info,
        );
        covered
    }

    fn resample(
        pixels: CubeTensor,
        table: CubeTensor,
        plan: ResamplePlan,
    ) -> (CubeTensor, CubeTensor) {
        let [pixels, table] = [pixels, table].map(into_contiguous);
        // Words as well, which a buffer doesn't mind.
        let narrowed = output(&pixels, [plan.narrowed], plan.kernels);
        let frame = output(&pixels, [3, plan.side, plan.side], plan.kernels);
        let mask = output(&pixels, [plan.mask_side(); 2], plan.kernels);
        let pass = |file, mask, outputs: usize, buffers: &[&CubeTensor], info: &[u32]| {
            let planned = plan::resample(file, plan.fraction_bits, mask);
            let groups = folded(outputs.div_ceil(planned.rows));
            run(planned.shader, planned.threads, groups, buffers, info);
        };
        pass(
            "resample_rows.wgsl",
            false,
            plan.narrowed,
            &[&pixels, &table, &narrowed],
            &plan.rows_info,
        );
        let mut buffers = vec![&narrowed, &table, &frame];
        if plan.has_mask {
            buffers.push(&mask);
        }
        pass(
            "resample_columns.wgsl",
            plan.has_mask,
            plan.side * plan.side,
            &buffers,
            &plan.columns_info,
        );
        (frame, mask)
    }
}
