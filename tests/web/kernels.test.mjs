/** The hand-written kernels in the browser: right in every tile set, and given up where they are not. */

import assert from 'node:assert/strict';
import fs from 'node:fs';
import { after, before, test } from 'node:test';
import { browse, cosine, faults, nextReading, open, out, pictureFile, showPicture } from './harness.mjs';

let browser;
before(async () => { browser = await browse({ webgpu: true }); });
after(() => browser.close());

const SETS = ['gpu', 'software', 'plain'];

for (const tiles of SETS) {
  test(`the ${tiles} kernels agree with their references`, async () => {
    const page = await open(browser, { query: `?device=webgpu&kernels=${tiles}` });
    assert.equal(await page.getAttribute('html', 'data-kernels'), tiles);
    const { comparisons } = await page.evaluate(() => globalThis.emotionclip.checkKernels());
    assert.ok(comparisons.length > 30, `${comparisons.length}`);
    assert.deepEqual(comparisons.filter(({ passed }) => !passed), []);
    assert.ok(comparisons.some(({ distance }) => distance > 0), 'two engines don’t agree to the bit');
    assert.deepEqual(faults(page), []);
    await page.context().close();
  });
}

test('every set of kernels gives the same reading as the CPU', async () => {
  const read = async (query) => {
    const page = await open(browser, { query });
    const { embedding } = await showPicture(page, pictureFile());
    const kernels = await page.getAttribute('html', 'data-kernels');
    await page.context().close();
    return { embedding, kernels };
  };
  const cpu = await read('?device=cpu');
  for (const kernels of [...SETS, 'stock']) {
    const found = await read(`?device=webgpu&kernels=${kernels}`);
    assert.equal(found.kernels, kernels);
    assert.ok(cosine(found.embedding, cpu.embedding) >= 0.9999, kernels);
  }
});

test('a software adapter gets the software kernels by itself', async () => {
  const page = await open(browser, { query: '?device=webgpu' });
  assert.equal(await page.getAttribute('html', 'data-kernels'), 'software');
  assert.match(await page.textContent('#fact-device'), /software kernels/);
  await page.context().close();
});

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
  await showPicture(page, pictureFile());
  await page.context().close();
});

test('kernels that don’t compile are replaced', async () => {
  const page = await open(browser, {
    query: '?device=webgpu&kernels=gpu',
    prepare: spoil((code) => code.includes('var<workgroup> tile_x'), (code) => `${code}\nfn broken() -> f32 { return; }`),
  });
  assert.equal(await page.getAttribute('html', 'data-kernels'), 'plain');
  assert.match(await page.textContent('#banner-text'), /“gpu” kernels can’t be used here, so the page goes on with the “plain” ones/);
  await showPicture(page, pictureFile());
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

test('the first frame after loading costs at most three warm ones', async () => {
  for (const kernels of ['software', 'stock']) {
    const page = await open(browser, { query: `?device=webgpu&kernels=${kernels}` });
    await page.click('#start-sample');
    await nextReading(page, 6);
    const times = await page.evaluate(() => globalThis.readings.map(({ totalMs }) => totalMs));
    const [first, ...others] = times;
    const warm = others.sort((a, b) => a - b)[Math.floor(others.length / 2)];
    fs.appendFileSync(out('kernels.txt'), `${kernels} kernels, nano: first frame ${first.toFixed(0)} ms, warm ${warm.toFixed(0)} ms\n`);
    assert.ok(first <= 3 * warm, `${kernels}: ${first} ms, warm ${warm} ms`);
    await page.context().close();
  }
});
