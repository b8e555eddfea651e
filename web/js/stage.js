/** What lies over the picture: people to pick, a box to draw, what the model sees and looks at. */

export class Stage {
  #frame;
  #overlay;
  #people;
  #size = null;
  #mirrored = false;
  #reading = null;
  #attention = null;
  #drag = null;
  #drawing = false;
  #onPick;
  #onBox;
  /** `{layer: number | 'mean', token: 'human' | 'class', patches: boolean}` */
  explainView = { layer: 'mean', token: 'human', patches: false };

  /** @param {{onPick: (id: number) => void, onBox: (edges: number[]) => void}} callbacks */
  constructor(frame, overlay, people, { onPick, onBox }) {
    this.#frame = frame;
    this.#overlay = overlay;
    this.#people = people;
    this.#onPick = onPick;
    this.#onBox = onBox;
    new ResizeObserver(() => this.draw()).observe(frame);
    frame.addEventListener('pointerdown', (event) => this.#begin(event));
    frame.addEventListener('pointermove', (event) => this.#move(event));
    frame.addEventListener('pointerup', (event) => this.#end(event));
    frame.addEventListener('pointercancel', () => this.#cancel());
  }

  /** Whether dragging draws a box. */
  set drawing(value) {
    this.#drawing = value;
    this.#frame.classList.toggle('drawing', value);
  }

  show(reading, attention, mirrored) {
    this.#size = [reading.width, reading.height];
    this.#reading = reading;
    this.#attention = attention;
    this.#mirrored = mirrored;
    this.#placePeople();
    this.draw();
  }

  clear() {
    this.#reading = null;
    this.#attention = null;
    this.#people.replaceChildren();
    this.draw();
  }

  draw() {
    const canvas = this.#overlay;
    const ratio = Math.min(3, globalThis.devicePixelRatio || 1);
    const [width, height] = [this.#frame.clientWidth, this.#frame.clientHeight];
    [canvas.width, canvas.height] = [Math.round(width * ratio), Math.round(height * ratio)];
    const context = canvas.getContext('2d');
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    if (!this.#reading || !this.#size) return this.#drawDrag(context);
    const { crop, subject } = this.#reading;
    if (this.#attention) this.#drawAttention(context);
    this.#drawCrop(context, this.#toScreen(crop));
    const own = subject.edges && this.#toScreen(subject.edges);
    for (const person of this.#reading.people) {
      const isSubject = subject.kind === 'person' && subject.id === person.id;
      outline(context, this.#toScreen(person.face), isSubject ? '#ffc861' : '#ffffffb0', 1.5, person.found);
    }
    if (own) corners(context, own, '#ffc861');
    this.#drawDrag(context);
    return undefined;
  }

  /** Buttons over the faces, so that they can be picked by keyboard and read aloud. */
  #placePeople() {
    const { people, subject } = this.#reading;
    const known = new Map([...this.#people.children].map((button) => [Number(button.dataset.id), button]));
    for (const person of people) {
      const [x1, y1, x2, y2] = this.#toScreen(person.face);
      let button = known.get(person.id);
      known.delete(person.id);
      if (!button) {
        button = document.createElement('button');
        button.type = 'button';
        button.dataset.id = person.id;
        button.setAttribute('aria-label', `Person ${person.id}`);
        button.addEventListener('click', () => this.#onPick(person.id));
        this.#people.append(button);
      }
      button.setAttribute('aria-pressed', String(subject.kind === 'person' && subject.id === person.id));
      Object.assign(button.style, { left: `${x1}px`, top: `${y1}px`, width: `${x2 - x1}px`, height: `${y2 - y1}px` });
    }
    for (const gone of known.values()) gone.remove();
  }

  #drawCrop(context, [x1, y1, x2, y2]) {
    const [fx1, fy1, fx2, fy2] = this.#toScreen([0, 0, ...this.#size]);
    context.fillStyle = '#0a0a1466';
    context.beginPath();
    context.rect(fx1, fy1, fx2 - fx1, fy2 - fy1);
    context.rect(x1, y1, x2 - x1, y2 - y1);
    context.fill('evenodd');
  }

  #drawAttention(context) {
    const { grid, crop, coverage } = this.#attention;
    const rows = this.#attention[this.explainView.token];
    const { layer } = this.explainView;
    const row = layer === 'mean'
      ? rows[0].map((_, patch) => rows.reduce((sum, values) => sum + values[patch], 0) / rows.length)
      : rows[Math.min(layer, rows.length - 1)];
    const most = Math.max(...row, 1e-9);
    const small = new OffscreenCanvas(grid, grid);
    const pixels = new ImageData(grid, grid);
    row.forEach((value, patch) => {
      const at = this.#mirrored ? patch - patch % grid + grid - 1 - patch % grid : patch;
      const share = value / most;
      pixels.data.set([255, 60 + 150 * share, 60, 215 * share ** 0.8], 4 * at);
    });
    const paper = small.getContext('2d');
    paper.putImageData(pixels, 0, 0);
    const [x1, y1, x2, y2] = this.#toScreen(crop);
    context.imageSmoothingEnabled = true;
    context.imageSmoothingQuality = 'high';
    context.drawImage(small, x1, y1, x2 - x1, y2 - y1);
    if (!this.explainView.patches) return;
    context.strokeStyle = '#7ff0d8';
    const [w, h] = [(x2 - x1) / grid, (y2 - y1) / grid];
    coverage.forEach((share, patch) => {
      if (share <= 0) return;
      const column = this.#mirrored ? grid - 1 - patch % grid : patch % grid;
      context.globalAlpha = 0.3 + 0.7 * share;
      context.strokeRect(x1 + column * w + 1, y1 + Math.floor(patch / grid) * h + 1, w - 2, h - 2);
    });
    context.globalAlpha = 1;
  }

  #drawDrag(context) {
    if (!this.#drag) return;
    const { from, to } = this.#drag;
    context.setLineDash([6, 5]);
    outline(context, sorted([...from, ...to]), '#ffc861', 2, true);
    context.setLineDash([]);
  }

  /** Where the frame lies on the screen: contained and centred. */
  #placement() {
    const [width, height] = [this.#frame.clientWidth, this.#frame.clientHeight];
    const scale = Math.min(width / this.#size[0], height / this.#size[1]);
    return { scale, left: (width - scale * this.#size[0]) / 2, top: (height - scale * this.#size[1]) / 2 };
  }

  #toScreen([x1, y1, x2, y2]) {
    const { scale, left, top } = this.#placement();
    const [a, b] = this.#mirrored ? [this.#size[0] - x2, this.#size[0] - x1] : [x1, x2];
    return [left + a * scale, top + y1 * scale, left + b * scale, top + y2 * scale];
  }

  #toFrame([x1, y1, x2, y2]) {
    const { scale, left, top } = this.#placement();
    const [a, b] = [(x1 - left) / scale, (x2 - left) / scale];
    const [c, d] = this.#mirrored ? [this.#size[0] - b, this.#size[0] - a] : [a, b];
    return [c, (y1 - top) / scale, d, (y2 - top) / scale];
  }

  #begin(event) {
    if (!this.#drawing || !this.#size || event.button !== 0) return;
    const at = this.#at(event);
    this.#drag = { from: at, to: at };
    this.#frame.setPointerCapture(event.pointerId);
  }

  #move(event) {
    if (!this.#drag) return;
    this.#drag.to = this.#at(event);
    this.draw();
  }

  #end() {
    if (!this.#drag) return;
    const edges = sorted([...this.#drag.from, ...this.#drag.to]);
    this.#cancel();
    const large = edges[2] - edges[0] > 12 && edges[3] - edges[1] > 12;
    if (large) this.#onBox(this.#toFrame(edges));
  }

  #cancel() {
    this.#drag = null;
    this.draw();
  }

  #at(event) {
    const bounds = this.#frame.getBoundingClientRect();
    return [event.clientX - bounds.left, event.clientY - bounds.top];
  }
}

const sorted = ([x1, y1, x2, y2]) => [Math.min(x1, x2), Math.min(y1, y2), Math.max(x1, x2), Math.max(y1, y2)];

function outline(context, [x1, y1, x2, y2], colour, width, solid) {
  context.strokeStyle = colour;
  context.lineWidth = width;
  if (!solid) context.globalAlpha = 0.45;
  context.beginPath();
  context.roundRect(x1, y1, x2 - x1, y2 - y1, 8);
  context.stroke();
  context.globalAlpha = 1;
}

/** Corner marks: they say where without covering the face. */
function corners(context, edges, colour) {
  // Drawn inside, so that they show at the picture's edge too.
  const [x1, y1, x2, y2] = [edges[0] + 3, edges[1] + 3, edges[2] - 3, edges[3] - 3];
  const reach = Math.min(26, (x2 - x1) / 3, (y2 - y1) / 3);
  context.lineCap = 'round';
  for (const [style, width] of [['#00000066', 5], [colour, 3]]) {
    context.strokeStyle = style;
    context.lineWidth = width;
    context.beginPath();
    for (const [x, y, dx, dy] of [[x1, y1, 1, 1], [x2, y1, -1, 1], [x2, y2, -1, -1], [x1, y2, 1, -1]]) {
      context.moveTo(x + dx * reach, y + dy * 2);
      context.lineTo(x + dx * 2, y + dy * 2);
      context.lineTo(x + dx * 2, y + dy * reach);
    }
    context.stroke();
  }
}
