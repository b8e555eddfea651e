/** The page's side of the worker: which device, start, restart, requests and answers. */

import { VERSION, coded } from './messages.js';

/** Parts of the names of adapters that compute on the CPU, slower than the CPU engine does. */
const SOFTWARE = /swiftshader|llvmpipe|lavapipe|softpipe|basic render/i;

/** What to compute with after kernels have failed: plainer ones, then burn's own, then the CPU. */
export const saferKernels = (kernels) => {
  if (kernels === 'stock') return null;
  return kernels === 'plain' ? 'stock' : 'plain';
};

/**
 * Chooses the device and its kernels.
 * @param {'auto'|'webgpu'|'cpu'} wish
 * @param {'auto'|'gpu'|'software'|'plain'|'stock'} kernels 'auto' goes by the adapter
 * @returns {Promise<{kind: 'webgpu'|'cpu', kernels: string, name: string, reason: string, fallback: boolean}>}
 */
export async function chooseDevice(wish, kernels) {
  const cpu = (reason, fallback) => ({ kind: 'cpu', kernels: 'stock', name: 'CPU (WebAssembly)', reason, fallback });
  if (wish === 'cpu') return cpu('asked for in the address', false);
  if (!navigator.gpu) return cpu('this browser has no WebGPU', true);
  let adapter = null;
  try {
    adapter = await navigator.gpu.requestAdapter({ powerPreference: 'high-performance' });
  } catch {
    // As good as none.
  }
  if (!adapter) return cpu('this browser offers no graphics processor', true);
  const info = adapter.info ?? {};
  const parts = [info.description, info.device, info.vendor, info.architecture].filter(Boolean);
  const name = info.description || [info.vendor, info.architecture].filter(Boolean).join(' ') || 'GPU';
  const software = info.isFallbackAdapter || adapter.isFallbackAdapter || parts.some((part) => SOFTWARE.test(part));
  if (software && wish !== 'webgpu') {
    return cpu('the browser only offers a graphics processor in software, which is slower', true);
  }
  const reason = wish === 'webgpu' ? 'asked for in the address' : '';
  // The module can't tell a software adapter: browsers keep its name from it.
  const chosen = kernels === 'auto' && software ? 'software' : kernels;
  return { kind: 'webgpu', kernels: chosen, name, reason, fallback: false };
}

/** A worker with requests that are answered. */
export class Engine {
  #worker;
  #waiting = new Map();
  #seq = 0;
  /** Why there is no worker any more. */
  #end = null;
  #onProgress;
  #onLost;

  /**
   * @param {{onProgress: (message: object) => void, onLost: (error: Error) => void}} callbacks
   *   `onLost` is called once, when the worker is of no more use
   */
  constructor({ onProgress, onLost }) {
    this.#onProgress = onProgress;
    this.#onLost = onLost;
    this.#worker = new Worker(new URL('./worker.js', import.meta.url), { type: 'module' });
    this.#worker.addEventListener('message', ({ data }) => this.#take(data));
    this.#worker.addEventListener('error', (event) => {
      event.preventDefault();
      this.#lose(coded('worker', event.message || 'the worker could not be started'));
    });
  }

  open({ kind, kernels }, preparation) {
    return this.ask('init', { version: VERSION, device: kind, kernels, preparation });
  }

  /** Sends a request; the answer is the promise's value. */
  ask(type, fields = {}, transfer = []) {
    const worker = this.#worker;
    if (!worker) return Promise.reject(this.#end);
    const seq = ++this.#seq;
    return new Promise((resolve, reject) => {
      this.#waiting.set(seq, { resolve, reject });
      worker.postMessage({ type, seq, ...fields }, transfer);
    });
  }

  /** Ends the worker without a word: what a crash looks like, and how a lost one is given up. */
  kill(error = coded('worker', 'the worker has ended')) {
    this.#worker?.terminate();
    this.#worker = null;
    this.#end ??= error;
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }

  #take(message) {
    if (message.type === 'progress') {
      this.#onProgress(message);
      return;
    }
    const waiting = this.#waiting.get(message.seq);
    this.#waiting.delete(message.seq);
    if (message.type !== 'error') {
      waiting?.resolve(message);
      return;
    }
    const error = coded(message.code, message.message);
    waiting?.reject(error);
    // A trapped module and a lost device answer nothing sensible any more.
    if (['worker', 'memory', 'device-lost', 'device'].includes(message.code)) this.#lose(error);
  }

  #lose(error) {
    if (!this.#worker) return;
    this.kill(error);
    this.#onLost(error);
  }
}
