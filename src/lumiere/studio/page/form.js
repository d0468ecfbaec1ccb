// A tab's form: fields in, options of a verb out.

import { el, mark, newId } from "./dom.js";
import { maskField } from "./painter.js";
import { promptField } from "./prompt.js";
import { fileField } from "./sources.js";

export function toolForm(verb, tool, app) {
  const made = new Map();
  const shownAt = (name) => (file) => {
    for (const field of tool.fields) if (field.of === name) made.get(field.name)?.show(file);
  };
  for (const field of tool.fields) made.set(field.name, makeField(field, tool, app, shownAt(field.name)));
  made.get("feather")?.element.addEventListener("input", () => made.get("masks").feather(Number(made.get("feather").get() || 0)));

  const plain = tool.fields.filter((field) => !field.advanced);
  const rest = tool.fields.filter((field) => field.advanced);
  const submit = el("button", { type: "submit", className: "primary" }, tool.action);
  const problem = el("p", { className: "problem", role: "alert" });
  const form = el("form", { noValidate: true },
    el("p", { className: "about" }, tool.about),
    ...plain.map((field) => made.get(field.name).element),
    el("details", { className: "advanced" }, el("summary", {}, "More settings"), el("div", { className: "grid" }, ...rest.map((field) => made.get(field.name).element))),
    problem, el("div", { className: "actions" }, submit));

  async function options() {
    const found = {};
    for (const [name, field] of made) {
      const value = await field.get();
      if (value && typeof value === "object" && !Array.isArray(value) && name === "canvas") Object.assign(found, value);
      else if (value !== undefined && value !== "" && value !== null && value !== false) found[name] = value;
    }
    if (verb !== "upscale" && app.model()) found.model = app.model();
    return found;
  }

  /** Mark the first field that the browser finds fault with, also one in a closed part of the form. */
  function isValid() {
    for (const { element } of made.values()) {
      const wrong = [...element.querySelectorAll("input, textarea, select")].find((input) => !input.checkValidity());
      if (!wrong) continue;
      mark(element, wrong.validationMessage);
      wrong.focus();
      return false;
    }
    return true;
  }

  function clear() {
    problem.textContent = "";
    for (const field of made.values()) mark(field.element, null);
  }
  for (const field of made.values()) field.element.addEventListener("input", () => mark(field.element, null));

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    submit.disabled = true;
    clear();
    if (!isValid()) {
      submit.disabled = false;
      return;
    }
    try {
      await app.submit(verb, await options());
    } catch (error) {
      const field = made.get(error.field);
      if (field) {
        mark(field.element, error.message);
        field.element.querySelector("input:enabled, textarea, select:enabled, canvas")?.focus();
      } else problem.textContent = error.message;
    } finally {
      submit.disabled = false;
    }
  });

  return {
    element: form,
    refresh() {
      for (const field of made.values()) field.refresh?.();
    },
    isRaw: () => Boolean(made.get("no_rewrite")?.get()),
    /** Fill the fields; those without a value get their default. */
    fill(given) {
      for (const [name, field] of made) if (name !== "masks" && name !== "canvas") field.set(given[name]);
      clear();
    },
    /** Put a file into the first field for its kind. False if there is none. */
    accept(file, into) {
      const kind = file.kind === "picture" ? "picture" : "video";
      const fields = [...made.values()].filter((field) => field.kind === kind);
      const target = made.get(into) ?? fields.find((field) => field.isEmpty()) ?? fields[0];
      target?.accept(file);
      return Boolean(target);
    },
  };
}

function makeField(field, tool, app, changed) {
  if (field.type === "prompt") return promptField(field, app, tool.example);
  if (field.type === "file") return fileField(field, app, changed);
  if (field.type === "mask") return maskField(field);
  if (field.type === "canvas") return canvasField(field);
  if (field.type === "style") return styleField(field, app);
  return simpleField(field, app);
}

function simpleField(field, app) {
  const id = newId(field.name);
  if (field.type === "checkbox") {
    const input = el("input", { id, type: "checkbox" });
    return {
      element: el("div", { className: "field check" }, input, el("label", { htmlFor: id }, field.label)),
      get: () => input.checked, set: (value) => (input.checked = Boolean(value)),
    };
  }
  if (field.type === "select") {
    const input = el("select", { id }, ...field.choices.map(([value, label]) => el("option", { value }, label)));
    return {
      element: labelled(id, field, input), get: () => input.value,
      set: (value) => {
        const text = String(value ?? field.choices[0][0]);
        if (![...input.options].some((option) => option.value === text)) input.append(el("option", { value: text }, text));
        input.value = text;
      },
    };
  }
  const input = el("input", {
    id, type: field.type, min: field.min, max: field.max, step: field.step ?? (field.type === "number" ? 1 : undefined),
    maxLength: field.type === "text" ? 2000 : undefined,
  });
  // A model's own default stands in the empty field.
  const known = { frames: "frames", steps: "steps", guidance: "guidance" }[field.placeholder];
  const hint = () => (input.placeholder = known ? (app.defaults()[known] ?? "") : (field.placeholder ?? ""));
  hint();
  const output = field.type === "range" ? el("output", { htmlFor: id }) : null;
  const set = (value) => {
    input.value = value ?? field.value ?? "";
    if (output) output.textContent = input.value;
  };
  input.addEventListener("input", () => output && (output.textContent = input.value));
  set();
  return {
    element: labelled(id, field, input, output), refresh: hint, set,
    get: () => (input.value === "" ? undefined : field.type === "text" ? input.value : Number(input.value)),
  };
}

function labelled(id, field, ...inputs) {
  return el("div", { className: `field ${field.type}` }, el("label", { htmlFor: id }, field.label), ...inputs);
}

function canvasField(field) {
  const sides = Object.fromEntries(["Left", "Top", "Right", "Bottom"].map((name) => [name, el("input", { type: "number", min: 0, max: 2000, step: 1, value: 0 })]));
  let source = null;
  return {
    element: el("fieldset", { className: "field" }, el("legend", {}, field.label),
      el("div", { className: "row corners" }, ...Object.entries(sides).map(([name, input]) => el("label", {}, name, input)))),
    show(file) {
      source = file;
      if (file && !Object.values(sides).some((input) => Number(input.value))) {
        sides.Left.value = sides.Right.value = Math.round(file.width / 4);
      }
    },
    get() {
      if (!source) return undefined;
      const [left, top, right, bottom] = Object.values(sides).map((input) => Math.max(0, Math.round(Number(input.value) || 0)));
      return { canvas: `${source.width + left + right}x${source.height + top + bottom}`, at: `${left},${top}` };
    },
    set() {},
  };
}

function styleField(field, app) {
  const id = newId("style");
  const input = el("select", { id });
  const refresh = () => {
    const before = input.value;
    const styles = app.jobs().filter((job) => job.verb === "stylize" && job.state === "done");
    input.replaceChildren(el("option", { value: "" }, styles.length ? "none" : "none; the Style tab fits one"),
      ...styles.map((job) => el("option", { value: job.id }, `of "${job.options.caption || job.options.prompt}"`)));
    input.value = styles.some((job) => job.id === before) ? before : "";
  };
  refresh();
  return { element: labelled(id, field, input), refresh, get: () => input.value, set: (value) => (input.value = value ?? "") };
}
