/**
 * Frames prepared on the graphics processor, beside the host's preparation of the same pixels, which is
 * the native code.
 */

import assert from 'node:assert/strict';
import fs from 'node:fs';
import { after, before, test } from 'node:test';
import { browse, cosine, faults, nextReading, open, out, pictureFile, showPicture } from './harness.mjs';

/** What the issue allows, in levels of 255 before normalising. */
const MOST_LEVELS = 2;

let browser;
before(async () => { browser = await browse({ webgpu: true }); });
after(() => browser.close());

const note = (text) => fs.appendFileSync(out('preparation.txt'), `${text}\n`);
const webgpu = { query: '?device=webgpu' };
const fact = (page, name) => page.evaluate((wanted) => {
  const term = [...document.querySelectorAll('#model-facts dt')].find(({ textContent }) => textContent === wanted);
  return term?.nextElementSibling.textContent;
}, name);

/** Landscape, portrait, square, tiny, narrow, as large as a frame is read at, larger than that. */
const SIZES = [[640, 480], [480, 640], [256, 256], [97, 61], [5, 3], [1, 1], [9, 300], [1280, 720], [2000, 1501]];

/** Compares both preparations of drawn pictures, whose pixels are known to the bit. */
const compareDrawn = (page, sizes) => page.evaluate(async (drawn) => {
  const found = [];
  for (const [width, height] of drawn) {
    const [w, h] = [width, height];
    const subjects = [null, [0.2 * w, 0.1 * h, 0.7 * w, 0.8 * h], [-w, 0.31 * h, 0.5 * w, 2 * h], [0.9 * w, 0.9 * h, 0.93 * w, 0.93 * h]];
    for (const [index, subject] of subjects.entries()) {
      const rgba = new Uint8ClampedArray(4 * w * h);
      let state = 1 + index;
      for (let at = 0; at < rgba.length; at += 4) {
        const [x, y] = [(at / 4) % w, Math.floor(at / 4 / w)];
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
        // Ramps, edges that overshoot when they are resized, and noise.
        rgba[at] = (255 * x) / w;
        rgba[at + 1] = (Math.floor(x / 7) + Math.floor(y / 5)) % 2 ? 255 : 0;
        rgba[at + 2] = state >>> 24;
        rgba[at + 3] = index % 2 ? 64 + ((x + y) % 192) : 255;
      }
      const options = { premultiplyAlpha: 'none', colorSpaceConversion: 'none' };
      const bitmap = await createImageBitmap(new ImageData(rgba, w, h), options);
      const known = new Uint8Array(rgba);
      const { difference } = await globalThis.emotionclip.comparePreparation(bitmap, subject, known);
      found.push({ what: `${w} × ${h}, alpha ${index % 2 === 1}, subject ${subject?.map(Math.round)}`, ...difference });
    }
  }
  return found;
}, sizes);

for (const model of ['nano', 'mini']) {
  test(`pictures of every shape are prepared as natively, for ${model}`, async () => {
    const page = await open(browser, { ...webgpu, hash: `#model=${model}` });
    assert.equal(await fact(page, 'Preparation'), 'of frames on the graphics processor');
    const found = await compareDrawn(page, SIZES);
    assert.equal(found.length, 4 * SIZES.length);
    for (const { what, levels, detector, mask, coverage } of found) {
      assert.ok(levels <= MOST_LEVELS, `${what}: ${levels} levels`);
      assert.ok(detector <= MOST_LEVELS, `${what}: ${detector} levels of the detector's input`);
      // The host says by the native sums which pixels the mask covers, and counts them: nothing rounds.
      assert.deepEqual([mask, coverage], [0, 0], what);
    }
    const most = (name) => Math.max(...found.map((one) => one[name]));
    note(`${model}: ${found.length} drawn pictures, at most ${most('levels')} levels of 255, of the detector's input ${most('detector')}`);
    await page.context().close();
  });
}

test('a video’s frames are prepared as from the bytes that the browser gives of them', async () => {
  const page = await open(browser, webgpu);
  const found = await page.evaluate(async () => {
    const compare = globalThis.emotionclip.comparePreparation;
    const video = document.createElement('video');
    video.muted = true;
    video.src = URL.createObjectURL(await (await fetch('clips/sample.webm')).blob());
    await new Promise((resolve, reject) => { video.onloadeddata = resolve; video.onerror = reject; });
    const results = [];
    for (const time of [0.5, 1.0, 2.0]) {
      video.currentTime = time;
      await new Promise((resolve) => { video.onseeked = resolve; });
      const frame = new VideoFrame(video);
      const { format } = frame;
      const { difference } = await compare(frame, [100, 60, 300, 250]);
      results.push({ what: `clip at ${time} s, ${format}`, ...difference });
    }
    const canvas = new OffscreenCanvas(320, 200);
    const context = canvas.getContext('2d');
    const colours = context.createLinearGradient(0, 0, 320, 200);
    for (const [place, colour] of [[0, '#f00'], [0.3, '#0f8'], [0.6, '#20f'], [1, '#fff']]) colours.addColorStop(place, colour);
    context.fillStyle = colours;
    context.fillRect(0, 0, 320, 200);
    const { difference } = await compare(new VideoFrame(canvas, { timestamp: 0 }), null);
    results.push({ what: 'drawn frame', ...difference });
    return results;
  });
  for (const { what, levels, detector, mask, coverage } of found) {
    note(`${what}: ${levels} levels, of the detector's input ${detector}`);
    assert.ok(Math.max(levels, detector) <= MOST_LEVELS, `${what}: ${levels} ${detector}`);
    assert.deepEqual([mask, coverage], [0, 0], what);
  }
  await page.context().close();
});

test('readings by both preparations agree, and their times are written down', async () => {
  const seen = {};
  for (const [query, where] of [['', 'device'], ['&prepare=host', 'host']]) {
    const page = await open(browser, { query: `?device=webgpu${query}` });
    const reading = await showPicture(page, pictureFile());
    assert.equal(reading.prepared, where);
    await page.click('#start-sample').catch(() => page.click('[data-source="sample"]'));
    await nextReading(page, 7, 300_000);
    const frames = await page.evaluate(() => globalThis.readings.slice(-5));
    assert.ok(frames.every(({ prepared }) => prepared === where));
    const median = (name) => frames.map((frame) => frame[name]).sort((a, b) => a - b)[2];
    note(`prepared by ${where}, nano, clip of 480 pixels: finding faces ${median('detectMs')} ms, encoding ${median('encodeMs')} ms, all of it ${median('totalMs').toFixed(0)} ms (medians of 5 frames)`);
    seen[where] = reading;
    assert.deepEqual(faults(page), []);
    await page.context().close();
  }
  assert.ok(cosine(seen.device.embedding, seen.host.embedding) >= 0.99999);
  const apart = seen.device.people[0].face.map((edge, index) => Math.abs(edge - seen.host.people[0].face[index]));
  assert.ok(Math.max(...apart) < 0.5, `${apart}`);
});

/** Changes the worker's browser before the worker begins. */
const changed = (change) => (page) => page.route('**/js/worker.js', async (route) => {
  const response = await route.fetch();
  await route.fulfill({ response, body: `(${change})();\n${await response.text()}` });
});

const cases = [
  ['a browser that copies no video frames copies bitmaps', 'device', () => {
    const copy = GPUQueue.prototype.copyExternalImageToTexture;
    GPUQueue.prototype.copyExternalImageToTexture = function (source, ...others) {
      if (source.source instanceof VideoFrame) throw new TypeError('no video frames');
      return copy.call(this, source, ...others);
    };
  }],
  ['a browser that copies nothing to the graphics processor leaves frames to the host', 'host', () => {
    GPUQueue.prototype.copyExternalImageToTexture = () => { throw new TypeError('nothing'); };
  }],
  ['a browser that changes colours on the way leaves frames to the host', 'host', () => {
    const create = GPUDevice.prototype.createTexture;
    GPUDevice.prototype.createTexture = function (descriptor) {
      const format = descriptor.format === 'rgba8unorm' ? 'bgra8unorm' : descriptor.format;
      return create.call(this, { ...descriptor, format });
    };
  }],
];
for (const [name, where, change] of cases) {
  test(name, async () => {
    const page = await open(browser, { ...webgpu, prepare: changed(change) });
    await page.click('#start-sample');
    const reading = await nextReading(page, 2);
    assert.equal(reading.prepared, where);
    assert.equal(reading.subject.kind, 'person');
    assert.equal(await fact(page, 'Preparation'), where === 'device' ? 'of frames on the graphics processor' : 'of frames on the CPU');
    await page.context().close();
  });
}
