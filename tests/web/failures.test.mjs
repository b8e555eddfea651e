/** Every way the page can fail, forced: the visitor is told, and goes on where that is possible. */

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { browse, faults, nextReading, open, pictureFile, showPicture } from './harness.mjs';

const browsers = [];
const start = async (options) => {
  const browser = await browse(options);
  browsers.push(browser);
  return browser;
};
after(() => Promise.all(browsers.map((browser) => browser.close())));

const banner = (page, pattern) => page.waitForFunction(
  (source) => new RegExp(source).test(document.querySelector('#banner-text').textContent) && !document.querySelector('#banner').hidden,
  pattern.source,
);

test('a software graphics processor is not used, and the page says so', async () => {
  const page = await open(await start({ webgpu: true }));
  assert.equal(await page.getAttribute('html', 'data-ready'), 'cpu');
  await banner(page, /graphics processor in software/);
});

test('a lost graphics processor is set up again without a reload', async () => {
  const page = await open(await start({ webgpu: true }), { query: '?device=webgpu' });
  assert.equal(await page.getAttribute('html', 'data-ready'), 'webgpu');
  await showPicture(page, pictureFile());
  await page.evaluate(() => globalThis.emotionclip.loseDevice());
  await banner(page, /graphics processor was lost/);
  await page.waitForSelector('html[data-ready]', { timeout: 240_000 });
  await showPicture(page, pictureFile());
});

test('a worker that dies is started again, and the camera goes on', async () => {
  const page = await open(await start());
  await page.click('#start-camera');
  await nextReading(page, 2);
  await page.evaluate(() => globalThis.emotionclip.killWorker());
  await banner(page, /The engine stopped; it was started again/);
  await nextReading(page, 2);
});

test('a model for which there is no memory is refused, and the old one goes on', async () => {
  const page = await open(await start());
  await page.click('#start-sample');
  await nextReading(page);
  // A frame on its way would find no memory before the model does.
  await page.click('#pause');
  await page.waitForTimeout(1500);
  // Everything the browser gives is taken, so that the next model really finds none.
  await page.evaluate(() => globalThis.emotionclip.fillMemory());
  await page.selectOption('#models', 'mini');
  await banner(page, /The engine ran out of memory; it was started again/);
  await page.waitForFunction(() => /no more memory.* stays in use/.test(document.querySelector('#model-status').textContent));
  await page.waitForSelector('html[data-ready]', { timeout: 240_000 });
  assert.equal(await page.inputValue('#models'), 'nano');
  await page.click('#pause');
  await nextReading(page, 2);
});

test('a camera that is refused or missing leaves the other sources', async () => {
  for (const [camera, pattern] of [['denied', /was not allowed/], ['none', /No camera was found/]]) {
    const page = await open(await start({ camera }), { context: { permissions: [] } });
    await page.click('#start-camera');
    await banner(page, pattern);
    assert.ok(await page.isVisible('#welcome'));
    await page.click('#start-sample');
    await nextReading(page);
  }
});

test('a model that is missing, cut or foreign is named and can be tried again', async () => {
  const browser = await start();
  const shard = '**/models/nano/*.safetensors';
  const cases = [
    [(route) => route.fulfill({ status: 404, body: 'gone' }), /safetensors can’t be fetched|safetensors can't be fetched: the server says 404/],
    [async (route) => {
      const response = await route.fetch();
      await route.fulfill({ response, body: (await response.body()).subarray(0, 9999) });
    }, /is not the file that model\.json describes/],
  ];
  for (const [answer, pattern] of cases) {
    const page = await open(browser, { ready: false, prepare: (opened) => opened.route(shard, answer) });
    await banner(page, pattern);
    assert.equal(await page.isVisible('#loading'), false);
    await page.unroute(shard);
    await page.click('#banner-action');
    await page.waitForSelector('html[data-ready]');
    await showPicture(page, pictureFile());
    await page.context().close();
  }
  const page = await open(browser, {
    ready: false,
    prepare: (opened) => opened.route('**/models/nano/model.json', (route) => route.fulfill({ json: { format: 'other' } })),
  });
  await banner(page, /model\.json: /);
  await page.context().close();
});

test('an engine that can’t be fetched is named', async () => {
  const page = await open(await start(), {
    ready: false,
    prepare: (opened) => opened.route('**/*.wasm', (route) => route.fulfill({ status: 503, body: '' })),
  });
  await banner(page, /page can’t start: the CPU engine can’t be fetched: the server says 503/);
  await page.unroute('**/*.wasm');
  await page.click('#banner-action');
  await page.waitForSelector('html[data-ready]');
});

test('with no room for a copy the model runs from memory', async () => {
  const page = await open(await start(), {
    prepare: (opened) => opened.addInitScript(() => {
      Cache.prototype.put = () => Promise.reject(new DOMException('full', 'QuotaExceededError'));
    }),
  });
  await banner(page, /no room to keep the model/);
  await showPicture(page, pictureFile());
});

test('a damaged copy in the cache is fetched again', async () => {
  const browser = await start();
  const page = await open(browser);
  await page.evaluate(async () => {
    const cache = await caches.open('emotionclip-models-1');
    for (const request of await cache.keys()) {
      if (request.url.endsWith('.safetensors')) await cache.put(request, new Response('damaged'));
    }
  });
  delete page.log.requests;
  page.log.requests = [];
  await page.reload();
  await page.waitForSelector('html[data-ready]');
  await showPicture(page, pictureFile());
});

test('a file that is no picture is named, and what was shown stays', async () => {
  const page = await open(await start());
  await showPicture(page, pictureFile());
  await page.setInputFiles('#picture-file', { name: 'broken.png', mimeType: 'image/png', buffer: Buffer.from('nothing') });
  await banner(page, /broken\.png is no picture/);
  assert.ok(await page.isVisible('#picture'));
  assert.deepEqual(faults(page), []);
});
