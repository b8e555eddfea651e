/** What the address carries: labels, template, model and view, so that a link shows the same. */

/** @returns {{labels?: string[], template?: string, model?: string, explain?: boolean, layer?: string}} */
export function readView() {
  const fields = new URLSearchParams(location.hash.slice(1));
  return {
    labels: fields.getAll('label'),
    template: fields.get('template') ?? undefined,
    model: fields.get('model') ?? undefined,
    explain: fields.get('explain') !== null,
    layer: fields.get('explain') || 'mean',
  };
}

export function writeView({ labels, template, model, explain, layer }) {
  const fields = new URLSearchParams();
  for (const label of labels ?? []) fields.append('label', label);
  if (template) fields.set('template', template);
  if (model) fields.set('model', model);
  if (explain) fields.set('explain', layer);
  const hash = fields.toString();
  history.replaceState(null, '', hash ? `#${hash}` : location.pathname + location.search);
}

/** `?device=webgpu|cpu`, else 'auto'. */
export function wishedDevice() {
  const wish = new URLSearchParams(location.search).get('device');
  return wish === 'webgpu' || wish === 'cpu' ? wish : 'auto';
}

/** `?prepare=host` leaves the preparation of frames to the host, else 'auto'. */
export function wishedPreparation() {
  return new URLSearchParams(location.search).get('prepare') === 'host' ? 'host' : 'auto';
}

/** `?kernels=gpu|software|plain|stock`, else 'auto'. */
export function wishedKernels() {
  const wish = new URLSearchParams(location.search).get('kernels');
  return ['gpu', 'software', 'plain', 'stock'].includes(wish) ? wish : 'auto';
}
