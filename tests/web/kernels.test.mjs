/** The hand-written kernels in the browser: right in every tile set, and given up where they are not. */

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import { after, before, test } from 'node:test';
import { browse, cosine, faults, open, out, pictureFile, repository, showPicture } from './harness.mjs';

let browser;
let wanted;
before(async () => {
  browser = await browse({ webgpu: true });
  const page = await open(browser, { query: '?device=cpu' });
  wanted = (await showPicture(page, pictureFile())).embedding;
  await page.context().close();
});
after(() => browser.close());

/** The kernels in use read the picture as the CPU engine does. */
async function reads(page) {
  const { embedding } = await showPicture(page, pictureFile());
  assert.ok(cosine(embedding, wanted) >= 0.9999);
}

/** What the address asks for, and what is used then: a software adapter gets its own set by itself. */
const SETS = [['&kernels=gpu', 'gpu'], ['', 'software'], ['&kernels=plain', 'plain']];

for (const [query, tiles] of SETS) {
  test(`the ${tiles} kernels agree with their references, and read as the CPU does`, async () => {
    const page = await open(browser, { query: `?device=webgpu${query}` });
    assert.equal(await page.getAttribute('html', 'data-kernels'), tiles);
    assert.match(await page.textContent('#fact-device'), new RegExp(`${tiles} kernels`));
    for (let frame = 0; frame < 4; frame++) await reads(page);
    const [first, ...others] = await page.evaluate(() => globalThis.readings.map(({ totalMs }) => totalMs));
    const warm = others.sort((a, b) => a - b)[Math.floor(others.length / 2)];
    fs.appendFileSync(out('kernels.txt'), `${tiles} kernels, nano: first frame ${first.toFixed(0)} ms, warm ${warm.toFixed(0)} ms\n`);
    // Shaders are compiled while the model loads.
    assert.ok(first <= 3 * warm, `first frame ${first} ms, warm ${warm} ms`);
    const { comparisons } = await page.evaluate(() => globalThis.emotionclip.checkKernels());
    assert.ok(comparisons.length > 30, `${comparisons.length}`);
    assert.deepEqual(comparisons.filter(({ passed }) => !passed), []);
    assert.ok(comparisons.some(({ distance }) => distance > 0), 'two engines don’t agree to the bit');
    assert.deepEqual(faults(page), []);
    await page.context().close();
  });
}

/** Lets the page's worker change the shaders of which `isMeant` says so before the browser sees them. */
const spoil = (isMeant, change) => (page) => page.route('**/js/worker.js', async (route) => {
  const response = await route.fetch();
  const body = `{
    const create = GPUDevice.prototype.createShaderModule;
    const [isMeant, change] = [${isMeant}, ${change}];
    GPUDevice.prototype.createShaderModule = function (descriptor) {
      const code = isMeant(descriptor.code) ? change(descriptor.code) : descriptor.code;
      return create.call(this, { ...descriptor, code });
    };
  }\n${await response.text()}`;
  await route.fulfill({ response, body });
});
const isOurs = (code) => code.includes('fn finish(row: u32');

test('kernels that compute something else are replaced by burn’s own, and the page says so', async () => {
  const page = await open(browser, {
    query: '?device=webgpu',
    // The bias is lost, and the product with it.
    prepare: spoil(isOurs, (code) => code.replaceAll('y[at] = value', 'y[at] = value * 0.5 + 0.25')),
  });
  assert.equal(await page.getAttribute('html', 'data-ready'), 'webgpu');
  assert.equal(await page.getAttribute('html', 'data-kernels'), 'stock');
  assert.match(await page.textContent('#banner-text'), /“plain” kernels can’t be used here, so the page goes on with the “stock” ones/);
  await reads(page);
  await page.context().close();
});

test('kernels that don’t compile are replaced', async () => {
  const page = await open(browser, {
    query: '?device=webgpu&kernels=gpu',
    prepare: spoil((code) => code.includes('var<workgroup> tile_x'), (code) => `${code}\nfn broken() -> f32 { return; }`),
  });
  assert.equal(await page.getAttribute('html', 'data-kernels'), 'plain');
  assert.match(await page.textContent('#banner-text'), /“gpu” kernels can’t be used here, so the page goes on with the “plain” ones/);
  await reads(page);
  await page.context().close();
});

test('a graphics processor that compiles nothing is given up for the CPU', async () => {
  const page = await open(browser, {
    query: '?device=webgpu&kernels=stock',
    prepare: spoil(() => true, (code) => `${code}\nfn broken() -> f32 { return; }`),
  });
  assert.equal(await page.getAttribute('html', 'data-ready'), 'cpu');
  assert.match(await page.textContent('#banner-text'), /Running on the CPU instead/);
  await page.context().close();
});

/**
 * Lets the worker's graphics processor do nothing while a model is in it of which `isMeant` says so: a
 * function of how many models the worker has taken and of the manifest's text.
 */
const idle = (isMeant) => (page) => page.route('**/js/worker.js', async (route) => {
  const response = await route.fetch();
  const body = `{
    let [models, isIdle] = [0, false];
    self.addEventListener('message', ({ data }) => {
      if (data.type !== 'loadModel') return;
      models += 1;
      isIdle = (${isMeant})(models, new TextDecoder().decode(data.manifest));
    });
    const dispatch = GPUComputePassEncoder.prototype.dispatchWorkgroups;
    GPUComputePassEncoder.prototype.dispatchWorkgroups = function (...groups) {
      if (!isIdle) dispatch.apply(this, groups);
    };
  }\n${await response.text()}`;
  await route.fulfill({ response, body });
});

const manifest = (model) => fs.readFileSync(repository('web/models', model, 'model.json'), 'utf8');
const status = (page, pattern) => page.waitForFunction(
  (source) => new RegExp(source).test(document.querySelector('#model-status').textContent), pattern.source, { timeout: 240_000 },
);

test('a model that is chosen later goes down the same ladder: plainer kernels', async () => {
  const page = await open(browser, { query: '?device=webgpu&kernels=gpu', prepare: idle((models) => models === 2) });
  await reads(page);
  await page.selectOption('#models', 'mini');
  await status(page, /mini loaded in/);
  assert.match(await page.textContent('#banner-text'), /“gpu” kernels can’t be used here, so the page goes on with the “plain” ones/);
  assert.equal(await page.getAttribute('html', 'data-kernels'), 'plain');
  assert.match(await page.textContent('#trained'), /“mini”/);
  assert.equal((await showPicture(page, pictureFile())).subject.kind, 'person');
  await page.context().close();
});

test('a model that is chosen later goes down the same ladder: the CPU', async () => {
  const tensors = Object.keys(JSON.parse(manifest('mini')).files).find((name) => name.endsWith('.safetensors'));
  const hash = JSON.parse(manifest('mini')).files[tensors].sha256;
  const page = await open(browser, {
    query: '?device=webgpu&kernels=plain',
    prepare: idle(`(models, text) => text.includes('${hash}')`),
  });
  await page.selectOption('#models', 'mini');
  await status(page, /mini loaded in/);
  assert.equal(await page.getAttribute('html', 'data-ready'), 'cpu');
  assert.match(await page.textContent('#banner-text'), /Running on the CPU instead/);
  assert.equal((await showPicture(page, pictureFile())).subject.kind, 'person');
  await page.context().close();
});

test('a model whose self-test fails everywhere is refused, and the old one goes on with its kernels', async () => {
  // Vectors of something else, in a bundle that is otherwise whole.
  const wrong = Buffer.from(JSON.stringify(wrongGolden()));
  const bundle = JSON.parse(manifest('mini'));
  bundle.files['selftest.json'] = { ...bundle.files['selftest.json'], sha256: createHash('sha256').update(wrong).digest('hex'), bytes: wrong.length };
  const page = await open(browser, {
    query: '?device=webgpu',
    prepare: async (opened) => {
      await opened.route('**/models/mini/model.json', (route) => route.fulfill({ json: bundle }));
      await opened.route('**/models/mini/selftest.json', (route) => route.fulfill({ body: wrong }));
    },
  });
  await page.selectOption('#models', 'mini');
  await status(page, /something else here than its files say.*nano stays in use/);
  await page.waitForSelector('html[data-ready="webgpu"]', { timeout: 240_000 });
  assert.equal(await page.getAttribute('html', 'data-kernels'), 'software');
  assert.equal(await page.inputValue('#models'), 'nano');
  await reads(page);
  await page.context().close();
});

function wrongGolden() {
  const golden = JSON.parse(fs.readFileSync(repository('web/models/mini/selftest.json'), 'utf8'));
  return { ...golden, picture: golden.picture.map((value, index) => (index % 2 ? value : -value)) };
}
