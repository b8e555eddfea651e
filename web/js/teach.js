/** Labels of the visitor's own: record, fit, use, save and load. */

import { save } from './timeline.js';

const RECORD_SECONDS = 4;

export class Teach {
  #root;
  #engine;
  #isRunning;
  #timer = null;
  /** Whether the engine hasn't yet said that it records: a second click then would start a second timer. */
  #isStarting = false;

  /**
   * @param engine gives the engine, or null
   * @param isRunning whether frames are coming
   */
  constructor(root, engine, isRunning) {
    this.#root = root;
    this.#engine = engine;
    this.#isRunning = isRunning;
    this.#on('#teach-form', 'submit', (event) => {
      event.preventDefault();
      return this.#record();
    });
    this.#on('#teach-fit', 'click', () => this.#fit());
    this.#on('#probe-save', 'click', async () => {
      const { content } = await this.#ask('saveProbe');
      save('probe.safetensors', 'application/octet-stream', content);
    });
    this.#on('#probe-load', 'click', () => this.#find('#probe-file').click());
    this.#on('#probe-file', 'change', async ({ target }) => {
      const [file] = target.files;
      target.value = '';
      if (!file) return;
      const content = await file.arrayBuffer();
      const { labels } = await this.#ask('loadProbe', { content }, [content]);
      this.#inUse(true);
      this.#say(`In use: ${labels.join(', ')}.`);
    });
    this.#on('#probe-drop', 'click', async () => {
      await this.#ask('dropProbe');
      this.#inUse(false);
      this.#say('');
    });
  }

  /** A new engine knows nothing of what was recorded. */
  clear() {
    this.#stop();
    this.#counts([]);
    this.#inUse(false);
    this.#say('');
  }

  async #record() {
    if (this.#isStarting) return undefined;
    if (this.#timer) return this.#finish();
    const name = this.#find('#teach-name').value.trim();
    if (!name) return this.#say('Give the label a name first.');
    if (!this.#isRunning()) return this.#say('Start the camera or a video first.');
    this.#isStarting = true;
    try {
      await this.#ask('record', { label: name });
    } finally {
      this.#isStarting = false;
    }
    const button = this.#find('#teach-record');
    button.setAttribute('aria-pressed', 'true');
    button.textContent = 'Stop';
    this.#say(`Recording “${name}” …`);
    this.#timer = setTimeout(() => this.#guard(() => this.#finish()), RECORD_SECONDS * 1000);
    return undefined;
  }

  async #finish() {
    this.#stop();
    const { counts } = await this.#ask('record', { label: null });
    this.#counts(counts);
    this.#say(counts.length > 1 ? 'Record more, or fit.' : 'Now another label to tell it from.');
  }

  #stop() {
    clearTimeout(this.#timer);
    this.#timer = null;
    const button = this.#find('#teach-record');
    button.setAttribute('aria-pressed', 'false');
    button.textContent = `Record ${RECORD_SECONDS} s`;
  }

  async #fit() {
    const { report, fitMs } = await this.#ask('fit');
    this.#inUse(true);
    const share = (value) => `${Math.round(value * 100)} %`;
    this.#say(`Fitted in ${Math.round(fitMs)} ms. Of ${report.heldBack} frames held back it gets ${share(report.accuracy)} right;`
      + ` the nearest mean gets ${share(report.centroidAccuracy)}.`);
  }

  #counts(counts) {
    this.#find('#teach-fit').disabled = counts.length < 2;
    this.#find('#teach-list').replaceChildren(...counts.map(({ name, samples }) => {
      const item = document.createElement('li');
      const text = document.createElement('span');
      text.textContent = name;
      const count = document.createElement('span');
      count.className = 'count';
      count.textContent = samples;
      const remove = document.createElement('button');
      remove.type = 'button';
      remove.textContent = '×';
      remove.setAttribute('aria-label', `Forget the recordings of ${name}`);
      remove.addEventListener('click', () => this.#guard(async () => {
        this.#counts((await this.#ask('forget', { label: name })).counts);
      }));
      item.append(text, count, remove);
      return item;
    }));
  }

  #inUse(value) {
    this.#find('#probe-save').hidden = !value;
    this.#find('#probe-drop').hidden = !value;
  }

  #ask(type, fields, transfer) {
    const engine = this.#engine();
    if (!engine) throw new Error('Wait until a model is loaded.');
    return engine.ask(type, fields, transfer);
  }

  #on(selector, event, handler) {
    this.#find(selector).addEventListener(event, (detail) => this.#guard(() => handler(detail)));
  }

  async #guard(action) {
    try {
      await action();
    } catch (error) {
      this.#say(error.message);
    }
  }

  #say(text) {
    this.#find('#teach-status').textContent = text;
  }

  #find(selector) {
    return this.#root.querySelector(selector);
  }
}
