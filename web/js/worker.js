/** Owns the engine: turns the messages of messages.js into calls of a wasm module, one at a time. */

import { VERSION, coded } from './messages.js';
import { openModule } from './modules.js';
import { DevicePixels, MOST_LEVELS, checkPicture, hostPixels } from './pixels.js';

let engine = null;
let wasm = null;
/** The way of frames into the graphics processor, or null where the host prepares them. */
let devicePixels = null;
let wishedPreparation = 'auto';
let hasReading = false;

/** Whether it is the module for a graphics processor, which alone knows of kernels and of pictures on one. */
const isGpu = () => 'kernels' in engine;

const post = (message, transfer = []) => self.postMessage(message, transfer);

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

async function choosePreparation() {
  devicePixels?.destroy();
  devicePixels = null;
  if (wishedPreparation === 'host' || !isGpu()) return;
  const pixels = new DevicePixels();
  try {
    if (await preparesAsHost(pixels)) devicePixels = pixels;
  } finally {
    if (!devicePixels) pixels.destroy();
  }
}

/**
 * Whether the graphics processor prepares frames as the host does: what it makes of a drawn picture
 * is compared. A browser that can't copy to it, or changes colours on the way, leaves it to the host.
 */
async function preparesAsHost(pixels) {
  const { bitmap, rgba } = await checkPicture();
  try {
    if (!await pixels.fill(engine, bitmap)) return false;
  } catch {
    return false;
  } finally {
    bitmap.close();
  }
  const { levels, detector } = await engine.comparePreparation(rgba, [12.5, 8, 70, 61]);
  return Math.max(levels, detector) <= MOST_LEVELS;
}

/** Reads a frame: prepared by the graphics processor, or else by the host. */
async function read(frame) {
  if (devicePixels) {
    let size = null;
    try {
      size = await devicePixels.fill(engine, frame);
    } catch {
      // A frame of a kind that this browser can't copy: the host takes it.
    }
    if (size) return { ...await engine.readPicture(), ...size, prepared: 'device' };
  }
  const { rgba, width, height } = await hostPixels(frame);
  return { ...await engine.read(rgba, width, height), width, height, prepared: 'host' };
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
  async init({ version, device, kernels, preparation }) {
    if (version !== VERSION) throw coded('version', `the page speaks version ${version} of the messages, the worker ${VERSION}: reload`);
    const opened = await openModule(device, (progress) => post({ type: 'progress', phase: 'engine', ...progress }));
    closeNetwork();
    wasm = opened.wasm;
    wishedPreparation = preparation;
    engine = device === 'webgpu'
      ? await opened.Engine.webgpu((message) => post({ type: 'error', code: 'device-lost', message }), kernels)
      : opened.Engine.cpu();
    return { type: 'opened', kernels: isGpu() ? engine.kernels() : 'stock' };
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
      await choosePreparation();
      await engine.warmUp(Boolean(devicePixels));
    }
    hasReading = false;
    return { type: 'ready', model, selfTest, preparation: devicePixels ? 'device' : 'host', heap: heap() };
  },
  async frame({ frame, explain }) {
    const started = performance.now();
    let reading;
    try {
      reading = await read(frame);
    } finally {
      frame.close();
    }
    hasReading = true;
    const attention = explain ? await engine.explain() : null;
    const totalMs = performance.now() - started;
    return { type: 'reading', ...reading, attention, totalMs, heap: heap() };
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
  async comparePreparation({ frame, subject, rgba }) {
    try {
      const size = await devicePixels?.fill(engine, frame);
      if (!size) throw coded('picture', 'frames are not prepared by a graphics processor here');
      const bytes = rgba ?? (await hostPixels(frame, Infinity)).rgba;
      return { type: 'compared', ...size, difference: await engine.comparePreparation(bytes, subject ?? undefined) };
    } finally {
      frame.close();
    }
  },
  checkKernels: async () => ({ type: 'checked', comparisons: isGpu() ? await engine.checkKernels() : [] }),
  loseDevice() {
    if (isGpu()) engine.loseDevice();
    return { type: 'deviceLosing' };
  },
  dispose() {
    engine?.free();
    queueMicrotask(() => self.close());
    return { type: 'disposed' };
  },
};

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
