/** What is looked at: a camera, a video, a picture or the sample clip. */

import { coded } from './messages.js';

const SAMPLE = new URL('../clips/sample.webm', import.meta.url);
const MOST_PIXELS = 4096 * 4096;

export class Sources {
  #video;
  #picture;
  #stream = null;
  #url = null;
  #hasPicture = false;
  /** Counts what was asked for: what gets ready when something else was asked for since is dropped. */
  #asked = 0;
  /** Counts stops, so that what comes of an earlier `play()` isn't taken for the present source's. */
  #stops = 0;
  /** @type {'camera'|'video'|'picture'|'sample'|null} */
  kind = null;
  /** Whether the picture is shown as in a mirror. */
  mirrored = false;
  /** The cameras by name; names are there once one was allowed. */
  cameras = [];

  constructor(video, picture) {
    this.#video = video;
    this.#picture = picture;
  }

  /**
   * Asks for the camera; `deviceId` or the one that faces the visitor. `onEnded` when it goes.
   * @returns {Promise<boolean>} whether it is shown: as with every source, not if another was asked for meanwhile
   */
  camera(deviceId, onEnded) {
    const prepare = async () => {
      const stream = await openCamera(deviceId);
      this.cameras = await listCameras();
      return stream;
    };
    return this.#open(prepare, (stream) => {
      this.#stream = stream;
      const [track] = stream.getVideoTracks();
      track.addEventListener('ended', onEnded);
      this.mirrored = track.getSettings().facingMode !== 'environment';
      this.#video.srcObject = stream;
      return this.#play('camera');
    }, stopTracks);
  }

  video(file) {
    return this.#open(() => file, (content) => this.#playContent(content, 'video'));
  }

  sample() {
    return this.#open(fetchSample, (content) => this.#playContent(content, 'sample'));
  }

  picture(file) {
    return this.#open(() => decode(file), (bitmap) => this.#draw(bitmap), (bitmap) => bitmap.close());
  }

  /**
   * Opens a source; the one before it goes on until there is something to show.
   * @param prepare gives what is to be shown
   * @param show shows it, and gives whether it is still what is shown
   * @param discard closes what isn't wanted any more
   */
  async #open(prepare, show, discard = () => {}) {
    this.#asked += 1;
    const asked = this.#asked;
    let source;
    try {
      source = await prepare();
    } catch (error) {
      if (asked !== this.#asked) return false;
      throw error;
    }
    if (asked !== this.#asked) {
      discard(source);
      return false;
    }
    this.stop();
    return show(source);
  }

  #draw(bitmap) {
    const canvas = this.#picture;
    [canvas.width, canvas.height] = [bitmap.width, bitmap.height];
    const context = canvas.getContext('2d');
    context.fillStyle = '#fff';
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.drawImage(bitmap, 0, 0);
    bitmap.close();
    canvas.hidden = false;
    this.#hasPicture = true;
    this.kind = 'picture';
    return true;
  }

  stop() {
    this.#stops += 1;
    if (this.#stream) stopTracks(this.#stream);
    this.#stream = null;
    this.#video.pause();
    this.#video.srcObject = null;
    this.#video.removeAttribute('src');
    this.#video.load();
    this.#video.hidden = true;
    this.#picture.hidden = true;
    if (this.#url) URL.revokeObjectURL(this.#url);
    this.#url = null;
    this.#hasPicture = false;
    this.mirrored = false;
    this.kind = null;
  }

  get isMoving() {
    return this.kind !== null && this.kind !== 'picture';
  }

  /** Which camera is on, if one is. */
  get deviceId() {
    return this.#stream?.getVideoTracks()[0].getSettings().deviceId;
  }

  /** Width and height of what is looked at, or null. */
  get size() {
    const element = this.kind === 'picture' ? this.#picture : this.#video;
    const [width, height] = [element.videoWidth ?? element.width, element.videoHeight ?? element.height];
    return this.kind && width ? [width, height] : null;
  }

  pause(paused) {
    if (!this.isMoving) return;
    if (paused) this.#video.pause();
    else this.#video.play().catch(() => {});
  }

  /** The frame that is shown now, to be transferred and closed by who gets it; or null. */
  async frame() {
    if (this.kind === 'picture') return this.#hasPicture ? createImageBitmap(this.#picture) : null;
    const video = this.#video;
    if (video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA || !video.videoWidth) return null;
    if (globalThis.VideoFrame) {
      try {
        return new VideoFrame(video);
      } catch {
        // Between two sources there may be none.
        return null;
      }
    }
    return createImageBitmap(video);
  }

  /** Calls back for every new frame of what moves. */
  onFrame(callback) {
    const video = this.#video;
    if (video.requestVideoFrameCallback) {
      const next = () => {
        callback();
        video.requestVideoFrameCallback(next);
      };
      video.requestVideoFrameCallback(next);
    } else {
      setInterval(() => video.paused || callback(), 1000 / 30);
    }
  }

  #playContent(content, kind) {
    this.#url = URL.createObjectURL(content);
    this.#video.src = this.#url;
    return this.#play(kind);
  }

  async #play(kind) {
    const video = this.#video;
    const stops = this.#stops;
    video.loop = kind !== 'camera';
    video.hidden = false;
    video.classList.toggle('mirrored', this.mirrored);
    const failure = await video.play().then(() => null, (error) => error);
    if (stops !== this.#stops) return false;
    // A browser that saves power interrupts the video of a hidden page, and goes on with it later.
    if (failure && failure.name !== 'AbortError') {
      this.stop();
      throw coded('source', 'this browser can’t play that video');
    }
    this.kind = kind;
    return true;
  }
}

function stopTracks(stream) {
  for (const track of stream.getTracks()) track.stop();
}

async function openCamera(deviceId) {
  if (!navigator.mediaDevices?.getUserMedia) {
    throw coded('camera', 'this browser gives pages no camera here; it needs https or localhost');
  }
  const wish = deviceId ? { deviceId: { exact: deviceId } } : { facingMode: 'user' };
  try {
    return await navigator.mediaDevices.getUserMedia({
      audio: false,
      video: { ...wish, width: { ideal: 640 }, height: { ideal: 480 } },
    });
  } catch (error) {
    throw coded('camera', cameraProblem(error));
  }
}

async function listCameras() {
  try {
    const devices = await navigator.mediaDevices.enumerateDevices();
    return devices.filter((device) => device.kind === 'videoinput');
  } catch {
    // The one that is open needs no list.
    return [];
  }
}

/** The sample clip, fetched whole, so that looping sends no request. */
async function fetchSample() {
  const response = await fetch(SAMPLE);
  if (!response.ok) throw coded('source', `the sample clip can't be fetched (${response.status})`);
  return response.blob();
}

async function decode(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { colorSpaceConversion: 'none', premultiplyAlpha: 'premultiply' });
  } catch {
    throw coded('source', `${file.name || 'the file'} is no picture that this browser can read`);
  }
  if (bitmap.width * bitmap.height > MOST_PIXELS) {
    bitmap.close();
    throw coded('source', `${file.name || 'the picture'} is too large; make it smaller than 16 megapixels`);
  }
  return bitmap;
}

function cameraProblem(error) {
  switch (error.name) {
    case 'NotAllowedError':
    case 'SecurityError':
      return 'The camera was not allowed. Allow it in the address bar and try again, or use a video, a picture or the sample clip.';
    case 'NotFoundError':
    case 'OverconstrainedError':
      return 'No camera was found. Connect one, or use a video, a picture or the sample clip.';
    case 'NotReadableError':
      return 'The camera is in use by another program. Close that one and try again.';
    default:
      return `The camera can’t be used: ${error.message || error.name}.`;
  }
}
