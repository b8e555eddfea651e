/** A colour a label, the same wherever the label appears; readable on light and on dark ground. */

const NAMED = {
  anger: '#e0483e', disgust: '#6a9a2d', fear: '#8a66d6', joy: '#e0a100',
  neutral: '#8390a2', sadness: '#3b82d6', surprise: '#e0569b',
};
const OTHERS = ['#12a594', '#b87333', '#5b6ee1', '#c2410c', '#0891b2', '#a3a000', '#be4bdb', '#2f9e44', '#d6336c', '#748ffc'];

/** @param {string[]} names */
export function coloursOf(names) {
  let next = 0;
  return names.map((name) => NAMED[name.toLowerCase()] ?? OTHERS[next++ % OTHERS.length]);
}
