/** Owns the engine: turns the messages of messages.js into calls of the wasm module, one at a time. */

import init, { Engine } from '../emotionclip-web.js';
import { VERSION } from './messages.js';

/** Longest side that frames are read at; larger ones are scaled down by the browser. */
const LONGEST_SIDE = 1280;

let engine = null;
let wasm = null;
let canvas = null;
let hasReading = false;

const post = (message, transfer = []) => self.postMessage(message, transfer);

/** Fetches the module with progress; what a server has compressed has no known length. */
async function openModule() {
  const response = await fetch(new URL('../emotionclip-web_bg.wasm', import.meta.url));
  if (!response.ok) throw coded('worker', `the engine can't be fetched (${response.status})`);
  const total = response.headers.get('content-encoding')
    ? 0
    : Number(response.headers.get('content-length') ?? 0);
  let loaded = 0;
  const counter = new TransformStream({
    transform(chunk, controller) {
      loaded += chunk.byteLength;
      post({ type: 'progress', phase: 'engine', loaded, total });
      controller.enqueue(chunk);
    },
  });
  const counted = new Response(response.body.pipeThrough(counter), {
    headers: { 'content-type': 'application/wasm' },
  });
  return init({ module_or_path: counted });
}

/** From here on the worker has no way to the network: a page's policy need not reach its workers. */
function closeNetwork() {
  for (const name of ['fetch', 'XMLHttpRequest', 'WebSocket', 'EventSource', 'importScripts']) {
    try {
      Object.defineProperty(self, name, { value: undefined, configurable: false });
    } catch {
      // A browser that has no such name has nothing to close.
    }
  }
}

/** The frame's pixels as RGBA, and the frame closed. */
async function pixels(frame) {
  try {
    const width = frame.displayWidth ?? frame.width;
    const height = frame.displayHeight ?? frame.height;
    const scale = Math.min(1, LONGEST_SIDE / Math.max(width, height));
    const upright = !frame.rotation && !frame.flip;
    const square = frame.visibleRect
      && frame.visibleRect.width === width && frame.visibleRect.height === height;
    if (scale === 1 && upright && square) {
      try {
        const size = frame.allocationSize({ format: 'RGBA' });
        if (size === 4 * width * height) {
          const rgba = new Uint8Array(size);
          await frame.copyTo(rgba, { format: 'RGBA' });
          return { rgba, width, height };
        }
      } catch {
        // A browser that can't convert: drawn below.
      }
    }
    const [w, h] = [Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))];
    if (!canvas || canvas.width !== w || canvas.height !== h) canvas = new OffscreenCanvas(w, h);
    const context = canvas.getContext('2d', { willReadFrequently: true });
    context.drawImage(frame, 0, 0, w, h);
    const { data } = context.getImageData(0, 0, w, h);
    return { rgba: new Uint8Array(data.buffer), width: w, height: h };
  } finally {
    frame.close();
  }
}

const OUT_OF_MEMORY = {
  type: 'error', code: 'memory', message: 'the browser gives the page no more memory, and a smaller model needs less',
};

/** Whether the module could have more memory: a trap without is for want of it. */
function canGrow(pages = 1) {
  try {
    wasm?.memory.grow(pages);
    return true;
  } catch {
    return false;
  }
}

const heap = () => wasm?.memory.buffer.byteLength ?? 0;

const answers = {
  async init({ version, device, kernels }) {
    if (version !== VERSION) throw coded('version', `the page speaks version ${version} of the messages, the worker ${VERSION}: reload`);
    wasm = await openModule();
    closeNetwork();
    engine = device === 'webgpu'
      ? await Engine.webgpu((message) => post({ type: 'error', code: 'device-lost', message }), kernels)
      : Engine.cpu();
    return { type: 'opened', kernels: engine.kernels() };
  },
  loadModel: ({ manifest }) => ({ type: 'files', files: engine.beginModel(new Uint8Array(manifest)) }),
  addFile({ name, content }) {
    engine.addFile(name, new Uint8Array(content));
    return { type: 'added', heap: heap() };
  },
  async finishModel({ labels }) {
    post({ type: 'progress', phase: 'shaders', loaded: 0, total: 2 });
    const { model, selfTest } = await engine.finishModel(labels ?? undefined);
    if (selfTest?.passed ?? true) {
      post({ type: 'progress', phase: 'warm-up', loaded: 1, total: 2 });
      await engine.warmUp();
    }
    hasReading = false;
    return { type: 'ready', model, selfTest, heap: heap() };
  },
  async frame({ frame, explain }) {
    const started = performance.now();
    const { rgba, width, height } = await pixels(frame);
    const reading = await engine.read(rgba, width, height);
    hasReading = true;
    const attention = explain ? await engine.explain() : null;
    const totalMs = performance.now() - started;
    return { type: 'reading', ...reading, attention, width, height, totalMs, heap: heap() };
  },
  async setLabels({ labels }) {
    await engine.setLabels(labels);
    return { type: 'labels', probabilities: hasReading ? engine.again() : null };
  },
  setSubject({ subject }) {
    engine.setSubject(subject);
    return { type: 'subject' };
  },
  explain: async () => ({ type: 'attention', attention: await engine.explain() }),
  reset() {
    engine.reset();
    hasReading = false;
    return { type: 'reset' };
  },
  record: ({ label }) => ({ type: 'lesson', counts: engine.record(label ?? undefined) }),
  forget: ({ label }) => ({ type: 'lesson', counts: engine.forget(label) }),
  fit() {
    const started = performance.now();
    const report = engine.fit();
    return { type: 'fitted', report, fitMs: performance.now() - started };
  },
  saveProbe: () => ({ type: 'probe', content: engine.saveProbe().buffer }),
  loadProbe: ({ content }) => ({ type: 'probeLoaded', labels: engine.loadProbe(new Uint8Array(content)) }),
  dropProbe() {
    engine.dropProbe();
    return { type: 'probeDropped' };
  },
  /** Takes all memory that the browser gives, in ever smaller pieces. */
  fillMemory() {
    for (let pages = 32_768; pages >= 1; pages = Math.floor(pages / 2)) while (canGrow(pages));
    return { type: 'memoryFilled', heap: heap() };
  },
  checkKernels: async () => ({ type: 'checked', comparisons: await engine.checkKernels() }),
  loseDevice() {
    engine.loseDevice();
    return { type: 'deviceLosing' };
  },
  dispose() {
    engine?.free();
    queueMicrotask(() => self.close());
    return { type: 'disposed' };
  },
};

const coded = (code, message) => Object.assign(new Error(message), { code });

/** Calls wait for each other: the engine can't be asked while it waits for the GPU. */
let last = Promise.resolve();

self.addEventListener('message', ({ data }) => {
  last = last.then(() => answer(data));
});

// A trap between two turns of a call reaches nobody who waits for it; the page hears of the event.
self.addEventListener('error', (event) => {
  if (canGrow()) return;
  event.preventDefault();
  post(OUT_OF_MEMORY);
});

async function answer(request) {
  const { seq } = request;
  try {
    const call = answers[request.type];
    if (!call) throw coded('worker', `the worker knows no message '${request.type}'`);
    post({ seq, ...(await call(request)) });
  } catch (error) {
    // A trap leaves the module in no defined state; an Error from Rust has a code.
    const trapped = error instanceof WebAssembly.RuntimeError;
    if (trapped && !canGrow()) {
      post({ ...OUT_OF_MEMORY, seq });
      return;
    }
    const code = trapped ? 'worker' : error.code ?? 'worker';
    post({ type: 'error', seq, code, message: String(error.message ?? error) });
  }
}
