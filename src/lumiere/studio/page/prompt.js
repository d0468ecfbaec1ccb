// The prompt's field: suggestions of what the model knows, and a warning for what it does not.

import { readPrompt } from "./api.js";
import { el, newId } from "./dom.js";

const MOST = 7;
const SHORT_WORDS = new Set(["a", "an", "the", "on", "in", "of", "to", "and", "with"]);

export function promptField(field, app, example) {
  const id = newId("prompt");
  const area = el("textarea", {
    id, rows: 2, maxLength: 2000, required: field.required, placeholder: app.words().objects ? (example ?? "") : "",
    "aria-describedby": `${id}-reading`, spellcheck: true,
  });
  const suggestions = el("div", { className: "chips", role: "group", "aria-label": "Suggestions" });
  const reading = el("p", { id: `${id}-reading`, className: "reading", "aria-live": "polite" });
  let due = 0;

  function known() {
    const words = app.words();
    return words.objects ? [...words.objects, ...words.motions, ...words.backgrounds.flatMap((phrase) =>
      phrase.split("COLOUR").length === 2 ? words.colours.map((colour) => phrase.replaceAll("COLOUR", colour)) : [phrase])] : [];
  }

  /** Ends of the text that may be the beginning of a known word, the longest first. */
  function ends(text) {
    const begins = [...text.matchAll(/(?<![\p{L}\d])[\p{L}\d]/gu)].map((match) => match.index).slice(-4);
    return begins.map((begin) => text.slice(begin).toLowerCase()).filter((end) => end.length > 1 && !SHORT_WORDS.has(end.trim()));
  }

  function suggest() {
    const text = area.value.slice(0, area.selectionEnd);
    const all = known();
    const said = new Set();
    const found = [];
    const begun = ends(text);
    const complete = all.some((word) => begun.includes(word.toLowerCase()));
    for (const end of complete ? [] : begun) {
      for (const word of all) {
        const folded = word.toLowerCase();
        if (folded.startsWith(end) && folded !== end && !said.has(word)) {
          said.add(word);
          found.push([word, end.length]);
        }
      }
    }
    suggestions.replaceChildren(...found.slice(0, MOST).map(([word, typed]) =>
      el("button", { type: "button", onclick: () => take(word, typed) }, word)));
  }

  function take(word, typed) {
    const end = area.selectionEnd;
    const before = area.value.slice(0, end - typed) + word + " ";
    area.value = before + area.value.slice(end).trimStart();
    area.setSelectionRange(before.length, before.length);
    area.focus();
    changed();
  }

  async function read() {
    const text = area.value.trim();
    if (!text || app.isRaw()) return reading.replaceChildren();
    try {
      const { prompt, notes } = await readPrompt(text, app.model(), Boolean(field.source));
      if (area.value.trim() !== text) return;
      const lines = notes.map((note) => el("span", { className: "warning" }, note));
      if (prompt !== text) lines.unshift(el("span", {}, `The model gets: ${prompt}`));
      reading.replaceChildren(...lines);
    } catch (error) {
      if (area.value.trim() === text) reading.replaceChildren(el("span", { className: "warning" }, error.message));
    }
  }

  function changed() {
    suggest();
    clearTimeout(due);
    due = setTimeout(read, 450);
  }

  area.addEventListener("input", changed);
  area.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) area.form?.requestSubmit();
  });
  return {
    element: el("div", { className: "field" }, el("label", { htmlFor: id }, field.label), area, suggestions, reading),
    get: () => area.value.trim(),
    set: (value) => {
      area.value = value ?? "";
      suggestions.replaceChildren();
      read();
    },
  };
}
