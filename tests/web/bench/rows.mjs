/** What run.mjs computes of its measurements: medians, cosines and the table. */

/** Numbers of a frame's or a text's features. */
const WIDTH = 512;

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

/** Least cosine of a row of features with the same row of another engine's; NaN where they can't be compared. */
export function leastCosine(a, b) {
  let least = a.length === b.length && a.length % WIDTH === 0 ? 1 : Number.NaN;
  for (let start = 0; start < a.length; start += WIDTH) {
    let [ab, aa, bb] = [0, 0, 0];
    for (let i = start; i < start + WIDTH; i++) {
      [ab, aa, bb] = [ab + a[i] * b[i], aa + a[i] * a[i], bb + b[i] * b[i]];
    }
    least = Math.min(least, ab / Math.sqrt(aa * bb));
  }
  return least;
}

/** The rows as a Markdown table, a task a line; an engine that died says so. */
export function table(rows, tasks, engines) {
  const row = (what, engine) => rows.find((found) => found.what === what && found.engine === engine);
  const cell = (what, engine) => {
    const found = row(what, engine);
    if (!found) return '–';
    return found.error ? 'died' : `${found.median_ms.toFixed(0)} (${found.first_ms.toFixed(0)})`;
  };
  const ratio = (what, kind) => {
    const value = row(what, `ort-${kind}`)?.median_ms / row(what, `ours-${kind}`)?.median_ms;
    return Number.isFinite(value) ? value.toFixed(2) : '–';
  };
  return [
    `| median ms (first) | ${engines.join(' | ')} | ratio on WebGPU | ratio on wasm |`,
    `|---|${engines.map(() => '---:|').join('')}---:|---:|`,
    ...tasks.map((what) => `| ${what} | ${engines.map((engine) => cell(what, engine)).join(' | ')} | ${ratio(what, 'webgpu')} | ${ratio(what, 'wasm')} |`),
  ].join('\n');
}
