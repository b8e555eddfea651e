/** What `cargo xtask bench-web` computes of its measurements. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { leastCosine, median, table } from './bench/rows.mjs';

const features = (...rows) => rows.flatMap((value) => Array.from({ length: 512 }, (_, i) => value(i)));

test('the least cosine is that of the worst row, and no number where features are none or fewer', () => {
  const same = features(Math.sin, Math.cos);
  assert.ok(Math.abs(leastCosine(same, same) - 1) < 1e-12);
  const turned = features(Math.sin, (i) => -Math.cos(i));
  assert.ok(Math.abs(leastCosine(same, turned) + 1) < 1e-12);
  assert.ok(Number.isNaN(leastCosine(same, features(Math.sin))));
  assert.ok(Number.isNaN(leastCosine(same, features(Math.sin, () => Number.NaN))));
});

test('a median of an even count lies between the middle two', () => {
  assert.equal(median([9, 1, 4]), 4);
  assert.equal(median([9, 1, 4, 2]), 3);
});

test('the table has a ratio where both engines ran, and says which one died', () => {
  const rows = [
    { what: 'frame_1', engine: 'ours-webgpu', first_ms: 30, median_ms: 10 },
    { what: 'frame_1', engine: 'ort-webgpu', first_ms: 99, median_ms: 85 },
    { what: 'frame_8', engine: 'ours-webgpu', first_ms: 70, median_ms: 60 },
    { what: 'frame_8', engine: 'ort-webgpu', error: 'the page crashed' },
  ];
  const lines = table(rows, ['frame_1', 'frame_8'], ['ours-webgpu', 'ort-webgpu']).split('\n');
  assert.equal(lines[2], '| frame_1 | 10 (30) | 85 (99) | 8.50 | – |');
  assert.equal(lines[3], '| frame_8 | 60 (70) | died | – | – |');
});
