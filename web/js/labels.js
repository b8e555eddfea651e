/** The labels and their texts, edited in place. */

import { coloursOf } from './colours.js';

/** For a model that names no labels. */
const EMOTIONS = ['anger', 'disgust', 'fear', 'joy', 'neutral', 'sadness', 'surprise'];
const DEFAULT_TEMPLATE = 'a person feeling {label}';
/** Labels beyond this are more than bars can show. */
const MOST_LABELS = 24;

/** A sentence stands for itself; a word or two go into the template. */
const isSentence = (text) => /[.!?…]$/.test(text) || text.split(/\s+/).length > 3 || /\bI['’]/.test(text);

export class LabelEditor {
  #root;
  #names = [];
  #card = new Map();
  #template = DEFAULT_TEMPLATE;
  #onChange;

  /** @param onChange called with the labels after an edit; a rejected promise undoes it */
  constructor(root, onChange) {
    this.#root = root;
    this.#onChange = onChange;
    this.#find('#label-form').addEventListener('submit', (event) => {
      event.preventDefault();
      this.#add();
    });
    this.#find('#template').addEventListener('change', (event) => this.#retemplate(event.target.value));
    this.#find('#labels-reset').addEventListener('click', () => this.#edit(this.#own(), DEFAULT_TEMPLATE));
  }

  /** The labels that suit a model; those in use stay if the visitor chose them. */
  setCard(labels) {
    const untouched = this.isDefault;
    this.#card = new Map((labels ?? []).map(({ name, texts }) => [name, texts]));
    if (untouched || !this.#names.length) this.#names = this.#own();
    this.#show();
  }

  /** Takes what an address says, without telling anybody. */
  restore(names, template) {
    if (names?.length) this.#names = [...new Set(names)].slice(0, MOST_LABELS);
    if (template?.includes('{label}')) this.#template = template;
    this.#show();
  }

  get names() {
    return this.#names;
  }

  get template() {
    return this.#template;
  }

  /** Whether the labels are the model's own. */
  get isDefault() {
    return this.#template === DEFAULT_TEMPLATE && this.#names.join('\n') === this.#own().join('\n');
  }

  get isDefaultTemplate() {
    return this.#template === DEFAULT_TEMPLATE;
  }

  /** As messages have them. */
  get labels() {
    return this.#names.map((name) => ({ name, texts: this.#texts(name) }));
  }

  /** The model's labels, else the seven emotions. */
  #own() {
    return this.#card.size ? [...this.#card.keys()] : [...EMOTIONS];
  }

  #texts(name) {
    const own = this.#card.get(name);
    if (own && this.isDefaultTemplate) return own;
    return [isSentence(name) ? name : this.#template.replaceAll('{label}', name)];
  }

  #add() {
    const input = this.#find('#label-new');
    const name = input.value.trim().replace(/\s+/g, ' ');
    if (!name) return this.#say('Type a word or a sentence first.');
    if (this.#names.includes(name)) return this.#say(`“${name}” is there already.`);
    if (this.#names.length >= MOST_LABELS) return this.#say(`${MOST_LABELS} labels are as many as can be shown.`);
    input.value = '';
    return this.#edit([...this.#names, name], this.#template);
  }

  #retemplate(text) {
    const template = text.trim().replace('{}', '{label}');
    if (!template.includes('{label}')) {
      this.#find('#template').value = this.#template;
      return this.#say('The template needs {label} where the label goes.');
    }
    return this.#edit(this.#names, template);
  }

  async #edit(names, template) {
    const before = [this.#names, this.#template];
    [this.#names, this.#template] = [names, template];
    this.#show();
    try {
      const started = performance.now();
      await this.#onChange();
      this.#say(`${names.length} labels, encoded in ${Math.round(performance.now() - started)} ms.`);
    } catch (error) {
      [this.#names, this.#template] = before;
      this.#show();
      this.#say(error.message);
    }
  }

  #show() {
    const colours = coloursOf(this.#names);
    this.#find('#template').value = this.#template;
    this.#find('#label-list').replaceChildren(...this.#names.map((name, index) => {
      const item = document.createElement('li');
      item.title = this.#texts(name).join('\n');
      const dot = document.createElement('i');
      dot.className = 'dot';
      dot.style.setProperty('--tint', colours[index]);
      const text = document.createElement('span');
      text.textContent = name;
      const remove = document.createElement('button');
      remove.type = 'button';
      remove.textContent = '×';
      remove.setAttribute('aria-label', `Remove the label ${name}`);
      remove.addEventListener('click', () => {
        if (this.#names.length === 1) this.#say('One label has to stay.');
        else this.#edit(this.#names.filter((other) => other !== name), this.#template);
      });
      item.append(dot, text, remove);
      return item;
    }));
  }

  #say(text) {
    this.#find('#labels-status').textContent = text;
  }

  #find(selector) {
    return this.#root.querySelector(selector);
  }
}
