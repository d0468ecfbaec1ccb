// The page: tabs, the poll of the queue, and what moves between them.

import * as api from "./api.js";
import { compareForm } from "./compare.js";
import { $, announce, el, isNarrow, say } from "./dom.js";
import { toolForm } from "./form.js";
import { showGallery, showQueue } from "./gallery.js";
import { uploaded } from "./sources.js";
import { frameOf, show } from "./stage.js";
import { TOOLS } from "./tools.js";

const QUICK = 300;
const SLOW = 4000;
const state = { ready: false, models: {}, formats: [], files: [], jobs: [], selected: null, verb: null };
const forms = new Map();
const mine = new Set(); // jobs that this page asked for
let timer = 0;

const app = {
  files: () => state.files,
  file: (id) => state.files.find((file) => file.id === id),
  jobs: () => state.jobs,
  formats: () => state.formats,
  isReady: () => state.ready,
  model: () => $("model").value,
  words: () => state.models[app.model()]?.words ?? {},
  defaults: () => state.models[app.model()] ?? {},
  isRaw: () => Boolean(forms.get(state.verb)?.isRaw()),
  label: (verb) => TOOLS[verb]?.tab ?? verb,
  selected: () => state.selected && { file: state.selected, frame: frameOf(state.selected, $("stage").querySelector("video")) },

  async submit(verb, options) {
    const job = await api.addJob(verb, options);
    mine.add(job.id);
    announce(`${app.label(verb)} is in the queue.`);
    await poll();
    if (isNarrow()) $("queue").scrollIntoView({ block: "start" });
  },
  run: (job) => attempt(() => app.submit(job.verb, job.options)),
  again: (job, file) => attempt(() => app.submit(job.verb, { ...job.options, seed: file.settings?.seed ?? job.options.seed })),
  vary: (job) => attempt(() => {
    const { seed: _, ...options } = job.options;
    return app.submit(job.verb, { ...options, seed: Math.floor(Math.random() * 2 ** 32) });
  }),

  add(file) {
    state.files = [file, ...state.files.filter((each) => each.id !== file.id)];
    refresh();
  },
  /** Upload a file, and list it. Throws if it is refused. */
  async receive(file) {
    const taken = await uploaded(file, status);
    app.add(taken);
    return taken;
  },
  select(file) {
    state.selected = file;
    show(app, file);
    showGallery(app);
  },
  /** Put a file into a tab. */
  put(file, verb, into) {
    choose(verb);
    forms.get(verb).accept(file, into);
  },
  use: (file, as, frame) => attempt(async () => {
    if (as === "start") return app.put(file, "edit");
    if (["inpaint", "outpaint", "extend", "upscale", "compare"].includes(as)) return app.put(file, as);
    const picture = await api.takeFrame(file.id, frame);
    app.add(picture);
    if (as === "first" || as === "last") return app.put(picture, "transition", as);
    app.put(picture, as === "reference" ? "stylize" : as);
  }),
  /** Fill the form with the settings that a clip says it was made with. */
  restore(file) {
    const settings = file.settings ?? {};
    const call = settings.call ?? {};
    const job = state.jobs.find((each) => each.id === file.id);
    const verb = job?.verb ?? (TOOLS[call.verb] && call.verb !== "compare" ? call.verb : "generate");
    const said = { prompt: settings.prompt, steps: settings.steps, guidance: settings.guidance, negative: settings.negative_prompt, strength: settings.strength, frames: file.frames };
    const options = { ...(job || call.verb ? {} : said), ...call, ...job?.options, seed: settings.seed };
    if (!Object.keys(settings).length) return say(`${file.name} says no settings; it was not made by lumiere.`);
    if (options.model in state.models) $("model").value = options.model;
    choose(verb);
    forms.get(verb).fill(options);
    announce(`Settings of ${file.name} restored in ${app.label(verb)}.`);
  },
  remove: (file) => attempt(async () => {
    if (!confirm(`Delete ${file.name}?`)) return;
    await api.deleteFile(file.id);
    state.files = state.files.filter((each) => each.id !== file.id);
    app.select(state.files.find((each) => each.frames) ?? null);
    await poll();
    refresh();
  }),
  poll,
};

async function attempt(action) {
  try {
    await action();
  } catch (error) {
    say(error.message);
  }
}

function status(text) {
  $("status").textContent = text || (state.ready ? "" : "Loading the model …");
}

/** Ask for the jobs; quickly while one is open. */
async function poll() {
  clearTimeout(timer);
  let open = true;
  try {
    const { ready, jobs } = await api.jobs();
    const finished = jobs.filter((job) => job.state === "done" && !app.file(job.id));
    const styles = () => state.jobs.filter((job) => job.verb === "stylize" && job.state === "done").length;
    const before = styles();
    Object.assign(state, { ready, jobs });
    status("");
    if (finished.length) await load(finished.find((job) => mine.has(job.id) || !state.selected));
    else if (styles() !== before) refresh();
    showQueue(app);
    for (const job of jobs) if (job.state === "failed" && mine.delete(job.id)) announce(`${app.label(job.verb)} failed: ${job.error}`);
    open = !ready || jobs.some((job) => job.state === "running" || job.state === "waiting");
  } catch (error) {
    status(error.message);
  }
  clearTimeout(timer);
  timer = setTimeout(poll, open && !document.hidden ? QUICK : SLOW);
}

async function load(finished) {
  const { ready, models, formats, files, jobs } = await api.state();
  Object.assign(state, { ready, models, formats, files, jobs });
  refresh();
  const made = finished && app.file(finished.id);
  if (made) {
    app.select(made);
    announce(`The clip is finished: ${made.name}.`);
  }
}

function refresh() {
  for (const form of forms.values()) form.refresh();
  showGallery(app);
}

// ---------------------------------------------------------------- tabs

function choose(verb, focus = false) {
  state.verb = verb;
  for (const tab of $("tabs").children) {
    const isChosen = tab.dataset.verb === verb;
    tab.setAttribute("aria-selected", isChosen);
    tab.tabIndex = isChosen ? 0 : -1;
    if (isChosen && focus) tab.focus();
    if (isChosen) tab.scrollIntoView({ block: "nearest", inline: "nearest" });
  }
  for (const [each, form] of forms) form.element.hidden = each !== verb;
  document.querySelector("main").classList.toggle("wide", verb === "compare");
  history.replaceState(null, "", `#${verb}`);
}

function build() {
  for (const [verb, tool] of Object.entries(TOOLS)) {
    const tab = el("button", { type: "button", role: "tab", id: `tab-${verb}`, "aria-controls": `panel-${verb}`, dataset: { verb }, onclick: () => choose(verb) }, tool.tab);
    $("tabs").append(tab);
    const form = verb === "compare" ? compareForm(tool, app) : toolForm(verb, tool, app);
    form.element.id = `panel-${verb}`;
    form.element.setAttribute("role", "tabpanel");
    form.element.setAttribute("aria-labelledby", tab.id);
    forms.set(verb, form);
    $("work").append(form.element);
  }
  $("tabs").addEventListener("keydown", (event) => {
    const verbs = Object.keys(TOOLS);
    const place = verbs.indexOf(state.verb);
    const next = { ArrowRight: place + 1, ArrowLeft: place - 1, Home: 0, End: verbs.length - 1 }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    choose(verbs.at(next % verbs.length), true);
  });
}

// ---------------------------------------------------------------- files dropped or pasted anywhere

async function take(files) {
  for (const each of files) {
    let file;
    try {
      file = await app.receive(each);
    } catch (error) {
      say(error.message);
      continue;
    }
    if (file.frames) app.select(file);
    if (Object.keys(file.settings ?? {}).length) app.restore(file);
    else if (!forms.get(state.verb).accept(file)) app.put(file, file.frames ? "edit" : "animate");
  }
}

let depth = 0;
const hint = (by) => {
  depth = Math.max(0, depth + by);
  $("drop-hint").hidden = !depth;
};
addEventListener("dragenter", () => hint(1));
addEventListener("dragleave", () => hint(-1));
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  event.preventDefault();
  hint(-depth);
  take([...event.dataTransfer.files]);
});
addEventListener("paste", (event) => event.clipboardData?.files.length && take([...event.clipboardData.files]));
document.addEventListener("visibilitychange", () => document.hidden || poll());

async function start() {
  try {
    const { ready, models, formats, files, jobs } = await api.state();
    Object.assign(state, { ready, models, formats, files, jobs });
  } catch (error) {
    say(error.message);
    return setTimeout(start, 2000);
  }
  $("model").replaceChildren(...Object.keys(state.models).map((name) => el("option", { value: name }, name)));
  $("model-choice").hidden = Object.keys(state.models).length < 2;
  $("model").addEventListener("change", refresh);
  build();
  refresh();
  choose(location.hash.slice(1) in TOOLS ? location.hash.slice(1) : "generate");
  const latest = state.files.find((file) => file.kind === "clip");
  app.select(latest ?? null);
  document.body.dataset.ready = "yes";
  await poll();
}

start();
