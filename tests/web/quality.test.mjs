/** Accessible, small and steady. */

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';
import zlib from 'node:zlib';
import { browse, env, nextReading, open, out, repository } from './harness.mjs';

const axeSource = fs.readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
/** Most bytes in brotli: what the issue allows; of the CPU's module what ONNX Runtime Web's weighs. */
const [MOST_OF_GPU, MOST_OF_CPU, MOST_OF_SCRIPTS] = [2_800_000, 2_400_000, 60_000];

let browser;
before(async () => { browser = await browse(); });
after(() => browser?.close());

for (const colorScheme of ['light', 'dark']) {
  for (const width of [360, 1280]) {
    test(`axe finds nothing in ${colorScheme} at ${width} pixels, and nothing is cut off`, async () => {
      const page = await open(browser, { context: { colorScheme, viewport: { width, height: 800 }, bypassCSP: true } });
      await page.screenshot({ path: out(`welcome-${colorScheme}-${width}.png`), fullPage: true });
      await page.click('#start-sample');
      await nextReading(page, 4);
      await page.screenshot({ path: out(`sample-${colorScheme}-${width}.png`), fullPage: true });
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), width);
      await page.evaluate(axeSource);
      const { violations } = await page.evaluate(() => globalThis.axe.run());
      const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target).join(', ')}`);
      assert.deepEqual(found, []);
      await page.context().close();
    });
  }
}

test('everything can be reached with the keyboard, and where one is shows', async () => {
  const page = await open(browser);
  const reached = new Set();
  for (let press = 0; press < 60; press += 1) {
    await page.keyboard.press('Tab');
    reached.add(await page.evaluate(() => document.activeElement.id || document.activeElement.dataset.source || document.activeElement.dataset.subject || document.activeElement.className));
  }
  for (const id of ['start-camera', 'start-sample', 'camera', 'picture', 'whole', 'box', 'label-new', 'template', 'explain', 'teach-name', 'models', 'model-open']) {
    assert.ok(reached.has(id), `${id} is not reached: ${[...reached]}`);
  }
  await page.context().close();
});

test('memory stays what it is over 500 frames', { timeout: 600_000 }, async () => {
  const page = await open(browser);
  await page.click('#start-sample');
  await nextReading(page, 40);
  const heap = async () => page.evaluate(() => globalThis.readings.at(-1).heap);
  const before = await heap();
  for (let frames = 0; frames < 500; frames += 50) {
    await nextReading(page, 50);
    await page.evaluate(() => globalThis.readings.splice(0, 40));
  }
  const after = await heap();
  fs.appendFileSync(out('memory.txt'), `wasm heap after 40 frames ${before}, after 540 ${after}\n`);
  assert.equal(after, before, 'the WebAssembly heap grew');
  await page.context().close();
});

test('the page is small', async () => {
  const dist = repository('dist');
  const brotli = (files) => files.reduce((sum, file) => sum + zlib.brotliCompressSync(fs.readFileSync(path.join(dist, file))).length, 0);
  const modules = ['engine-gpu', 'engine-cpu', 'engine-cpu-relaxed'];
  const scripts = [...modules.map((name) => `${name}.js`), 'sw.js', ...fs.readdirSync(path.join(dist, 'js')).map((name) => `js/${name}`)];
  const found = { scripts: brotli(scripts), page: brotli(['index.html', 'style.css', 'icon.svg', 'manifest.webmanifest']) };
  for (const name of modules) {
    found[name] = brotli([`${name}_bg.wasm`]);
    found[`${name} raw`] = fs.statSync(path.join(dist, `${name}_bg.wasm`)).size;
  }
  fs.appendFileSync(out('weight.txt'), `bytes in brotli (raw where said): ${JSON.stringify(found)}\n`);
  assert.ok(found['engine-gpu'] <= MOST_OF_GPU, `the engine for a graphics processor is ${found['engine-gpu']} bytes`);
  for (const name of ['engine-cpu', 'engine-cpu-relaxed']) assert.ok(found[name] <= MOST_OF_CPU, `${name} is ${found[name]} bytes`);
  assert.ok(found.scripts <= MOST_OF_SCRIPTS, `the scripts are ${found.scripts} bytes`);
});

test('the page works in a sub-path of its host, and asks for nothing outside of it', async () => {
  const below = 'some/where/';
  const page = await open(browser, {
    query: below,
    prepare: (opened) => opened.route(`${env('PAGE_URL')}${below}**`, async (route) => {
      const response = await route.fetch({ url: route.request().url().replace(below, '') });
      await route.fulfill({ response });
    }),
  });
  await page.click('#start-sample');
  await nextReading(page, 2);
  const outside = page.log.requests.map(({ url }) => url).filter((url) => !/^(blob|data):/.test(url) && !url.startsWith(`${env('PAGE_URL')}${below}`));
  assert.deepEqual(outside, []);
  await page.context().close();
});

test('nothing is kept but the page’s own files', async () => {
  const page = await open(browser);
  await page.click('#start-sample');
  await nextReading(page);
  const kept = await page.evaluate(async () => ({
    local: localStorage.length, session: sessionStorage.length, cookies: document.cookie,
    databases: (await indexedDB.databases()).length,
    caches: (await Promise.all((await caches.keys()).map(async (name) => (await (await caches.open(name)).keys()).map(({ url }) => url)))).flat(),
  }));
  assert.deepEqual([kept.local, kept.session, kept.cookies, kept.databases], [0, 0, '', 0]);
  assert.ok(kept.caches.every((url) => url.startsWith(env('PAGE_URL'))), `${kept.caches}`);
  await page.context().close();
});
