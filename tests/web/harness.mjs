/**
 * What the tests of the page share. `cargo xtask test --only web` builds the page, serves it, and sets:
 *
 * | variable | holds |
 * |---|---|
 * | `PAGE_URL` | where the page is served |
 * | `CHROMIUM` | the browser's program |
 * | `TRAINER` | the `trainer` program, to compare with |
 * | `WEB_OUT` | folder for screenshots and measurements |
 * | `REPOSITORY` | the checkout |
 */

import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { chromium } from 'playwright-core';

export const env = (name) => {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: run these tests with \`cargo xtask test --only web\``);
  return value;
};

export const out = (...names) => {
  const file = path.join(env('WEB_OUT'), ...names);
  fs.mkdirSync(path.dirname(file), { recursive: true });
  return file;
};

export const repository = (...names) => path.join(env('REPOSITORY'), ...names);

/** The sample clip as a camera: a browser takes files of single JPEGs for one. */
export function cameraFile() {
  const file = out('camera.mjpeg');
  if (!fs.existsSync(file)) {
    execFileSync('ffmpeg', ['-v', 'error', '-y', '-i', repository('web/clips/sample.webm'),
      '-c:v', 'mjpeg', '-q:v', '3', '-f', 'mjpeg', `${file}.part`]);
    fs.renameSync(`${file}.part`, file);
  }
  return file;
}

/** A picture with the woman's face in it, as the page will decode it: PNG loses nothing. */
export function pictureFile() {
  const file = out('picture.png');
  if (!fs.existsSync(file)) {
    execFileSync('ffmpeg', ['-v', 'error', '-y', '-i', repository('tests/detector/pictures/woman.jpg'), file]);
  }
  return file;
}

/**
 * @param {{webgpu?: boolean, camera?: 'file' | 'two' | 'denied' | 'none'}} options `webgpu` gives the browser
 *   its software graphics processor; without it there is none
 */
export async function browse({ webgpu = false, camera = 'file' } = {}) {
  const args = ['--no-sandbox', '--autoplay-policy=no-user-gesture-required'];
  if (webgpu) args.push('--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader');
  else args.push('--disable-features=WebGPU');
  if (camera === 'file') {
    args.push('--use-fake-ui-for-media-stream', '--use-fake-device-for-media-stream',
      `--use-file-for-fake-video-capture=${cameraFile()}`);
  }
  if (camera === 'two') args.push('--use-fake-ui-for-media-stream', '--use-fake-device-for-media-stream=device-count=2');
  if (camera === 'denied') args.push('--use-fake-device-for-media-stream');
  return chromium.launch({ executablePath: env('CHROMIUM'), headless: true, args });
}

/**
 * Opens the page. Everything it asks the network for and all its complaints are in `page.log`.
 * @param {{query?: string, hash?: string, ready?: boolean, context?: object, prepare?: (page) => Promise<void>}} options
 */
export async function open(browser, { query = '', hash = '#model=nano', ready = true, context = {}, prepare } = {}) {
  const session = await browser.newContext({
    viewport: { width: 1280, height: 900 }, serviceWorkers: 'block', reducedMotion: 'reduce', ...context,
  });
  const page = await session.newPage();
  page.setDefaultTimeout(60_000);
  page.log = { requests: [], console: [], errors: [] };
  session.on('request', (request) => page.log.requests.push({ url: request.url(), at: Date.now() }));
  page.on('console', (message) => ['error', 'warning'].includes(message.type()) && page.log.console.push(message.text()));
  page.on('pageerror', (error) => page.log.errors.push(String(error)));
  await page.addInitScript(() => {
    globalThis.readings = [];
    addEventListener('reading', ({ detail }) => globalThis.readings.push(detail));
  });
  await prepare?.(page);
  await page.goto(env('PAGE_URL') + query + hash);
  if (ready) await page.waitForSelector('html[data-ready]', { timeout: 240_000 });
  return page;
}

/** Waits for so many more readings and gives the last. */
export async function nextReading(page, count = 1, timeout = 120_000) {
  const before = await page.evaluate(() => globalThis.readings.length);
  await page.waitForFunction((least) => globalThis.readings.length >= least, before + count, { timeout });
  return page.evaluate(() => globalThis.readings.at(-1));
}

export const lastReading = (page) => page.evaluate(() => globalThis.readings.at(-1));

/** Shows a picture and gives its reading. */
export async function showPicture(page, file) {
  const before = await page.evaluate(() => globalThis.readings.length);
  await page.setInputFiles('#picture-file', file);
  await page.waitForFunction((least) => globalThis.readings.length > least, before, { timeout: 120_000 });
  return lastReading(page);
}

/** Runs `trainer` and gives what it prints as JSON. */
export function trainer(...args) {
  const text = execFileSync(env('TRAINER'), [...args, '--json', '--device', 'cpu'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  return JSON.parse(text);
}

export const cosine = (a, b) => {
  const sum = (x, y) => x.reduce((total, value, index) => total + value * y[index], 0);
  return sum(a, b) / Math.sqrt(sum(a, a) * sum(b, b));
};

/** Complaints that are no fault of the page. */
export const faults = (page) => [...page.log.errors, ...page.log.console]
  .filter((text) => !/^No available adapters|Service Worker registration blocked by Playwright/.test(text));
