/** The engine's three modules: one is loaded, another when it is needed; and both without a network. */

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { browse, env, faults, nextReading, open, pictureFile, showPicture } from './harness.mjs';

const browsers = [];
const start = async (options) => {
  const browser = await browse(options);
  browsers.push(browser);
  return browser;
};
after(() => Promise.all(browsers.map((browser) => browser.close())));

/** The modules that were asked for, in that order. */
const asked = (page) => page.log.requests.map(({ url }) => /engine-([a-z-]+)_bg\.wasm$/.exec(url)?.[1]).filter(Boolean);

/** Writes down what the page says while it loads. */
const watched = (page) => page.addInitScript(() => {
  globalThis.said = [];
  addEventListener('DOMContentLoaded', () => {
    const [phase, detail] = ['#loading-phase', '#loading-detail'].map((id) => document.querySelector(id));
    new MutationObserver(() => globalThis.said.push(`${phase.textContent}: ${detail.textContent}`))
      .observe(detail, { childList: true, characterData: true, subtree: true });
  });
});

/** What was said last of the engine's bytes. */
const saidOfEngine = (page) => page.evaluate(() => globalThis.said.findLast((text) => /engine.*: \d/.test(text)));

const banner = (page, pattern) => page.waitForFunction(
  (source) => new RegExp(source).test(document.querySelector('#banner-text').textContent) && !document.querySelector('#banner').hidden,
  pattern.source,
);

/** Waits until the page's own files are kept. */
const isKept = (page) => page.evaluate(() => navigator.serviceWorker.ready.then(({ active }) => active.state === 'activated'
  || new Promise((resolve) => { active.onstatechange = () => active.state === 'activated' && resolve(true); })));

const offline = { context: { serviceWorkers: 'allow' } };

for (const [device, wanted] of [['webgpu', 'gpu'], ['cpu', 'cpu-relaxed']]) {
  test(`on ${device} the module ${wanted} is loaded and no other, in bytes, and once`, async () => {
    const page = await open(await start({ webgpu: true }), { query: `?device=${device}`, prepare: watched });
    assert.deepEqual(asked(page), [wanted]);
    const [, phase, loaded, total] = /^(.*): ([\d.]+) MB of ([\d.]+) MB$/.exec(await saidOfEngine(page));
    assert.equal(phase, device === 'cpu' ? 'Loading the CPU engine' : 'Loading the engine for the graphics processor');
    assert.equal(loaded, total);
    await page.reload();
    await page.waitForSelector('html[data-ready]', { timeout: 240_000 });
    assert.equal(await saidOfEngine(page), `${phase}: ${total} MB of ${total} MB, cached`);
    await page.context().close();
  });
}

test('a browser without relaxed vectors gets the module that needs none, and it reads the same', async () => {
  const browser = await start();
  const readings = [];
  for (const [wanted, cannot] of [['cpu-relaxed', ''], ['cpu', 'WebAssembly.validate = () => false;']]) {
    const page = await open(browser, {
      prepare: (opened) => opened.context().route('**/js/modules.js', async (route) => {
        const response = await route.fetch();
        await route.fulfill({ response, body: `${cannot}\n${await response.text()}` });
      }),
    });
    readings.push(await showPicture(page, pictureFile()));
    assert.deepEqual(asked(page), [wanted]);
    assert.deepEqual(faults(page), []);
    await page.context().close();
  }
  const [relaxed, plain] = readings.map(({ probabilities }) => probabilities);
  // Each product of a sum is rounded once or twice, so embeddings differ by some 1e-6; times the scale of
  // logits, at most 100, that is the most that a probability can differ by.
  for (const [index, probability] of plain.entries()) assert.ok(Math.abs(probability - relaxed[index]) < 1e-4, `${plain} ${relaxed}`);
});

test('a software graphics processor costs a visitor nothing but the CPU’s module', async () => {
  const page = await open(await start({ webgpu: true }));
  assert.deepEqual(asked(page), ['cpu-relaxed']);
  await page.context().close();
});

test('the CPU’s module comes once the graphics processor is given up', async () => {
  const page = await open(await start({ webgpu: true }), { query: '?device=webgpu' });
  for (const loss of [1, 2, 3]) {
    await page.evaluate(() => globalThis.emotionclip.loseDevice());
    await page.waitForFunction(() => !document.documentElement.dataset.ready);
    await page.waitForSelector('html[data-ready]', { timeout: 240_000 });
    assert.equal(await page.getAttribute('html', 'data-ready'), loss < 3 ? 'webgpu' : 'cpu');
  }
  await banner(page, /again and again, so the page goes on with the CPU/);
  assert.deepEqual(asked(page), ['gpu', 'gpu', 'gpu', 'cpu-relaxed']);
  await showPicture(page, pictureFile());
  await page.context().close();
});

test('a GPU’s module that can’t be fetched is replaced by the CPU’s, and the page says so', async () => {
  const page = await open(await start({ webgpu: true }), {
    query: '?device=webgpu',
    prepare: (opened) => opened.route('**/engine-gpu_bg.wasm', (route) => route.fulfill({ status: 404, body: '' })),
  });
  assert.equal(await page.getAttribute('html', 'data-ready'), 'cpu');
  await banner(page, /Running on the CPU instead.*graphics processor can’t be fetched: the server says 404/);
  await page.context().close();
});

test('after the first visit the page opens without a network, sample clip and all', async () => {
  const page = await open(await start(), offline);
  await isKept(page);
  await page.context().setOffline(true);
  await page.reload();
  await page.waitForSelector('html[data-ready]', { timeout: 240_000 });
  await page.click('#start-sample');
  await nextReading(page, 2);
  await showPicture(page, pictureFile());
  await page.context().close();
});

test('without a network an engine that was never needed is named, and fetched once there is one', async () => {
  const page = await open(await start({ webgpu: true }), { ...offline, query: '?device=webgpu' });
  await isKept(page);
  await page.context().setOffline(true);
  await page.goto(`${env('PAGE_URL')}?device=cpu#model=nano`);
  await banner(page, /page can’t start: the CPU engine is not kept on this device yet, and there is no network/);
  await page.context().setOffline(false);
  await page.click('#banner-action');
  await page.waitForSelector('html[data-ready="cpu"]', { timeout: 240_000 });
  await showPicture(page, pictureFile());
  await page.context().close();
});

test('without a network and the GPU’s module the page goes on with the CPU’s, if it was used before', async () => {
  const page = await open(await start({ webgpu: true }), { ...offline, query: '?device=cpu' });
  await isKept(page);
  await page.context().setOffline(true);
  await page.goto(`${env('PAGE_URL')}?device=webgpu#model=nano`);
  await page.waitForSelector('html[data-ready="cpu"]', { timeout: 240_000 });
  await banner(page, /Running on the CPU instead.*there is no network/);
  await page.context().close();
});
