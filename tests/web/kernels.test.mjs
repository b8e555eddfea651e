/** The hand-written kernels in the browser: right in every tile set, and given up where they are not. */

import assert from 'node:assert/strict';
import fs from 'node:fs';
import { after, before, test } from 'node:test';
import { browse, cosine, faults, open, out, pictureFile, showPicture } from './harness.mjs';

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
