/** Where pictures, models and probes come from: cameras, addresses, files; and what loading says. */

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { browse, env, lastReading, nextReading, open, out, repository } from './harness.mjs';

const browsers = [];
const start = async (options) => {
  const browser = await browse(options);
  browsers.push(browser);
  return browser;
};
after(() => Promise.all(browsers.map((browser) => browser.close())));

const status = (page, pattern) => page.waitForFunction(
  (source) => new RegExp(source).test(document.querySelector('#model-status').textContent),
  pattern.source,
);

/** Answers for a host of models, as one that lets every page fetch does. */
const host = (page, origin, folder) => page.route(`${origin}/**`, (route) => {
  const file = path.join(folder, path.basename(new URL(route.request().url()).pathname));
  return fs.existsSync(file)
    ? route.fulfill({ path: file, headers: { 'access-control-allow-origin': '*' } })
    : route.fulfill({ status: 404 });
});

/** As a build with `--allow-origin` makes the page: one more source in its policy. */
const allow = (origin) => (page) => page.route(env('PAGE_URL'), async (route) => {
  const response = await route.fetch();
  const more = (text) => text.replace("connect-src 'self'", `connect-src 'self' ${origin}`);
  const headers = response.headers();
  headers['content-security-policy'] = more(headers['content-security-policy']);
  delete headers['content-length'];
  await route.fulfill({ status: 200, headers, body: more(await response.text()) });
});

test('one of several cameras is chosen, and an unplugged one is said to be gone', async () => {
  const page = await open(await start({ camera: 'two' }));
  await page.click('#start-camera');
  await nextReading(page);
  assert.equal(await page.locator('#cameras option').count(), 2);
  const used = () => page.evaluate(() => document.querySelector('#video').srcObject.getVideoTracks()[0].getSettings().deviceId);
  const before = await used();
  const other = await page.locator('#cameras option:not(:checked)').getAttribute('value');
  await page.selectOption('#cameras', other);
  await page.waitForFunction((id) => document.querySelector('#video').srcObject?.getVideoTracks()[0].getSettings().deviceId === id, other);
  assert.notEqual(await used(), before);
  await nextReading(page, 2);

  // What a browser does when the plug is pulled.
  await page.evaluate(() => {
    const [track] = document.querySelector('#video').srcObject.getVideoTracks();
    track.stop();
    track.dispatchEvent(new Event('ended'));
  });
  await page.waitForFunction(() => /switched off or unplugged/.test(document.querySelector('#banner-text').textContent));
  assert.ok(await page.isVisible('#welcome'));
  assert.equal(await page.getAttribute('[data-source="camera"]', 'aria-pressed'), 'false');
  await page.click('#banner-action');
  await nextReading(page, 2);
});

test('loading counts every byte of the model, and says when it has a copy', async () => {
  const bytes = fs.readdirSync(repository('web/models/nano'))
    .filter((name) => /\.safetensors$|^merges\.txt$|^config\.json$|^card\.json$|^selftest\.json$/.test(name))
    .reduce((sum, name) => sum + fs.statSync(repository('web/models/nano', name)).size, 0);
  const prepare = (page) => page.addInitScript(() => {
    globalThis.told = [];
    addEventListener('DOMContentLoaded', () => {
      const bar = document.querySelector('#loading-bar');
      const note = () => globalThis.told.push({
        phase: document.querySelector('#loading-phase').textContent, value: bar.value, max: bar.max, detail: document.querySelector('#loading-detail').textContent,
      });
      new MutationObserver(note).observe(document.querySelector('#loading'), { subtree: true, childList: true, attributes: true, characterData: true });
    });
  });
  const page = await open(await start(), { prepare });
  const model = async () => (await page.evaluate(() => globalThis.told)).filter(({ phase, value }) => phase === 'Loading the model' && value > 0);
  const told = await model();
  assert.ok(told.length >= 2, `${told.length}`);
  for (let index = 1; index < told.length; index += 1) assert.ok(told[index].value >= told[index - 1].value, 'never backwards');
  assert.equal(told.at(-1).value, told.at(-1).max);
  assert.equal(told.at(-1).max, bytes);
  assert.ok(told.every(({ detail }) => !/cached/.test(detail)));
  await page.reload();
  await page.waitForSelector('html[data-ready]', { timeout: 240_000 });
  assert.match((await model()).at(-1).detail, /cached/);
});

test('a model comes from an address of the page’s own, and from elsewhere only where its build allowed it', async () => {
  const page = await open(await start());
  await page.fill('#model-url', 'models/mini/model.json');
  await page.click('#model-address button');
  await status(page, /mini loaded in/);
  assert.match(page.url(), /model=models%2Fmini/);
  const asked = page.log.requests.length;
  await page.fill('#model-url', 'https://models.example.org/nano/');
  await page.click('#model-address button');
  await status(page, /may fetch models from its own address/);
  await page.fill('#model-url', 'http://[');
  await page.click('#model-address button');
  await status(page, /is no address/);
  // A browser asks for the page's icon when it likes.
  const since = page.log.requests.slice(asked).map(({ url }) => url).filter((url) => !url.endsWith('icon.svg'));
  assert.deepEqual(since, [], 'nothing was asked of anyone');

  const elsewhere = 'https://models.example.org';
  const allowing = await open(await start(), { hash: '#model=mini', prepare: allow(elsewhere) });
  await host(allowing, elsewhere, repository('web/models/nano'));
  await allowing.fill('#model-url', `${elsewhere}/nano/`);
  await allowing.click('#model-address button');
  await status(allowing, /nano loaded in/);
  assert.match(await allowing.textContent('#trained'), /drawn figures/);
});

test('a probe of valence and arousal is drawn on its plane', async () => {
  const page = await open(await start());
  await page.click('#start-camera');
  const width = (await nextReading(page)).embedding.length;
  // What `trainer probe` writes of a ridge regression: two outputs that read two of the numbers.
  const weight = new Float32Array(2 * width);
  weight[0] = 1;
  weight[width + 1] = -1;
  const tensors = [new Uint8Array(weight.buffer), new Uint8Array(new Float32Array([0.1, 0.2]).buffer)];
  const header = JSON.stringify({
    __metadata__: { emotionclip_probe: JSON.stringify({ version: 1, kind: 'ridge', labels: ['valence', 'arousal'], normalise: true, model_hash: null }) },
    weight: { dtype: 'F32', shape: [2, width], data_offsets: [0, 8 * width] },
    bias: { dtype: 'F32', shape: [2], data_offsets: [8 * width, 8 * width + 8] },
  });
  const padded = Buffer.from(header.padEnd(Math.ceil(header.length / 8) * 8));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(padded.length));
  const file = out('affect.safetensors');
  fs.writeFileSync(file, Buffer.concat([length, padded, ...tensors]));
  await page.setInputFiles('#probe-file', file);
  await page.waitForFunction(() => globalThis.readings.at(-1).probe);
  const { probe, embedding } = await lastReading(page);
  assert.deepEqual(probe.labels, ['valence', 'arousal']);
  assert.ok(Math.abs(probe.values[0] - (embedding[0] + 0.1)) < 1e-5, `${probe.values}`);
  assert.ok(Math.abs(probe.values[1] - (0.2 - embedding[1])) < 1e-5, `${probe.values}`);
  assert.ok(await page.isVisible('#affect-plane'));
  assert.match(await page.textContent('#affect-text'), /valence.*arousal/is);
  await page.locator('#probe-readings').screenshot({ path: out('affect.png') });
});
