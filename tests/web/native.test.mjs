/** The page against `trainer` on the same pixels. */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { after, before, test } from 'node:test';
import { browse, cosine, open, out, pictureFile, repository, showPicture, trainer } from './harness.mjs';

const model = repository('web/models/nano');
let browser;
before(async () => { browser = await browse({ webgpu: true }); });
after(() => browser?.close());

for (const device of ['cpu', 'webgpu']) {
  test(`embedding and readings on ${device} are those of trainer`, async () => {
    const page = await open(browser, { query: `?device=${device}` });
    assert.equal(await page.getAttribute('html', 'data-ready'), device);
    await page.click('[data-subject="whole"]');
    const whole = await showPicture(page, pictureFile());
    assert.equal(whole.prepared, device === 'webgpu' ? 'device' : 'host');
    await page.click('[data-subject="auto"]');
    await page.waitForFunction(() => globalThis.readings.at(-1).subject.kind === 'person');
    const person = await page.evaluate(() => globalThis.readings.at(-1));
    const embedded = trainer('embed', pictureFile(), '--model', model);
    const expected = vector(embedded);
    const agreement = cosine(whole.embedding, expected);
    const predicted = trainer('predict', pictureFile(), '--model', model, '--subject', 'detect');
    const readings = predicted.readings[0].probabilities;
    const worst = Math.max(...readings.map((value, index) => Math.abs(value - person.probabilities[index])));
    fs.appendFileSync(out('native.txt'), `${device}: cosine ${agreement}, largest difference of a reading ${worst}\n`);
    assert.ok(agreement >= 0.9999, `${agreement}`);
    assert.ok(worst < 1e-3, `${worst}`);
    const [x1, , x2] = person.people[0].face;
    const face = predicted.boxes[0].person.face;
    assert.ok(Math.abs(x1 - face.x1) < 1 && Math.abs(x2 - face.x2) < 1, `${[x1, x2]} ${JSON.stringify(face)}`);
    await page.context().close();
  });
}

test('the first model is mini, which is shown the close-up that trainer shows it', async () => {
  const page = await open(browser, { query: '?device=cpu', hash: '' });
  assert.equal(await page.inputValue('#models'), 'mini');
  await showPicture(page, pictureFile());
  await page.waitForFunction(() => globalThis.readings.at(-1).subject.kind === 'person');
  const person = await page.evaluate(() => globalThis.readings.at(-1));
  const predicted = trainer('predict', pictureFile(), '--model', repository('web/models/mini'), '--subject', 'face',
    '--labels', repository('crates/data/assets/faces/labels.toml'));
  const readings = predicted.readings[0].probabilities;
  const worst = Math.max(...readings.map((value, index) => Math.abs(value - person.probabilities[index])));
  fs.appendFileSync(out('native.txt'), `mini: largest difference of a reading ${worst}\n`);
  assert.ok(worst < 1e-3, `${worst}`);
  await page.context().close();
});

test('what the browser’s video decoder makes of a frame is reported beside FFmpeg’s', async () => {
  const page = await open(browser, { query: '?device=cpu', hash: '' });
  const seconds = 1.02; // In the middle of a frame, whichever way a decoder rounds.
  const url = await page.evaluate(async (time) => {
    const video = document.createElement('video');
    video.muted = true;
    video.src = URL.createObjectURL(await (await fetch('clips/sample.webm')).blob());
    await new Promise((resolve, reject) => { video.onloadeddata = resolve; video.onerror = reject; });
    video.currentTime = time;
    await new Promise((resolve) => { video.onseeked = resolve; });
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
    canvas.getContext('2d').drawImage(video, 0, 0);
    return canvas.toDataURL('image/png');
  }, seconds);
  const [shown, decoded] = [out('decoded-page.png'), out('decoded-ffmpeg.png')];
  fs.writeFileSync(shown, Buffer.from(url.split(',')[1], 'base64'));
  const ffmpeg = (...args) => execFileSync('ffmpeg', ['-v', 'error', '-y', ...args], { maxBuffer: 1 << 28 });
  ffmpeg('-i', repository('web/clips/sample.webm'), '-vf', `select='lte(t,${seconds})*gt(t+1/15,${seconds})'`, '-frames:v', '1', decoded);
  const pixels = (file) => ffmpeg('-i', file, '-f', 'rawvideo', '-pix_fmt', 'rgb24', '-');
  const [a, b] = [pixels(shown), pixels(decoded)];
  assert.equal(a.length, b.length, 'both show the clip in its own size');
  const mean = a.reduce((sum, value, index) => sum + Math.abs(value - b[index]), 0) / a.length;
  const read = (file) => trainer('predict', file).readings[0].probabilities;
  const [there, here] = [read(shown), read(decoded)];
  const worst = Math.max(...there.map((value, index) => Math.abs(value - here[index])));
  fs.appendFileSync(out('native.txt'), `decoding: mean difference of a colour value ${mean.toFixed(3)} of 255, largest of a reading ${worst.toFixed(4)}\n`);
  // The same frame: its neighbours differ by more than two decoders' rounding of colours does.
  const neighbour = out('decoded-neighbour.png');
  ffmpeg('-i', repository('web/clips/sample.webm'), '-vf', `select='gte(t,${seconds + 0.4})'`, '-frames:v', '1', neighbour);
  const far = pixels(neighbour).reduce((sum, value, index) => sum + Math.abs(value - a[index]), 0) / a.length;
  assert.ok(mean < far, `${mean} ${far}`);
  await page.context().close();
});

/** The first list of numbers in what `embed` prints. */
function vector(value) {
  if (Array.isArray(value) && typeof value[0] === 'number') return value;
  for (const inner of Object.values(value ?? {})) {
    const found = typeof inner === 'object' && vector(inner);
    if (found) return found;
  }
  return null;
}
