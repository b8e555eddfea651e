/** The page: joins sources, worker and views, and says what goes wrong. */

import { Engine, chooseDevice, saferKernels } from './engine.js';
import { LabelEditor } from './labels.js';
import { bundledModel, bundledModels, forgetAll, load, modelAt, modelFromFiles, storage } from './models.js';
import { Bars, ProbeView, Spoken } from './readings.js';
import { Sources } from './sources.js';
import { Stage } from './stage.js';
import { Teach } from './teach.js';
import { History, save } from './timeline.js';
import { readView, wishedDevice, wishedKernels, writeView } from './view.js';

/** Frames a second at most; the bundled models' windows are made of frames so far apart. */
const FRAMES_PER_SECOND = 8;
/** Losses of the worker after which the CPU is tried. */
const MOST_RESTARTS = 2;

const $ = (selector) => document.querySelector(selector);
const sources = new Sources($('#video'), $('#picture'));
const bars = new Bars($('#bars'));
const spoken = new Spoken($('#spoken'));
const probeView = new ProbeView($('#probe-readings'));
const history = new History($('#timeline'));
const labels = new LabelEditor(document, changeLabels);
const teach = new Teach(document, () => state.engine, () => sources.isMoving && !state.paused);
const stage = new Stage($('#frame'), $('#overlay'), $('#people'), {
  onPick: (id) => setSubject({ mode: 'person', id }),
  onBox: (edges) => setSubject({ mode: 'box', edges }),
});

const state = {
  /** The engine that can be asked, once a model is loaded. */
  engine: null,
  device: null,
  model: null,
  info: null,
  wish: wishedDevice(),
  kernels: wishedKernels(),
  restarts: 0,
  loading: Promise.resolve(),
  paused: false,
  inFlight: false,
  lastSent: 0,
  /** Counts sources, so that a late answer isn't shown over another picture. */
  source: 0,
  subject: { mode: 'auto' },
  rate: { since: 0, frames: 0 },
};

// ------------------------------------------------------------------ what is said

function say(text, { action, onAction } = {}) {
  $('#banner-text').textContent = text;
  const button = $('#banner-action');
  button.hidden = !action;
  button.textContent = action ?? '';
  button.onclick = () => {
    $('#banner').hidden = true;
    onAction();
  };
  $('#banner').hidden = false;
}

const megabytes = (bytes) => `${(bytes / 1e6).toFixed(bytes < 1e7 ? 2 : 1)} MB`;

function showLoading(phase, { loaded = 0, total = 0, detail = '' } = {}) {
  $('#loading').hidden = !phase;
  if (!phase) return;
  if ($('#loading-phase').textContent !== phase) $('#loading-phase').textContent = phase;
  const bar = $('#loading-bar');
  if (total) {
    [bar.max, bar.value] = [total, loaded];
  } else {
    bar.removeAttribute('value');
  }
  $('#loading-detail').textContent = detail;
}

function showProgress({ phase, loaded, total }) {
  if (phase === 'shaders' || phase === 'warm-up') {
    const isGpu = state.device?.kind === 'webgpu';
    const testing = isGpu ? 'Compiling shaders and testing the graphics processor' : 'Testing the model';
    showLoading(phase === 'shaders' ? testing : 'Reading a first picture to warm up', { loaded, total });
    return;
  }
  const detail = loaded ? `${megabytes(loaded)}${total ? ` of ${megabytes(total)}` : ''}` : '';
  showLoading('Loading the engine', { loaded, total, detail });
}

// ------------------------------------------------------------------ engine and model

/** Starts an engine and loads the model; says what prevents it. */
async function start() {
  state.engine = null;
  state.device = await chooseDevice(state.wish, state.kernels);
  showLoading('Loading the engine');
  const engine = new Engine({ onProgress: showProgress, onLost: (error) => lost(engine, error) });
  state.starting = engine;
  let isOpen = false;
  try {
    state.device.kernels = (await engine.open(state.device)).kernels;
    isOpen = true;
    await loadModel(engine, state.model ?? await firstModel());
  } catch (error) {
    if (state.starting !== engine) return;
    failed(engine, error, isOpen);
    return;
  }
  showDevice();
}

/** Loads a model into the engine and shows it; the model in use stays if that fails. */
async function loadModel(engine, model) {
  const own = labels.names.length && !labels.isDefault ? labels.labels : null;
  const ready = await load(engine, model, own, ({ file, loaded, total, cached }) => {
    showLoading('Loading the model', { loaded, total, detail: `${file}: ${megabytes(loaded)} of ${megabytes(total)}${cached ? ', cached' : ''}` });
  });
  if (ready.selfTest && !ready.selfTest.passed && state.device.kind === 'webgpu') {
    throw Object.assign(new Error('this graphics processor computes something else than it should'), { code: 'self-test' });
  }
  state.engine = engine;
  state.model = model;
  state.info = ready.model;
  labels.setCard(ready.model.card?.labels);
  bars.name(labels.names);
  await engine.ask('setLabels', { labels: labels.labels });
  if (state.subject.mode === 'whole' || state.subject.edges) {
    await engine.ask('setSubject', { subject: state.subject });
  } else if (state.subject.mode === 'person') {
    pressSubject({ mode: 'auto' }); // Numbers begin anew with the engine.
  }
  teach.clear();
  showModel(ready);
  showLoading(null);
  document.documentElement.dataset.kernels = state.device.kernels;
  document.documentElement.dataset.ready = state.device.kind;
  remember();
  if (storage.full) say('The browser has no room to keep the model, so it runs from memory and is fetched again next time.');
  kick();
}

async function firstModel() {
  const models = await bundledModels();
  const { model } = readView();
  const wished = models.find(({ id }) => id === model) ?? models[0];
  $('#models').replaceChildren(...models.map(({ id, name }) => new Option(name, id, false, id === wished.id)));
  // A folder of the page's own origin, such as `models/mine/`, or of one that its build allowed.
  return model?.includes('/') ? modelAt(model) : bundledModel(wished.id);
}

/**
 * The engine could not be started, or the model not loaded. Where it was open, the kernels may be
 * to blame: safer ones come first, the CPU last.
 */
function failed(engine, error, isOpen) {
  engine.kill();
  if (error.code === 'model') {
    showLoading(null);
    say(`The model can’t be loaded. ${error.message}.`, { action: 'Try again', onAction: start });
    return;
  }
  const safer = isOpen && state.device.kind === 'webgpu' ? saferKernels(state.device.kernels) : null;
  if (safer) {
    say(`The “${state.device.kernels}” kernels can’t be used here, so the page goes on with the “${safer}” ones: ${error.message}.`);
    state.kernels = safer;
    start();
    return;
  }
  if (state.device.kind === 'webgpu') {
    state.wish = 'cpu';
    say(`Running on the CPU instead, which is slower: ${error.message}.`);
    start();
    return;
  }
  showLoading(null);
  say(`The engine can’t run here: ${error.message}.`, { action: 'Try again', onAction: start });
}

/** A running engine is gone: the graphics processor was lost, or the worker crashed. */
function lost(engine, error) {
  if (state.engine !== engine) return;
  state.engine = null;
  state.inFlight = false;
  state.restarts += 1;
  delete document.documentElement.dataset.ready;
  const what = {
    'device-lost': 'The graphics processor was lost', memory: 'The engine ran out of memory',
  }[error.code] ?? 'The engine stopped';
  if (state.restarts > MOST_RESTARTS && state.device.kind === 'webgpu') {
    state.wish = 'cpu';
    say(`${what} again and again, so the page goes on with the CPU.`);
  } else if (state.restarts > 2 * MOST_RESTARTS) {
    showLoading(null);
    say(`${what} again and again.`, { action: 'Start anew', onAction: () => { state.restarts = 0; start(); } });
    return;
  } else {
    say(`${what}; it was started again.`);
  }
  start();
}

/** One after the other: the engine loads one model at a time. */
function changeModel(model) {
  state.loading = state.loading.then(() => loadInstead(model));
}

async function loadInstead(model) {
  const engine = state.engine ?? state.starting;
  const started = performance.now();
  try {
    await loadModel(engine, model);
    $('#model-status').textContent = `${model.name} loaded in ${((performance.now() - started) / 1000).toFixed(1)} s.`;
  } catch (error) {
    showLoading(null);
    $('#model-status').textContent = state.model
      ? `${error.message}. ${state.info?.card?.name ?? state.model.name} stays in use.`
      : `${error.message}.`;
    const option = $('#models').querySelector(`[value="${state.model?.id ?? ''}"]`);
    if (option) option.selected = true;
    kick();
  }
}

function showDevice() {
  const { kind, kernels, name } = state.device;
  $('#fact-device').textContent = kind === 'webgpu' ? `${name}, ${kernels} kernels` : name;
  if (state.device.fallback && state.restarts === 0 && $('#banner').hidden) {
    say(`Running on the CPU, because ${state.device.reason}. Readings are the same, only slower.`);
  }
}

function showModel({ model, selfTest, heap }) {
  const { card } = model;
  const honest = $('#trained');
  honest.hidden = false;
  honest.textContent = card
    ? `The model “${card.name}” was trained on ${card.trainedOn}. ${card.caution}`
    : 'This model’s files don’t say what it was trained on.';
  const facts = [
    ['Size', `${megabytes(model.bytes)}, ${(model.parameters / 1e6).toFixed(2)} M parameters`],
    ['Sees', `${model.frames} frames of ${model.side} × ${model.side} pixels, ${model.grid} × ${model.grid} patches`],
    ['Trained on', card?.trainedOn ?? 'its files don’t say'],
    ['Self-test', selfTest
      ? `${selfTest.passed ? 'passed' : 'failed'}, cosine ${selfTest.picture.toFixed(6)} (picture), ${selfTest.sentence.toFixed(6)} (sentence)`
      : 'the files carry none'],
    ['Memory', `${megabytes(heap)} of WebAssembly`],
    ['Hash', model.hash.slice(0, 16)],
  ];
  $('#model-facts').replaceChildren(...facts.flatMap(([name, value]) => {
    const [dt, dd] = [document.createElement('dt'), document.createElement('dd')];
    [dt.textContent, dd.textContent] = [name, value];
    return [dt, dd];
  }));
  const layers = Array.from({ length: model.layers }, (_, layer) => new Option(`${layer + 1} of ${model.layers}`, layer));
  $('#layer').replaceChildren(new Option('all, averaged', 'mean'), ...layers);
  $('#layer').value = String(stage.explainView.layer);
  if (!$('#layer').value) $('#layer').value = 'mean';
}

// ------------------------------------------------------------------ frames

/** Sends a frame if the last was answered, enough time has passed and something is shown. */
async function tick() {
  const now = performance.now();
  const early = now - state.lastSent < 1000 / FRAMES_PER_SECOND - 8;
  if (!state.engine || state.inFlight || state.paused || !sources.kind || (early && sources.isMoving)) return;
  state.inFlight = true;
  state.lastSent = now;
  const { engine, source } = state;
  try {
    const frame = await sources.frame();
    if (!frame) return;
    const reading = await engine.ask('frame', { frame, explain: $('#explain').checked }, [frame]);
    if (state.engine === engine && state.source === source) show(reading);
  } catch (error) {
    if (error.code === 'picture') say(`${error.message}.`);
    // Whatever else is wrong ends the worker, and `lost` deals with it.
  } finally {
    if (state.engine === engine || !state.engine) state.inFlight = false;
  }
}

/** One look at what stands still, now that something about it has changed. */
const kick = () => {
  if (!sources.isMoving || state.paused) lookOnce();
};

async function lookOnce() {
  const { paused } = state;
  state.paused = false;
  while (state.inFlight) await new Promise((resolve) => setTimeout(resolve, 20));
  const look = tick();
  state.paused = paused;
  await look;
}

function show(reading) {
  const seconds = performance.now() / 1000;
  stage.show(reading, reading.attention, sources.mirrored);
  const shares = bars.show(reading.probabilities, seconds);
  spoken.tell(bars.names, shares, seconds);
  probeView.show(reading.probe, seconds);
  const { subject } = reading;
  const who = {
    person: `person ${subject.id}`,
    box: subject.edges ? 'your box' : 'a box outside the picture',
    whole: 'the whole picture',
    nobody: 'no face found: the scene alone',
  }[subject.kind];
  $('#who').textContent = who;
  history.add({
    time: seconds, labels: bars.names, values: reading.probabilities, probe: reading.probe,
    subject: subject.kind === 'person' ? `person ${subject.id}` : subject.kind, source: sources.kind,
  });
  $('#span-text').textContent = `${history.length} readings`;
  for (const id of ['#save-csv', '#save-json', '#clear-history']) $(id).disabled = false;
  $('#fact-detect').textContent = reading.detectMs.toFixed(0);
  $('#fact-encode').textContent = reading.encodeMs.toFixed(0);
  if (seconds - state.rate.since > 6) state.rate = { since: seconds, frames: -1 };
  state.rate.frames += 1;
  if (seconds - state.rate.since >= 2) {
    $('#fact-fps').textContent = (state.rate.frames / (seconds - state.rate.since)).toFixed(1);
    state.rate = { since: seconds, frames: 0 };
  }
  globalThis.dispatchEvent(new CustomEvent('reading', { detail: reading }));
}

// ------------------------------------------------------------------ what the visitor does

async function use(kind, open) {
  try {
    await open();
  } catch (error) {
    say(error.message);
    return;
  }
  state.source += 1;
  state.paused = false;
  $('#welcome').hidden = true;
  $('#pause').disabled = kind === 'picture';
  $('#pause').setAttribute('aria-pressed', 'false');
  $('#pause').textContent = 'Pause';
  for (const button of document.querySelectorAll('[data-source]')) {
    button.setAttribute('aria-pressed', String(button.dataset.source === kind));
  }
  $('#camera-choice').hidden = kind !== 'camera';
  stage.clear();
  bars.clear();
  if (['person', 'box'].includes(state.subject.mode)) pressSubject({ mode: 'auto' });
  await state.engine?.ask('reset');
  kick();
}

async function useCamera(deviceId) {
  await use('camera', async () => {
    const id = await sources.camera(deviceId, cameraGone);
    const cameras = await sources.cameras();
    $('#cameras').replaceChildren(...cameras.map(({ deviceId: value, label }, index) =>
      new Option(label || `Camera ${index + 1}`, value, false, value === id)));
  });
  if (sources.kind === 'camera') $('#camera-choice').hidden = $('#cameras').options.length < 2;
}

function cameraGone() {
  sources.stop();
  state.source += 1;
  stage.clear();
  $('#welcome').hidden = false;
  $('#camera-choice').hidden = true;
  $('#pause').disabled = true;
  for (const button of document.querySelectorAll('[data-source]')) button.setAttribute('aria-pressed', 'false');
  say('The camera was switched off or unplugged.', { action: 'Use it again', onAction: () => useCamera() });
}

const useSample = () => use('sample', () => sources.sample());

function useFile(file) {
  return file.type.startsWith('image/')
    ? use('picture', () => sources.picture(file))
    : use('video', () => sources.video(file));
}

async function changeLabels() {
  const { engine } = state;
  if (engine) {
    const { probabilities } = await engine.ask('setLabels', { labels: labels.labels });
    bars.name(labels.names);
    if (probabilities) bars.show(probabilities, performance.now() / 1000);
  } else {
    bars.name(labels.names);
  }
  remember();
}

async function setSubject(subject) {
  try {
    await state.engine?.ask('setSubject', { subject });
  } catch (error) {
    say(`${error.message}.`);
    return;
  }
  pressSubject(subject);
  kick();
}

function pressSubject(subject) {
  state.subject = subject;
  const mode = subject.mode === 'person' ? 'auto' : subject.mode;
  for (const button of document.querySelectorAll('[data-subject]')) {
    button.setAttribute('aria-pressed', String(button.dataset.subject === mode));
  }
  stage.drawing = subject.mode === 'box';
  $('#subject-hint').textContent = {
    auto: 'Click a face to pick it.',
    person: `Following person ${subject.id}.`,
    box: 'Drag over the picture.',
    whole: 'Everybody and everything counts.',
  }[subject.mode];
}

function remember() {
  writeView({
    labels: labels.isDefault ? [] : labels.names,
    template: labels.isDefaultTemplate ? '' : labels.template,
    model: state.model?.id === $('#models').options[0]?.value ? '' : state.model?.id,
    explain: $('#explain').checked,
    layer: $('#layer').value || 'mean',
  });
}

function setExplain() {
  $('#explain-tools').hidden = !$('#explain').checked;
  const layer = $('#layer').value;
  stage.explainView = {
    layer: layer === 'mean' || layer === '' ? 'mean' : Number(layer),
    token: $('#token').value,
    patches: $('#patches').checked,
  };
  stage.draw();
  remember();
  kick();
}

$('#start-camera').addEventListener('click', () => useCamera());
$('#start-sample').addEventListener('click', useSample);
$('#banner-close').addEventListener('click', () => { $('#banner').hidden = true; });
for (const button of document.querySelectorAll('[data-source]')) {
  button.addEventListener('click', () => ({
    camera: () => useCamera(),
    video: () => $('#video-file').click(),
    picture: () => $('#picture-file').click(),
    sample: useSample,
  })[button.dataset.source]());
}
for (const id of ['#video-file', '#picture-file']) {
  $(id).addEventListener('change', ({ target }) => {
    const [file] = target.files;
    target.value = '';
    if (file) useFile(file);
  });
}
$('#cameras').addEventListener('change', ({ target }) => useCamera(target.value));
for (const button of document.querySelectorAll('[data-subject]')) {
  button.addEventListener('click', () => {
    const mode = button.dataset.subject;
    // A box means something only once it is drawn.
    if (mode === 'box') pressSubject({ mode });
    else setSubject({ mode });
  });
}
$('#pause').addEventListener('click', () => {
  state.paused = !state.paused;
  sources.pause(state.paused);
  $('#pause').setAttribute('aria-pressed', String(state.paused));
  $('#pause').textContent = state.paused ? 'Go on' : 'Pause';
});
for (const id of ['#explain', '#layer', '#token', '#patches']) $(id).addEventListener('change', setExplain);
$('#save-csv').addEventListener('click', () => save('readings.csv', 'text/csv', history.csv()));
$('#save-json').addEventListener('click', () => save('readings.json', 'application/json', history.json({
  model: state.info?.hash, device: state.device?.name,
})));
$('#clear-history').addEventListener('click', () => {
  history.clear();
  $('#span-text').textContent = '';
  for (const id of ['#save-csv', '#save-json', '#clear-history']) $(id).disabled = true;
});
$('#models').addEventListener('change', ({ target }) => changeModel(bundledModel(target.value)));
$('#model-address').addEventListener('submit', (event) => {
  event.preventDefault();
  const address = $('#model-url').value.trim();
  if (address) orSay(() => changeModel(modelAt(address)));
});
$('#model-open').addEventListener('click', () => $('#model-files').click());
$('#model-files').addEventListener('change', ({ target }) => {
  const files = [...target.files];
  target.value = '';
  if (files.length) openFiles(files);
});
$('#forget').addEventListener('click', async () => {
  await forgetAll();
  const workers = await navigator.serviceWorker?.getRegistrations() ?? [];
  await Promise.all(workers.map((worker) => worker.unregister()));
  for (const name of await globalThis.caches?.keys() ?? []) await caches.delete(name);
  say('The copies are removed. The next visit fetches everything again.');
});
addEventListener('dragover', (event) => event.preventDefault());
addEventListener('drop', (event) => {
  event.preventDefault();
  openFiles([...event.dataTransfer.files]);
});

/** Dropped or chosen: a picture, a video, or a model's files. */
function openFiles(files) {
  if (!files.length) return;
  const [first] = files;
  if (files.length === 1 && /^(image|video)\//.test(first.type)) {
    useFile(first);
    return;
  }
  orSay(() => changeModel(modelFromFiles(files)));
}

/** Says in the model's card what prevents something. */
function orSay(change) {
  try {
    change();
  } catch (error) {
    $('#model-status').textContent = `${error.message}.`;
  }
}

// ------------------------------------------------------------------ begin

const view = readView();
labels.restore(view.labels, view.template);
$('#explain').checked = view.explain;
$('#explain-tools').hidden = !view.explain;
stage.explainView.layer = view.layer === 'mean' ? 'mean' : Number(view.layer) || 0;
sources.onFrame(tick);
if (navigator.serviceWorker && location.protocol.startsWith('http')) {
  navigator.serviceWorker.register(new URL('../sw.js', import.meta.url)).catch(() => {});
}
/** For tests only: what a crash and a lost device look like, and the kernels beside their references. */
globalThis.emotionclip = {
  checkKernels: () => state.engine?.ask('checkKernels'),
  loseDevice: () => state.engine?.ask('loseDevice'),
  fillMemory: () => state.engine?.ask('fillMemory'),
  killWorker: () => { const { engine } = state; engine?.kill(); lost(engine, new Error('killed')); },
  subject: setSubject,
};
start();
