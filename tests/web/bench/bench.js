/**
 * Our encoders beside ONNX Runtime Web's in one page, for `cargo xtask bench-web`: the same weights,
 * the same inputs, one engine after the other. A time is that of a call with numbers in and numbers
 * out, so upload and read-back are in it; loading the weights is not.
 */

import { chooseDevice } from './engine.js';
import { fileFor } from './modules.js';

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
  const name = fileFor(kind);
  const { default: init, Engine } = await import(`./${name}.js`);
  await init({ module_or_path: new URL(`${name}_bg.wasm`, import.meta.url) });
  const chosen = await chooseDevice(kind, kernels);
  const engine = kind === 'webgpu' ? await Engine.webgpu(() => {}, chosen.kernels) : Engine.cpu();
  const files = engine.beginModel(await numbers('bundle/model.json', Uint8Array));
  for (const [name] of files) engine.addFile(name, await numbers(`bundle/${name}`, Uint8Array));
  const encoders = engine.encoders();
  return {
    note: kind === 'webgpu' ? `${name}, ${engine.kernels()} kernels` : name,
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

/** The inputs, read once, and the engine that is open. */
let inputs;
let engine;

/**
 * Opens an engine.
 * @param {{name: string, kernels: string}} options
 * @returns {Promise<string>} what it says of itself
 */
async function open({ name, kernels }) {
  inputs ??= {
    frames: await numbers('frames.f32', Float32Array),
    masks: await numbers('masks.f32', Float32Array),
    texts: await numbers('texts.i32', Int32Array),
  };
  engine = await ENGINES[name]({ kernels });
  return engine.note;
}

/**
 * Times the open engine: after the first run others follow until there are `runs` of them or `seconds`
 * have gone, at least one.
 * @param {{what: string, seconds: number, runs: number}} options
 * @returns {Promise<{times: number[], features: number[]}>} milliseconds, and what came out last
 */
async function measure({ what, seconds, runs }) {
  const count = TASKS[what];
  await engine.prepare?.(what);
  const times = [];
  let features;
  const began = performance.now();
  while (times.length < 2 || (times.length <= runs && performance.now() - began < 1000 * seconds)) {
    const started = performance.now();
    features = Array.from(await engine.run(inputs, what, count));
    times.push(performance.now() - started);
    console.log(`${times.length === 1 ? 'first' : 'then'} ${times.at(-1).toFixed(0)} ms`);
  }
  return { times, features };
}

/** Frees the open engine. */
async function close() {
  await engine.close();
  engine = undefined;
}

globalThis.bench = { open, measure, close };
globalThis.isReady = true;
