/** Where a model's files come from: the page's own folder, its cache, or the visitor's disk. */

import { coded } from './messages.js';

const CACHE = 'emotionclip-models-1';
const INDEX = new URL('../models/index.json', import.meta.url);

/** The bundled models: `[{id, name}, …]`. */
export async function bundledModels() {
  const response = await fetch(INDEX);
  if (!response.ok) throw coded('model', `models/index.json can't be fetched (${response.status})`);
  return (await response.json()).models;
}

/** Bytes of a model's files, by its manifest. */
export async function sizeOf(model) {
  const manifest = JSON.parse(new TextDecoder().decode(await model.read('model.json', () => {})));
  return Object.values(manifest.files).reduce((sum, { bytes }) => sum + bytes, 0);
}

/** The origins that models may come from: the page's own and those its build allowed. */
export function allowedOrigins() {
  const policy = document.querySelector('meta[http-equiv="Content-Security-Policy"]')?.content ?? '';
  const sources = policy.split(';').map((rule) => rule.trim().split(/\s+/)).find(([name]) => name === 'connect-src') ?? [];
  return [location.origin, ...sources.slice(1).filter((source) => source.includes('://'))];
}

/**
 * A model from a folder of the page's own origin, or of one that the page's policy allows.
 * @param {string} folder an address, or a path relative to the page
 */
export function modelAt(folder) {
  const plain = folder.trim().replace(/model\.json$/, '');
  let base;
  try {
    base = new URL(plain.endsWith('/') ? plain : `${plain}/`, document.baseURI);
  } catch {
    throw coded('model', `“${folder}” is no address: give that of the folder that \`trainer export --format web\` wrote`);
  }
  const origins = allowedOrigins();
  if (!origins.includes(base.origin)) {
    const where = origins.length > 1 ? `${origins.join(', ')}` : `its own address, ${origins[0]}`;
    throw coded('model', `this page may fetch models from ${where} only; download the files and open them here instead`);
  }
  return {
    id: folder,
    name: base.pathname.split('/').at(-2) ?? folder,
    read: (file, onProgress, fresh) => cachedFetch(new URL(file, base), onProgress, fresh),
  };
}

export const bundledModel = (id) => ({ ...modelAt(new URL(`${id}/`, INDEX).href), id });

/**
 * A model from files that were dropped or chosen.
 * @param {Iterable<File>} files
 */
export function modelFromFiles(files) {
  const byName = new Map([...files].map((file) => [file.name, file]));
  if (!byName.has('model.json')) {
    throw coded('model', 'no model.json among the files: choose all files of the folder that `trainer export --format web` writes');
  }
  return {
    name: 'your files',
    async read(name, onProgress) {
      const file = byName.get(name);
      if (!file) throw coded('model', `${name}: not among the files; choose all files of the exported folder`);
      const content = await file.arrayBuffer();
      onProgress({ loaded: content.byteLength, total: content.byteLength, cached: true });
      return content;
    },
  };
}

/** Whether the last copy could be kept; false once the disk's quota is used up. */
export const storage = { full: false };

/** Fetches with progress in bytes, from the cache where it has the file; `fresh` passes it over. */
async function cachedFetch(url, onProgress, fresh) {
  const cache = await openCache();
  const isManifest = url.pathname.endsWith('/model.json');
  // The manifest says which files are right, so it has to be the newest that can be had.
  const kept = fresh ? undefined : await cache?.match(url);
  if (kept && !isManifest) return consume(kept, true, onProgress);
  let response;
  try {
    response = await fetch(url, { cache: 'no-cache' });
  } catch (error) {
    if (kept) return consume(kept, true, onProgress);
    throw coded('model', `${nameOf(url)} can't be fetched: ${error.message}`);
  }
  if (!response.ok) {
    throw coded('model', `${nameOf(url)} can't be fetched: the server says ${response.status}`);
  }
  const content = await consume(response, false, onProgress);
  await keep(cache, url, content);
  return content;
}

export async function forgetAll() {
  await globalThis.caches?.delete(CACHE);
}

async function openCache() {
  try {
    return await globalThis.caches?.open(CACHE);
  } catch {
    return undefined; // Private windows may have none.
  }
}

async function keep(cache, url, content) {
  try {
    await cache?.put(url, new Response(content, { headers: { 'content-length': content.byteLength } }));
  } catch {
    storage.full = true; // The quota is used up; the model runs from memory all the same.
  }
}

async function consume(response, cached, onProgress) {
  const encoded = response.headers.get('content-encoding');
  const total = encoded ? 0 : Number(response.headers.get('content-length') ?? 0);
  const chunks = [];
  let loaded = 0;
  for (const reader = response.body.getReader(); ;) {
    const { done, value } = await reader.read();
    if (done) break;
    chunks.push(value);
    loaded += value.byteLength;
    onProgress({ loaded, total, cached });
  }
  return new Blob(chunks).arrayBuffer();
}

const nameOf = (url) => decodeURIComponent(url.pathname.split('/').at(-1));

/**
 * Loads a model into the engine, file by file.
 * @returns the engine's `ready` message
 */
export async function load(engine, model, labels, onProgress) {
  const used = { cache: false };
  try {
    return await loadOnce(engine, model, labels, onProgress, false, used);
  } catch (error) {
    // A copy may be damaged, or of another version than the manifest.
    if (error.code !== 'model' || !used.cache || !model.id) throw error;
    return loadOnce(engine, model, labels, onProgress, true, used);
  }
}

async function loadOnce(engine, model, labels, onProgress, fresh, used) {
  const manifest = await model.read('model.json', () => {}, fresh);
  const { files } = await engine.ask('loadModel', { manifest });
  const total = files.reduce((sum, [, bytes]) => sum + bytes, 0);
  let before = 0;
  for (const [name, bytes] of files) {
    const content = await model.read(name, ({ loaded, cached }) => {
      used.cache ||= cached;
      onProgress({ file: name, loaded: before + Math.min(loaded, bytes), total, cached });
    }, fresh);
    await engine.ask('addFile', { name, content }, [content]);
    before += bytes;
  }
  return engine.ask('finishModel', { labels });
}
