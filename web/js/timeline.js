/** The session's readings: drawn over the last minute, and saved as CSV or JSON. */

import { coloursOf } from './colours.js';

const SPAN_SECONDS = 60;
/** A pause longer than this is shown as a gap. */
const GAP_SECONDS = 3;
/** Two hours at eight a second. */
const MOST_READINGS = 57_600;

export class History {
  #canvas;
  #readings = [];

  constructor(canvas) {
    this.#canvas = canvas;
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  /** @param reading `{time, labels, values, probe, subject, source}` with `time` in seconds */
  add(reading) {
    this.#readings.push(reading);
    if (this.#readings.length > MOST_READINGS) this.#readings.shift();
    this.draw();
  }

  clear() {
    this.#readings = [];
    this.draw();
  }

  get length() {
    return this.#readings.length;
  }

  draw() {
    const canvas = this.#canvas;
    const ratio = Math.min(3, globalThis.devicePixelRatio || 1);
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    if (!width) return;
    const [across, down] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (canvas.width !== across || canvas.height !== down) [canvas.width, canvas.height] = [across, down];
    const context = canvas.getContext('2d');
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    const last = this.#readings.at(-1);
    if (!last) return;
    const x = (time) => width - (last.time - time) / SPAN_SECONDS * width;
    for (const run of runs(this.#readings, last.time - SPAN_SECONDS)) {
      const colours = coloursOf(run[0].labels);
      // Each band reaches from its top to the bottom; the later, lower ones lie over it.
      const tops = run.map(({ values }) => {
        let below = 0;
        return [...values].reverse().map((value) => (below += value)).reverse();
      });
      run[0].labels.forEach((_, label) => {
        context.fillStyle = colours[label];
        context.beginPath();
        context.moveTo(x(run[0].time), height);
        run.forEach(({ time }, index) => context.lineTo(x(time), height - tops[index][label] * height));
        context.lineTo(Math.max(x(run.at(-1).time), x(run[0].time) + 1.5), height - tops.at(-1)[label] * height);
        context.lineTo(Math.max(x(run.at(-1).time), x(run[0].time) + 1.5), height);
        context.fill();
      });
    }
  }

  /** Times in seconds since the first reading; one column a label ever used. */
  csv() {
    const labels = [...new Set(this.#readings.flatMap((reading) => reading.labels))];
    const probes = [...new Set(this.#readings.flatMap((reading) => reading.probe?.labels ?? []))];
    const header = ['time', 'source', 'subject', ...labels, ...probes.map((label) => `probe:${label}`)];
    const rows = this.#readings.map((reading) => [
      this.#seconds(reading),
      reading.source,
      reading.subject,
      ...labels.map((label) => number(reading.values[reading.labels.indexOf(label)])),
      ...probes.map((label) => number(reading.probe?.values[reading.probe.labels.indexOf(label)])),
    ]);
    return [header, ...rows].map((row) => row.map(quoted).join(',')).join('\r\n') + '\r\n';
  }

  json(about) {
    const readings = this.#readings.map((reading) => ({
      time: Number(this.#seconds(reading)),
      source: reading.source,
      subject: reading.subject,
      probabilities: Object.fromEntries(reading.labels.map((label, index) => [label, reading.values[index]])),
      ...(reading.probe && {
        probe: Object.fromEntries(reading.probe.labels.map((label, index) => [label, reading.probe.values[index]])),
      }),
    }));
    return JSON.stringify({ ...about, readings }, null, 1);
  }

  #seconds(reading) {
    return (reading.time - this.#readings[0].time).toFixed(3);
  }
}

/** Stretches of readings of the same labels and without gaps, from `start` on. */
function* runs(readings, start) {
  let run = [];
  const first = readings.findIndex((reading) => reading.time >= start);
  for (const reading of readings.slice(Math.max(0, first - 1))) {
    const before = run.at(-1);
    const same = before && reading.time - before.time < GAP_SECONDS
      && reading.labels.join('\n') === before.labels.join('\n');
    if (before && !same) {
      yield run;
      run = [];
    }
    run.push(reading);
  }
  if (run.length) yield run;
}

const number = (value) => (value === undefined ? '' : String(value));
const quoted = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

/** Offers a file to save. */
export function save(name, type, content) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([content], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
