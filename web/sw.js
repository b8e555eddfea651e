/** Keeps the page's own files, so that it opens without a network. Models are kept by the page. */

const CACHE = 'emotionclip-page-1';

self.addEventListener('install', () => self.skipWaiting());
self.addEventListener('activate', (event) => event.waitUntil(self.clients.claim()));

self.addEventListener('fetch', (event) => {
  const url = new URL(event.request.url);
  const own = url.origin === self.location.origin && event.request.method === 'GET';
  const isModel = url.pathname.includes('/models/') && !url.pathname.endsWith('/index.json');
  if (own && !isModel) event.respondWith(answer(event.request));
});

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
