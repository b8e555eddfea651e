/** The page: joins sources, worker and views, and says what goes wrong. */

import { Engine, chooseDevice, saferKernels } from './engine.js';
import { LabelEditor } from './labels.js';
import { bundledModel, bundledModels, forgetAll, load, modelAt, modelFromFiles, sizeOf, storage } from './models.js';
import { wordsFor } from './modules.js';
import { Bars, ProbeView, Spoken } from './readings.js';
import { Sources } from './sources.js';
import { Stage } from './stage.js';
import { Teach } from './teach.js';
import { History, save } from './timeline.js';
import { readView, wishedDevice, wishedKernels, wishedPreparation, writeView } from './view.js';

/** Frames a second at most; the bundled models' windows are made of frames so far apart. */
const FRAMES_PER_SECOND = 8;
/** Errors that a model's files or what was asked of it are to blame for. */
const OF_THE_FILES = ['model', 'labels'];
/** Errors that neither kernels nor the graphics processor are to blame for. */
const BLAMELESS = [...OF_THE_FILES, 'memory', 'version'];
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
  /** Whether a model is being brought into use. */
  bringing: false,
  paused: false,
  inFlight: false,
  lastSent: 0,
  /** Counts sources, so that a late answer isn't shown over another picture. */
  source: 0,
  subject: { mode: 'auto' },
  rate: { since: -Infinity, frames: 0 },
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

function showProgress({ phase, loaded, total, cached }) {
  if (phase === 'shaders' || phase === 'warm-up') {
    const isGpu = state.device?.kind === 'webgpu';
    const testing = isGpu ? 'Compiling shaders and testing the graphics processor' : 'Testing the model';
    showLoading(phase === 'shaders' ? testing : 'Reading a first picture to warm up', { loaded, total });
    return;
  }
  const detail = `${megabytes(loaded)}${total ? ` of ${megabytes(total)}` : ''}${cached ? ', cached' : ''}`;
  showLoadingEngine({ loaded, total, detail });
}

const showLoadingEngine = (progress) => showLoading(`Loading ${wordsFor(state.device.kind)}`, progress);

// ------------------------------------------------------------------ engine and model

/** Starts an engine with the model in use, or with the first one. */
async function start() {
  try {
    await bring(state.model ?? await firstModel());
  } catch (error) {
    showLoading(null);
    say(`The page can’t be started. ${error.message}.`, { action: 'Try again', onAction: restart });
  }
}

/** One after the other: one model is loaded at a time. */
function queue(work) {
  state.loading = state.loading.then(work);
  return state.loading;
}

const restart = () => queue(start);
const changeModel = (model) => queue(() => bring(model));

/**
 * Brings a model into use: into the engine that runs, else into a new one. Where the kernels are to
 * blame, a new engine with safer ones takes the model, at last the CPU. What is the model's own fault is
 * said, and the one in use stays.
 */
async function bring(model) {
  const started = performance.now();
  const before = { model: state.model, wish: state.wish, kernels: state.kernels };
  const isChange = before.model !== null && before.model !== model;
  let { engine } = state;
  state.bringing = true;
  try {
    for (;;) {
      let isOpen = Boolean(engine);
      try {
        if (!engine) {
          engine = await newEngine();
          state.device.kernels = (await engine.open(state.device, wishedPreparation())).kernels;
          isOpen = true;
        }
        await loadModel(engine, model, isChange);
        break;
      } catch (error) {
        if (state.device.kind !== 'webgpu' || (isOpen && BLAMELESS.includes(error.code))) {
          if (isChange) await keepOld(engine, before, error);
          else failed(engine, before, error);
          return;
        }
        giveUp(engine);
        engine = null;
        goDown(error, isOpen);
      }
    }
  } finally {
    state.bringing = false;
  }
  showDevice();
  if (isChange) $('#model-status').textContent = `${model.name} loaded in ${((performance.now() - started) / 1000).toFixed(1)} s.`;
}

/** An engine on the device that is chosen, not yet open. */
async function newEngine() {
  state.device = await chooseDevice(state.wish, state.kernels);
  showLoadingEngine();
  const engine = new Engine({ onProgress: showProgress, onLost: (error) => lost(engine, error) });
  return engine;
}

/** Chooses what to compute with after this error, and says so. An engine that didn't open has no kernels. */
function goDown(error, isOpen) {
  if (error.code === 'device-lost' && state.restarts < MOST_RESTARTS) {
    state.restarts += 1;
    say('The graphics processor was lost; it was started again.');
    return;
  }
  const kernels = isOpen ? saferKernels(state.device.kernels) : null;
  if (kernels) {
    say(`The “${state.device.kernels}” kernels can’t be used here, so the page goes on with the “${kernels}” ones: ${error.message}.`);
    state.kernels = kernels;
  } else {
    say(`Running on the CPU instead, which is slower: ${error.message}.`);
    state.wish = 'cpu';
  }
}

function giveUp(engine) {
  engine?.kill();
  if (state.engine === engine) state.engine = null;
  state.inFlight = false;
  delete document.documentElement.dataset.ready;
}

/** The first model, or the one in use, can't be loaded anew. */
function failed(engine, before, error) {
  giveUp(engine);
  showLoading(null);
  const what = { engine: 'The page can’t start:', model: 'The model can’t be loaded.' }[error.code] ?? 'The engine can’t run here:';
  // A module that can't be had says nothing of the device: the next try is with what was wished for.
  if (error.code === 'engine') [state.wish, state.kernels] = [before.wish, before.kernels];
  say(`${what} ${error.message}.`, { action: 'Try again', onAction: restart });
}

/** Another model can't be used; the one before it is still there, or is loaded again. */
async function keepOld(engine, before, error) {
  const name = state.info?.card?.name ?? before.model.name;
  if (state.engine === engine && OF_THE_FILES.includes(error.code)) {
    showLoading(null);
    kick();
  } else {
    giveUp(engine);
    say(error.code === 'memory'
      ? 'The engine ran out of memory; it was started again.'
      : `The engine was started again with ${name}.`);
    [state.wish, state.kernels] = [before.wish, before.kernels];
    await bring(before.model);
  }
  $('#model-status').textContent = `${error.message}. ${name} stays in use.`;
  const option = $('#models').querySelector(`[value="${before.model.id ?? ''}"]`);
  if (option) option.selected = true;
}

/** Loads a model into the engine and shows it. */
async function loadModel(engine, model, isChange) {
  const own = labels.names.length && !labels.isDefault ? labels.labels : null;
  const ready = await load(engine, model, own, ({ file, loaded, total, cached }) => {
    showLoading('Loading the model', { loaded, total, detail: `${file}: ${megabytes(loaded)} of ${megabytes(total)}${cached ? ', cached' : ''}` });
  });
  if (ready.selfTest && !ready.selfTest.passed && (isChange || state.device.kind === 'webgpu')) {
    const what = state.device.kind === 'webgpu'
      ? 'this graphics processor computes something else than it should'
      : 'it computes something else here than its files say';
    throw Object.assign(new Error(what), { code: 'self-test' });
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
  showSizes();
  // A folder of the page's own origin, such as `models/mine/`, or of one that its build allowed.
  return model?.includes('/') ? modelAt(model) : bundledModel(wished.id);
}

/** Says in the menu how large each model is; one that can't be had now stays without. */
function showSizes() {
  for (const option of $('#models').options) {
    sizeOf(bundledModel(option.value)).then(
      (bytes) => { option.textContent = `${option.textContent}, ${megabytes(bytes)}`; },
      () => {},
    );
  }
}

/** A running engine is gone: the graphics processor was lost, or the worker crashed. */
function lost(engine, error) {
  // An engine that takes a model is the business of who brings it.
  if (state.engine !== engine || state.bringing) return;
  giveUp(engine);
  state.restarts += 1;
  const what = {
    'device-lost': 'The graphics processor was lost', memory: 'The engine ran out of memory',
  }[error.code] ?? 'The engine stopped';
  if (state.restarts > MOST_RESTARTS && state.device.kind === 'webgpu') {
    state.wish = 'cpu';
    say(`${what} again and again, so the page goes on with the CPU.`);
  } else if (state.restarts > 2 * MOST_RESTARTS) {
    showLoading(null);
    say(`${what} again and again.`, { action: 'Start anew', onAction: () => { state.restarts = 0; restart(); } });
    return;
  } else {
    say(`${what}; it was started again.`);
  }
  restart();
}

function showDevice() {
  const { kind, kernels, name } = state.device;
  $('#fact-device').textContent = kind === 'webgpu' ? `${name}, ${kernels} kernels` : name;
  if (state.device.fallback && state.restarts === 0 && $('#banner').hidden) {
    say(`Running on the CPU, because ${state.device.reason}. Readings are the same, only slower.`);
  }
}

function showModel({ model, selfTest, preparation, heap }) {
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
    ['Preparation', preparation === 'device' ? 'of frames on the graphics processor' : 'of frames on the CPU'],
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

/**
 * Sends a frame if the last was answered and something is shown; unless `once`, only if it isn't paused
 * and enough time has passed.
 */
async function tick({ once = false } = {}) {
  const now = performance.now();
  const early = now - state.lastSent < 1000 / FRAMES_PER_SECOND - 8;
  if (!state.engine || state.inFlight || !sources.kind) return;
  if (!once && (state.paused || (early && sources.isMoving))) return;
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
  while (state.inFlight) await new Promise((resolve) => setTimeout(resolve, 20));
  await tick({ once: true });
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

/** `open` gives whether the source is shown. Where it throws, the one before it goes on, or there is none any more. */
async function use(kind, open) {
  try {
    if (!await open()) return;
  } catch (error) {
    if (!sources.kind) showSource(null);
    say(error.message);
    return;
  }
  showSource(kind);
  bars.clear();
  if (['person', 'box'].includes(state.subject.mode)) pressSubject({ mode: 'auto' });
  await state.engine?.ask('reset');
  kick();
}

/** Another source is looked at, or none where `kind` is null: what belonged to the one before it goes. */
function showSource(kind) {
  state.source += 1;
  state.paused = false;
  $('#welcome').hidden = kind !== null;
  $('#pause').disabled = kind === null || kind === 'picture';
  $('#pause').setAttribute('aria-pressed', 'false');
  $('#pause').textContent = 'Pause';
  for (const button of document.querySelectorAll('[data-source]')) {
    button.setAttribute('aria-pressed', String(button.dataset.source === kind));
  }
  $('#camera-choice').hidden = kind !== 'camera';
  stage.clear();
}

async function useCamera(deviceId) {
  await use('camera', async () => {
    const isShown = await sources.camera(deviceId, cameraGone);
    if (isShown) {
      $('#cameras').replaceChildren(...sources.cameras.map(({ deviceId: value, label }, index) =>
        new Option(label || `Camera ${index + 1}`, value, false, value === sources.deviceId)));
    }
    return isShown;
  });
  if (sources.kind !== 'camera') return;
  // Where the one that was chosen can't be opened, the one before it goes on.
  $('#cameras').value = sources.deviceId;
  $('#camera-choice').hidden = $('#cameras').options.length < 2;
}

function cameraGone() {
  sources.stop();
  showSource(null);
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

/** Once the page is there: what it keeps for the next visit has time. */
function keepPage() {
  if (!navigator.serviceWorker || !location.protocol.startsWith('http')) return;
  navigator.serviceWorker.register(new URL('../sw.js', import.meta.url)).catch(() => {});
}
/** For tests only: what a crash and a lost device look like, and the kernels beside their references. */
globalThis.emotionclip = {
  checkKernels: () => state.engine?.ask('checkKernels'),
  loseDevice: () => state.engine?.ask('loseDevice'),
  fillMemory: () => state.engine?.ask('fillMemory'),
  killWorker: () => { const { engine } = state; engine?.kill(); lost(engine, new Error('killed')); },
  subject: setSubject,
  /** Both preparations of a frame; `subject` are edges or null, `rgba` its pixels where they are known. */
  comparePreparation: (frame, subject, rgba) => state.engine?.ask('comparePreparation', { frame, subject, rgba }, [frame]),
};
restart().finally(keepPage);
