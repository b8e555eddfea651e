/**
 * Lets a headless Chromium run bench.js, prints the table and writes it as JSON. `cargo xtask
 * bench-web` serves the page and sets PAGE_URL, CHROMIUM, BENCH_OUT and BENCH_OPTIONS (JSON).
 *
 * All engines run in one page, one after the other. The file is written anew after every row. An engine
 * that fails, takes the page with it or exceeds its time is named in its rows, and the next one gets a
 * browser of its own.
 */

import fs from 'node:fs';
import os from 'node:os';
import { chromium } from 'playwright-core';

import { leastCosine, median, table } from './rows.mjs';

/** What two correct engines of 32-bit floats agree to. */
const LEAST_COSINE = 0.9999;

const { PAGE_URL, CHROMIUM, BENCH_OUT, BENCH_OPTIONS } = process.env;
const { adapter, tasks, engines, kernels, seconds, runs, limitMinutes } = JSON.parse(BENCH_OPTIONS);
const args = ['--no-sandbox', '--enable-unsafe-webgpu'];
if (adapter === 'software') args.push('--use-webgpu-adapter=swiftshader');

let browser;
let page;

async function openPage() {
  await browser?.close().catch(() => {});
  browser = await chromium.launch({ executablePath: CHROMIUM, headless: true, args });
  page = await browser.newPage();
  page.setDefaultTimeout(0);
  page.on('console', (message) => console.log(`    ${message.text()}`));
  page.on('pageerror', (error) => console.error(`    ${error}`));
  await page.goto(PAGE_URL);
  await page.waitForFunction(() => globalThis.isReady, null, { timeout: 60_000 });
}

/** Calls a function of bench.js; a page that has crashed or takes too long is an error too. */
async function call(name, given) {
  let timer;
  let onCrash;
  const gone = new Promise((_, reject) => {
    onCrash = () => reject(new Error('the page crashed'));
    page.once('crash', onCrash);
    timer = setTimeout(() => reject(new Error(`no answer within ${limitMinutes} minutes`)), 60_000 * limitMinutes);
  });
  const answer = page.evaluate(([name, given]) => globalThis.bench[name](given), [name, given]);
  try {
    return await Promise.race([answer, gone]);
  } finally {
    clearTimeout(timer);
    page.off('crash', onCrash);
    answer.catch(() => {});
  }
}

await openPage();
const result = {
  adapter: await page.evaluate(async () => {
    const info = (await navigator.gpu?.requestAdapter())?.info;
    return info ? [info.vendor, info.architecture, info.isFallbackAdapter ? '(software)' : ''].filter(Boolean).join(' ') : 'none';
  }),
  browser: browser.version(),
  load_average: os.loadavg()[0],
  notes: {},
  rows: [],
};
const features = {};

/** Keeps a row, compares its features with those of the engines before, and writes the file. */
function keep(row) {
  result.rows.push(row);
  result.load_average = os.loadavg()[0];
  for (const one of result.rows) {
    const all = features[one.what] ?? {};
    const others = Object.keys(all).filter((name) => name !== one.engine && all[one.engine]);
    const cosines = others.map((name) => leastCosine(all[one.engine], all[name]));
    one.least_cosine = cosines.length ? Math.min(...cosines) : null;
  }
  fs.writeFileSync(BENCH_OUT, `${JSON.stringify(result, null, 2)}\n`);
}

for (const engine of engines) {
  const left = [...tasks];
  try {
    console.log(`  ${engine}: loading`);
    result.notes[engine] = await call('open', { name: engine, kernels });
    while (left.length) {
      const what = left[0];
      console.log(`  ${engine}: ${what}`);
      const measured = await call('measure', { what, seconds, runs });
      const [first, ...warm] = measured.times;
      (features[what] ??= {})[engine] = measured.features;
      left.shift();
      keep({ what, engine, first_ms: first, median_ms: median(warm), runs: warm.length });
    }
    await call('close');
  } catch (error) {
    const [message] = String(error.message ?? error).split('\n');
    console.error(`  ${engine} died: ${message}`);
    for (const what of left) keep({ what, engine, error: message });
    await openPage();
  }
}
await browser.close();

console.log(`\nadapter: ${result.adapter}, Chromium ${result.browser}, load average ${result.load_average.toFixed(1)}`);
for (const [engine, note] of Object.entries(result.notes)) console.log(`${engine}: ${note}`);
console.log(`\n${table(result.rows, tasks, engines)}`);
console.log('\nRatios are ONNX Runtime Web\'s time by ours: above 1 ours is faster.');
const wrong = result.rows.filter(({ least_cosine: least }) => least !== null && !(least >= LEAST_COSINE));
if (wrong.length) console.error(`engines disagree: ${JSON.stringify(wrong)}`);
if (wrong.length || result.rows.some(({ error }) => error)) process.exitCode = 1;
