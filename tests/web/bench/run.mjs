/**
 * Lets a headless Chromium run bench.js, prints the table and writes it as JSON. `cargo xtask
 * bench-web` serves the page and sets PAGE_URL, CHROMIUM, BENCH_OUT and BENCH_OPTIONS (JSON).
 */

import fs from 'node:fs';
import os from 'node:os';
import { chromium } from 'playwright-core';

/** What two correct engines of 32-bit floats agree to. */
const LEAST_COSINE = 0.9999;

const { PAGE_URL, CHROMIUM, BENCH_OUT, BENCH_OPTIONS } = process.env;
const { adapter, ...options } = JSON.parse(BENCH_OPTIONS);
const args = ['--no-sandbox', '--enable-unsafe-webgpu'];
if (adapter === 'software') args.push('--use-webgpu-adapter=swiftshader');
const browser = await chromium.launch({ executablePath: CHROMIUM, headless: true, args });
const page = await browser.newPage();
page.setDefaultTimeout(0);
page.on('console', (message) => console.log(`  ${message.text()}`));
page.on('pageerror', (error) => console.error(`  ${error}`));
let result;
try {
  await page.goto(PAGE_URL);
  await page.waitForFunction(() => globalThis.isReady, null, { timeout: 60_000 });
  const adapterName = await page.evaluate(async () => {
    const info = (await navigator.gpu?.requestAdapter())?.info;
    return info ? [info.vendor, info.architecture, info.isFallbackAdapter ? '(software)' : ''].filter(Boolean).join(' ') : 'none';
  });
  result = { adapter: adapterName, ...await page.evaluate((given) => globalThis.bench(given), options) };
} finally {
  await browser.close();
}
result.browser = browser.version();
result.load_average = os.loadavg()[0];
fs.writeFileSync(BENCH_OUT, `${JSON.stringify(result, null, 2)}\n`);

console.log(`\nadapter: ${result.adapter}, Chromium ${result.browser}, load average ${result.load_average.toFixed(1)}`);
for (const [engine, note] of Object.entries(result.notes)) console.log(`${engine}: ${note}`);
const engines = Object.keys(result.notes);
console.log(`\n| median ms (first) | ${engines.join(' | ')} | ratio on WebGPU | ratio on wasm |`);
console.log(`|---|${engines.map(() => '---:|').join('')}---:|---:|`);
for (const what of options.tasks) {
  const row = (engine) => result.rows.find((found) => found.what === what && found.engine === engine);
  const cell = (engine) => `${row(engine).median_ms.toFixed(0)} (${row(engine).first_ms.toFixed(0)})`;
  const ratio = (kind) => (row(`ort-${kind}`) && row(`ours-${kind}`)
    ? (row(`ort-${kind}`).median_ms / row(`ours-${kind}`).median_ms).toFixed(2) : '–');
  console.log(`| ${what} | ${engines.map(cell).join(' | ')} | ${ratio('webgpu')} | ${ratio('wasm')} |`);
}
console.log('\nRatios are ONNX Runtime Web\'s time by ours: above 1 ours is faster.');
const wrong = result.rows.filter(({ least_cosine: least }) => least !== null && !(least >= LEAST_COSINE));
if (wrong.length) {
  console.error(`engines disagree: ${JSON.stringify(wrong)}`);
  process.exitCode = 1;
}
