/**
 * The messages between the page and its worker, version 1. Both sides follow this file; the values
 * that come from Rust have the names and fields of the types in `crates/web/src`.
 *
 * Every message is an object with a `type`. A request of the page carries a number `seq`, and its
 * answer carries the same one; the answer to any request may be `error` instead.
 *
 * | page → worker | fields | answer |
 * |---|---|---|
 * | `init` | `version`, `device`: 'webgpu' or 'cpu', `kernels`: 'auto', 'gpu', 'software', 'plain' or 'stock', `preparation`: 'auto' or 'host' | `opened`: `kernels` in use |
 * | `loadModel` | `manifest`: ArrayBuffer of model.json | `files`: `files`: [[name, bytes], …] |
 * | `addFile` | `name`, `content`: ArrayBuffer (transferred) | `added` |
 * | `finishModel` | `labels`: Label[] or null for the card's | `ready`: `model`: ModelInfo, `selfTest`: SelfTest or null, `preparation`: where frames are prepared, 'device' or 'host' |
 * | `frame` | `frame`: VideoFrame or ImageBitmap (transferred; the worker closes it), `explain`: boolean | `reading`: Reading and `attention`, `width`, `height`, `prepared`: 'device' or 'host', `totalMs`, `heap` |
 * | `setLabels` | `labels`: Label[] | `labels`: `probabilities` of the last frame, or null |
 * | `setSubject` | `subject`: Subject | `subject` |
 * | `explain` | – | `attention`: Attention or null |
 * | `reset` | – | `reset` |
 * | `record` | `label`: string, or null to stop | `lesson`: `counts`: [{name, samples}, …] |
 * | `forget` | `label` | `lesson` |
 * | `fit` | – | `fitted`: `report`: FitReport, `fitMs` |
 * | `saveProbe` | – | `probe`: `content`: ArrayBuffer |
 * | `loadProbe` | `content`: ArrayBuffer | `probeLoaded`: `labels`: string[] |
 * | `dropProbe` | – | `probeDropped` |
 * | `comparePreparation` | `frame` as above, `subject`: [left, top, right, bottom] or null, `rgba`: its pixels where they are known (tests only) | `compared`: `difference`: Difference, `width`, `height` |
 * | `checkKernels` | – (tests only) | `checked`: `comparisons`: [{what, distance, tolerance, passed}, …] |
 * | `loseDevice` | – (tests only) | `deviceLosing` |
 * | `fillMemory` | – (tests only) | `memoryFilled`: `heap` |
 * | `dispose` | – | `disposed`, then the worker closes |
 *
 * | worker → page, unasked | fields |
 * |---|---|
 * | `progress` | `phase`: 'engine', 'shaders' or 'warm-up', `loaded`, `total` (0 when unknown), for 'engine' also `cached`: whether the bytes are a kept copy's |
 * | `error` without `seq` | `code`: 'device-lost', 'memory' or 'worker', `message`: the worker is of no more use |
 *
 * @typedef {{name: string, texts: string[]}} Label
 * @typedef {{mode: 'auto'} | {mode: 'whole'} | {mode: 'person', id: number}
 *   | {mode: 'box', edges: [number, number, number, number]}} Subject in pixels of the frame
 * @typedef {{type: 'error', seq?: number, code: string, message: string}} ErrorMessage `code` is
 *   'engine' (its module can't be had), 'model', 'labels', 'picture', 'subject', 'probe', 'device', 'device-lost',
 *   'memory', 'version' or 'worker'
 *
 * One frame is in flight at a time: the page sends the next after the answer to the last, and drops
 * what the camera shows in between.
 */

/** Both sides must be of the same version. */
export const VERSION = 1;

/** An error with a code, as a message carries it. */
export const coded = (code, message) => Object.assign(new Error(message), { code });
