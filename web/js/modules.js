/** The engine's three modules, of which a visitor's device needs one: fetched with progress, kept for the next time. */

import { coded } from './messages.js';

const CACHE = 'emotionclip-engines-1';

/**
 * A module of one function, that multiplies and adds vectors in one instruction: `f32x4.relaxed_madd` of
 * WebAssembly's relaxed vectors. A browser has it if it takes this for a module.
 */
const RELAXED = Uint8Array.of(
  0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00, // magic number, version
  0x01, 0x05, 0x01, 0x60, 0x00, 0x01, 0x7b, // types: from nothing to a vector
  0x03, 0x02, 0x01, 0x00, // functions: one, of that type
  0x0a, 0x13, 0x01, 0x11, 0x00, // code: one body of 17 bytes, without locals
  0x41, 0x00, 0xfd, 0x0f, 0x41, 0x00, 0xfd, 0x0f, 0x41, 0x00, 0xfd, 0x0f, // thrice: i32.const 0, i8x16.splat
  0xfd, 0x85, 0x02, // f32x4.relaxed_madd
  0x0b, // end
);

/** File name of each module, and how it is spoken of. */
const MODULES = {
  webgpu: { name: 'engine-gpu', words: 'the engine for the graphics processor' },
  cpu: {
    name: WebAssembly.validate(RELAXED) ? 'engine-cpu-relaxed' : 'engine-cpu',
    words: 'the CPU engine',
  },
};

export const wordsFor = (kind) => MODULES[kind].words;

export const fileFor = (kind) => MODULES[kind].name;

/**
 * Opens a module.
 * @param {'webgpu'|'cpu'} kind
 * @param {(progress: {loaded: number, total: number, cached: boolean}) => void} onProgress in bytes; what a
 *   server has compressed has no known length, and a total of 0
 * @returns {Promise<{wasm: object, Engine: object}>}
 */
export async function openModule(kind, onProgress) {
  const { name, words } = MODULES[kind];
  const { response, cached } = await find(new URL(`../${name}_bg.wasm`, import.meta.url), words);
  const isCompressed = response.headers.has('content-encoding');
  const total = isCompressed ? 0 : Number(response.headers.get('content-length') ?? 0);
  let loaded = 0;
  const counter = new TransformStream({
    transform(chunk, controller) {
      loaded += chunk.byteLength;
      onProgress({ loaded, total, cached });
      controller.enqueue(chunk);
    },
  });
  const counted = new Response(response.body.pipeThrough(counter), {
    headers: { 'content-type': 'application/wasm' },
  });
  let glue;
  try {
    glue = await import(`../${name}.js`);
  } catch {
    throw missing(words);
  }
  return { wasm: await glue.default({ module_or_path: counted }), Engine: glue.Engine };
}

/** The server's file, or the copy of it: where the server has no other one, or can't be asked. */
async function find(url, words) {
  const cache = await openCache();
  const kept = await cache?.match(url);
  let response;
  try {
    response = await fetch(url, { cache: 'no-cache' });
  } catch {
    if (kept) return { response: kept, cached: true };
    throw missing(words);
  }
  if (kept && (!response.ok || isSame(kept, response))) {
    response.body?.cancel();
    return { response: kept, cached: true };
  }
  if (!response.ok) throw coded('engine', `${words} can’t be fetched: the server says ${response.status}`);
  // Beside what compiles it. Without room for a copy it is fetched again next time.
  cache?.put(url, response.clone()).catch(() => {});
  return { response, cached: false };
}

const missing = (words) => coded('engine', navigator.onLine
  ? `${words} can’t be fetched`
  : `${words} is not kept on this device yet, and there is no network to fetch it. Go online once and try again`);

/** Whether two responses are of the same version of a file, as far as the server says. */
function isSame(kept, response) {
  const name = ['etag', 'last-modified'].find((header) => response.headers.has(header));
  return name !== undefined && kept.headers.get(name) === response.headers.get(name);
}

async function openCache() {
  try {
    return await self.caches?.open(CACHE);
  } catch {
    return undefined; // Private windows may have none.
  }
}
