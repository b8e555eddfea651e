/** A frame's pixels: copied from the browser to the graphics processor, or as bytes for the host. */

/** Longest side that the host reads frames at; larger ones are scaled down by the browser. */
const LONGEST_ON_HOST = 1280;
/** Longest side that the graphics processor does: a buffer of its square fits into every WebGPU device. */
const LONGEST_ON_DEVICE = 4096;
/** Levels of 255 by which two ways to the same pixels may differ. */
export const MOST_LEVELS = 2;

/** Width and height as shown. */
const sizeOf = (frame) => [frame.displayWidth ?? frame.width, frame.displayHeight ?? frame.height];

const fitted = ([width, height], longest) => {
  const scale = Math.min(1, longest / Math.max(width, height));
  return [width, height].map((side) => Math.max(1, Math.round(side * scale)));
};

/** Whether the frame's pixels are those that are shown: square, upright, all of them. */
function isPlain(frame) {
  if (!frame.visibleRect) return !('visibleRect' in frame);
  const [width, height] = sizeOf(frame);
  return !frame.rotation && !frame.flip && frame.visibleRect.width === width && frame.visibleRect.height === height;
}

let canvas = null;

/** The frame's pixels as RGBA. */
export async function hostPixels(frame, longest = LONGEST_ON_HOST) {
  const size = sizeOf(frame);
  const [width, height] = fitted(size, longest);
  if (frame.copyTo && isPlain(frame) && width === size[0] && height === size[1]) {
    try {
      const bytes = frame.allocationSize({ format: 'RGBA' });
      if (bytes === 4 * width * height) {
        const rgba = new Uint8Array(bytes);
        await frame.copyTo(rgba, { format: 'RGBA' });
        return { rgba, width, height };
      }
    } catch {
      // A browser that can't convert: drawn below.
    }
  }
  if (canvas?.width !== width || canvas.height !== height) canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext('2d', { willReadFrequently: true });
  context.clearRect(0, 0, width, height);
  context.drawImage(frame, 0, 0, width, height);
  const { data } = context.getImageData(0, 0, width, height);
  return { rgba: new Uint8Array(data.buffer), width, height };
}

/** The way from a frame to the engine's picture in the memory of its graphics processor. */
export class DevicePixels {
  #texture = null;
  /** Whether this browser copies bitmaps only, and no video frames. */
  #bitmapsOnly = false;

  /**
   * Copies a frame there.
   * @returns {Promise<{width: number, height: number} | null>} null where the engine has no room for it
   * @throws whatever the browser says where it can't
   */
  async fill(engine, frame) {
    const size = sizeOf(frame);
    const [width, height] = fitted(size, LONGEST_ON_DEVICE);
    const asItIs = isPlain(frame) && width === size[0] && height === size[1];
    if (asItIs && !(this.#bitmapsOnly && 'displayWidth' in frame)) {
      try {
        return this.#fill(engine, frame, width, height);
      } catch (error) {
        if (!('displayWidth' in frame)) throw error;
        this.#bitmapsOnly = true;
      }
    }
    const bitmap = await createImageBitmap(frame, { resizeWidth: width, resizeHeight: height, resizeQuality: 'high' });
    try {
      return this.#fill(engine, bitmap, width, height);
    } finally {
      bitmap.close();
    }
  }

  /** Gives its memory on the graphics processor back at once, which else waits for the garbage collector. */
  destroy() {
    this.#texture?.destroy();
    this.#texture = null;
  }

  /** Without a wait: the engine keeps the buffer where it is only until its next call. */
  #fill(engine, source, width, height) {
    const room = engine.openPicture(width, height);
    if (!room) return null;
    try {
      this.#copy(source, width, height, room);
    } finally {
      room.free();
    }
    return { width, height };
  }

  #copy(source, width, height, { device, buffer, offset, stride }) {
    if (this.#texture?.width !== width || this.#texture.height !== height) {
      this.#texture?.destroy();
      this.#texture = device.createTexture({
        size: [width, height],
        format: 'rgba8unorm',
        usage: GPUTextureUsage.COPY_SRC | GPUTextureUsage.COPY_DST | GPUTextureUsage.RENDER_ATTACHMENT,
      });
    }
    const texture = this.#texture;
    const target = { texture, colorSpace: 'srgb', premultipliedAlpha: false };
    device.queue.copyExternalImageToTexture({ source }, target, [width, height]);
    const encoder = device.createCommandEncoder();
    encoder.copyTextureToBuffer({ texture }, { buffer, offset, bytesPerRow: stride }, [width, height]);
    device.queue.submit([encoder.finish()]);
  }
}

/** A drawn picture with every level in it, as a bitmap that no browser should change. */
export async function checkPicture() {
  const [width, height] = [97, 70];
  const rgba = new Uint8ClampedArray(4 * width * height);
  for (let at = 0; at < rgba.length; at += 4) {
    const [x, y] = [(at / 4) % width, Math.floor(at / 4 / width)];
    rgba.set([(x * 5 + y) % 256, (y * 7) % 256, (x * y) % 256, 255], at);
  }
  const bitmap = await createImageBitmap(new ImageData(rgba, width, height), { premultiplyAlpha: 'none', colorSpaceConversion: 'none' });
  return { bitmap, rgba: new Uint8Array(rgba) };
}
