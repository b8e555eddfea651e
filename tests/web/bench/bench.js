/**
 * Our encoders beside ONNX Runtime Web's in one page, for `cargo xtask bench-web`: the same weights,
 * the same inputs, one engine after the other. A time is that of a call with numbers in and numbers
 * out, so upload and read-back are in it; loading the weights is not.
 */

import init, { Engine } from './emotionclip-web.js';
import { chooseDevice } from './engine.js';

const numbers = async (name, Type) => {
  const response = await fetch(`model/${name}`);
  if (!response.ok) throw new Error(`${name}: ${response.status}`);
  return new Type(await response.arrayBuffer());
};

const SIDE = 224;
const PIXELS = SIDE * SIDE;
const CONTEXT = 77;
/** What is measured, and how much of the inputs it takes. */
const TASKS = { frame_1: 1, frame_8: 8, text_7: 7 };

async function ours(kind, kernels) {
  await init({ module_or_path: new URL('emotionclip-web_bg.wasm', import.meta.url) });
  const chosen = await chooseDevice(kind, kernels);
  const engine = kind === 'webgpu' ? await Engine.webgpu(() => {}, chosen.kernels) : Engine.cpu();
  const files = engine.beginModel(await numbers('bundle/model.json', Uint8Array));
  for (const [name] of files) engine.addFile(name, await numbers(`bundle/${name}`, Uint8Array));
  const encoders = engine.encoders();
  return {
    note: `${engine.kernels()} kernels`,
    run: (inputs, task, count) => task === 'text_7'
      ? encoders.texts(inputs.texts, count)
      : encoders.frames(inputs.frames.subarray(0, count * 3 * PIXELS), inputs.masks.subarray(0, count * PIXELS), count),
    close: () => { encoders.free(); engine.free(); },
  };
}

async function theirs(provider) {
  const module = provider === 'webgpu' ? 'ort.webgpu.min.mjs' : 'ort.wasm.min.mjs';
  const ort = await import(`./ort/${module}`);
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmPaths = new URL('ort/', import.meta.url).href;
  ort.env.logLevel = 'error';
  const sessions = {};
  const session = async (name) => sessions[name] ??= await ort.InferenceSession.create(
    await numbers(name, Uint8Array), { executionProviders: [provider], graphOptimizationLevel: 'all' },
  );
  const tensor = (type, data, shape) => new ort.Tensor(type, data, shape);
  return {
    note: `onnxruntime-web ${ort.env.versions?.web ?? ''}`,
    prepare: (task) => session(task === 'text_7' ? 'texts.onnx' : 'frames.onnx'),
    async run(inputs, task, count) {
      const { features } = task === 'text_7'
        ? await sessions['texts.onnx'].run({ texts: tensor('int32', inputs.texts, [count, CONTEXT]) })
        : await sessions['frames.onnx'].run({
          frames: tensor('float32', inputs.frames.subarray(0, count * 3 * PIXELS), [count, 3, SIDE, SIDE]),
          masks: tensor('float32', inputs.masks.subarray(0, count * PIXELS), [count, SIDE, SIDE]),
        });
      return features.getData ? features.getData() : features.data;
    },
    close: () => Promise.all(Object.values(sessions).map((one) => one.release())),
  };
}

const ENGINES = {
  'ours-webgpu': ({ kernels }) => ours('webgpu', kernels),
  'ort-webgpu': () => theirs('webgpu'),
  'ours-wasm': () => ours('cpu', 'auto'),
  'ort-wasm': () => theirs('wasm'),
};

/** Least cosine of a row of features with the same row of another engine's. */
function leastCosine(a, b, count) {
  const width = a.length / count;
  let least = 1;
  for (let row = 0; row < count; row++) {
    let [ab, aa, bb] = [0, 0, 0];
    for (let i = row * width; i < (row + 1) * width; i++) {
      [ab, aa, bb] = [ab + a[i] * b[i], aa + a[i] * a[i], bb + b[i] * b[i]];
    }
    const cosine = ab / Math.sqrt(aa * bb);
    least = cosine < least || Number.isNaN(cosine) ? cosine : least;
  }
  return a.length === b.length ? least : Number.NaN;
}

const median = (values) => {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
};

/**
 * @param {{tasks: string[], engines: string[], kernels: string, seconds: number, runs: number}} options
 *   after the first run others follow until there are `runs` of them or `seconds` have gone
 * @returns {Promise<{rows: object[], notes: object}>}
 */
globalThis.bench = async ({ tasks, engines, kernels, seconds, runs }) => {
  const inputs = {
    frames: await numbers('frames.f32', Float32Array),
    masks: await numbers('masks.f32', Float32Array),
    texts: await numbers('texts.i32', Int32Array),
  };
  const [rows, notes, outputs] = [[], {}, {}];
  for (const name of engines) {
    const engine = await ENGINES[name]({ kernels });
    notes[name] = engine.note;
    for (const what of tasks) {
      const count = TASKS[what];
      await engine.prepare?.(what);
      const times = [];
      const began = performance.now();
      while (times.length < 2 || (times.length <= runs && performance.now() - began < 1000 * seconds)) {
        const started = performance.now();
        const output = await engine.run(inputs, what, count);
        times.push(performance.now() - started);
        outputs[what] ??= {};
        outputs[what][name] = Float32Array.from(output);
      }
      const [first, ...warm] = times;
      rows.push({ what, engine: name, first_ms: first, median_ms: median(warm), runs: warm.length });
      console.log(`${what} ${name}: first ${first.toFixed(0)} ms, then ${warm.map((time) => time.toFixed(0)).join(', ')} ms`);
    }
    await engine.close();
  }
  for (const row of rows) {
    const all = outputs[row.what];
    const others = Object.entries(all).filter(([name]) => name !== row.engine);
    const cosines = others.map(([, output]) => leastCosine(all[row.engine], output, TASKS[row.what]));
    row.least_cosine = cosines.length ? Math.min(...cosines) : null;
  }
  return { rows, notes };
};
globalThis.isReady = true;
