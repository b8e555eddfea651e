/**
 * Keeps the page's own files, so that it opens without a network after the first visit. Models and the
 * engine's modules are kept by who loads them: of the three modules only the one that was needed.
 */

const CACHE = 'emotionclip-page-2';

const FILES = [
  './', 'style.css', 'icon.svg', 'manifest.webmanifest', 'models/index.json', 'clips/sample.webm',
  'engine-gpu.js', 'engine-cpu.js', 'engine-cpu-relaxed.js',
  'js/app.js', 'js/colours.js', 'js/engine.js', 'js/labels.js', 'js/messages.js', 'js/models.js', 'js/modules.js',
  'js/pixels.js', 'js/readings.js', 'js/sources.js', 'js/stage.js', 'js/teach.js', 'js/timeline.js', 'js/view.js',
  'js/worker.js',
];

self.addEventListener('install', (event) => {
  self.skipWaiting();
  event.waitUntil(keepAll());
});
self.addEventListener('activate', (event) => event.waitUntil(begin()));

self.addEventListener('fetch', (event) => {
  const url = new URL(event.request.url);
  const own = url.origin === self.location.origin && event.request.method === 'GET';
  const isModel = url.pathname.includes('/models/') && !url.pathname.endsWith('/index.json');
  if (own && !isModel && !url.pathname.endsWith('.wasm')) event.respondWith(answer(event.request));
});

/** Without room for all of them the page works all the same, with a network. */
async function keepAll() {
  const cache = await caches.open(CACHE).catch(() => null);
  if (cache) await Promise.allSettled(FILES.map((file) => cache.add(file)));
}

/** Serves the page that is open too, and forgets what an earlier version kept. */
async function begin() {
  await self.clients.claim();
  const names = await caches.keys().catch(() => []);
  const old = names.filter((name) => name.startsWith('emotionclip-page-') && name !== CACHE);
  await Promise.all(old.map((name) => caches.delete(name)));
}

/** The network first, so that a new version shows at once; the copy when there is none. */
async function answer(request) {
  const cache = await caches.open(CACHE).catch(() => null);
  try {
    const response = await fetch(request);
    // Without a cache or room in it the page works all the same, with a network.
    if (response.ok && response.status === 200) await cache?.put(request, response.clone()).catch(() => {});
    return response;
  } catch (error) {
    const kept = await cache?.match(request, { ignoreSearch: true });
    if (kept) return kept;
    throw error;
  }
}
