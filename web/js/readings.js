/** Bars of the labels, smoothed, with the number; and valence and arousal where a probe has them. */

import { coloursOf } from './colours.js';

/** Seconds after which a change has shown by two thirds. */
const SMOOTHING_SECONDS = 0.5;
/** Seconds between what a screen reader is told. */
const SPOKEN_SECONDS = 5;

const percent = (share) => `${Math.round(share * 100)} %`;

export class Bars {
  #list;
  #rows = [];
  #names = [];
  #shown = [];
  #time = 0;

  constructor(list) {
    this.#list = list;
  }

  /** Other names begin anew. */
  name(names) {
    this.#names = names;
    this.#shown = [];
    const colours = coloursOf(names);
    this.#rows = names.map((name, index) => {
      const row = document.createElement('li');
      const label = span('name', name);
      label.title = name;
      const track = span('track');
      const fill = span('fill');
      track.setAttribute('aria-hidden', 'true');
      fill.style.setProperty('--tint', colours[index]);
      track.append(fill);
      const value = span('value', '–');
      row.append(label, track, value);
      return { row, fill, value };
    });
    this.#list.replaceChildren(...this.#rows.map(({ row }) => row));
  }

  /** Takes the shares at a time in seconds; gives the smoothed ones. */
  show(shares, seconds) {
    const step = seconds - this.#time;
    const keep = this.#shown.length === shares.length && step > 0 && step < 5
      ? Math.exp(-step / SMOOTHING_SECONDS) : 0;
    this.#time = seconds;
    this.#shown = shares.map((share, index) => keep * (this.#shown[index] ?? 0) + (1 - keep) * share);
    const top = this.#shown.indexOf(Math.max(...this.#shown));
    this.#rows.forEach(({ row, fill, value }, index) => {
      const share = this.#shown[index] ?? 0;
      fill.style.setProperty('--share', Math.min(1, Math.max(0, share)).toFixed(4));
      value.textContent = percent(share);
      row.classList.toggle('leading', index === top);
    });
    return this.#shown;
  }

  clear() {
    this.#shown = [];
    for (const { fill, value, row } of this.#rows) {
      fill.style.setProperty('--share', '0');
      value.textContent = '–';
      row.classList.remove('leading');
    }
  }

  get names() {
    return this.#names;
  }
}

/** Tells a screen reader the leading label now and then. */
export class Spoken {
  #element;
  #last = 0;

  constructor(element) {
    this.#element = element;
  }

  tell(names, shares, seconds) {
    if (seconds - this.#last < SPOKEN_SECONDS || !shares.length) return;
    this.#last = seconds;
    const top = shares.indexOf(Math.max(...shares));
    this.#element.textContent = `${names[top]} ${percent(shares[top])}`;
  }
}

/** Outputs of a probe: shares as bars, valence and arousal in their plane. */
export class ProbeView {
  #root;
  #bars;
  #labels = '';

  constructor(root) {
    this.#root = root;
    this.#bars = new Bars(root.querySelector('#probe-bars'));
  }

  show(probe, seconds) {
    this.#root.hidden = !probe;
    if (!probe) {
      this.#labels = '';
      return;
    }
    const find = (name) => probe.values[probe.labels.findIndex((label) => label.toLowerCase() === name)];
    const plane = this.#root.querySelector('#affect');
    const [valence, arousal] = [find('valence'), find('arousal')];
    const hasPlane = valence !== undefined && arousal !== undefined;
    plane.hidden = probe.kind !== 'ridge' && !hasPlane;
    plane.querySelector('canvas').hidden = !hasPlane;
    if (hasPlane) {
      this.#draw(valence, arousal);
    } else if (!plane.hidden) {
      plane.querySelector('#affect-text').textContent = probe.labels
        .map((label, index) => `${label} ${probe.values[index].toFixed(2)}`).join(', ');
    }
    const key = probe.labels.join('\n');
    if (key !== this.#labels) {
      this.#labels = key;
      this.#bars.name(probe.kind === 'ridge' ? [] : probe.labels);
    }
    if (probe.kind !== 'ridge') this.#bars.show(probe.values, seconds);
  }

  #draw(valence, arousal) {
    const canvas = this.#root.querySelector('#affect-plane');
    const context = canvas.getContext('2d');
    const { width, height } = canvas;
    const style = getComputedStyle(canvas);
    context.clearRect(0, 0, width, height);
    // Computed colours, because a canvas doesn't know `light-dark()`.
    context.strokeStyle = style.outlineColor;
    context.beginPath();
    context.moveTo(width / 2, 0);
    context.lineTo(width / 2, height);
    context.moveTo(0, height / 2);
    context.lineTo(width, height / 2);
    context.stroke();
    context.fillStyle = style.outlineColor;
    context.font = '12px system-ui, sans-serif';
    context.textAlign = 'left';
    context.fillText('unpleasant', 6, height / 2 - 6);
    context.textAlign = 'right';
    context.fillText('pleasant', width - 6, height / 2 - 6);
    context.textAlign = 'center';
    context.fillText('excited', width / 2, 16);
    context.fillText('calm', width / 2, height - 8);
    const place = (value, side) => (Math.min(1, Math.max(-1, value)) + 1) / 2 * side;
    context.fillStyle = style.color;
    context.beginPath();
    context.arc(place(valence, width), height - place(arousal, height), 9, 0, 7);
    context.fill();
    this.#root.querySelector('#affect-text').textContent =
      `Valence ${valence.toFixed(2)}, arousal ${arousal.toFixed(2)}; each from −1 to 1`;
  }
}

function span(name, text = '') {
  const element = document.createElement('span');
  element.className = name;
  element.textContent = text;
  return element;
}
