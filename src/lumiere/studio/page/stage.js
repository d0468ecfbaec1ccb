// The selected clip: played, sliced, saved, and used for the next one.

import { address } from "./api.js";
import { $, el, isNarrow } from "./dom.js";
import { player, sliceOf } from "./slice.js";

const HIDDEN = new Set(["call", "version", "known_psnr"]);
const LABELS = { rewritten_prompt: "model's prompt", first_frame_prompt: "first-frame prompt", negative_prompt: "negative prompt" };

export function show(app, file) {
  const stage = $("stage");
  stage.classList.toggle("empty", !file);
  if (!file) {
    return stage.replaceChildren(el("h3", {}, "No clip yet"),
      el("p", { className: "soft" }, "Type a prompt, or drop a picture or a clip anywhere on the page."));
  }
  if (!file.frames) return stage.replaceChildren(picture(app, file));
  const job = app.jobs().find((each) => each.id === file.id);
  const video = player(file);
  const { frame, slice } = sliceOf(file, video);
  frame.style.aspectRatio = `${file.width} / ${file.height}`;
  const region = regionOver(job, frame);
  stage.replaceChildren(
    el("div", { className: "pair" }, el("figure", {}, frame, el("figcaption", {},
      el("button", { type: "button", onclick: (event) => toggle(video, event.target) }, "Pause"), region)), slice),
    title(file, job),
    el("div", { className: "row buttons" },
      job && el("button", { type: "button", onclick: () => app.again(job, file) }, "Again"),
      job && el("button", { type: "button", onclick: () => app.vary(job) }, "Vary"),
      el("button", { type: "button", onclick: () => app.use(file, "start") }, "Use as start"),
      el("button", { type: "button", onclick: () => app.use(file, "reference", frameOf(file, video)) }, "Use as reference"),
      use(app, file, video),
      el("button", { type: "button", className: "danger", onclick: () => app.remove(file) }, "Delete")),
    el("div", { className: "row buttons", role: "group", "aria-label": "Save as" }, el("span", { className: "soft" }, "Save as"),
      ...app.formats().map((format) => el("a", { href: address.save(file, format), download: "", className: "button" }, format === "zip" ? "PNG (zip)" : format.toUpperCase()))),
    settings(app, file));
}

/** Which frame of a clip is shown. */
export const frameOf = (file, video) => Math.min(file.frames - 1, Math.floor((video?.currentTime ?? 0) * file.fps));

function toggle(video, button) {
  if (video.paused) video.play();
  else video.pause();
  button.textContent = video.paused ? "Play" : "Pause";
}

function title(file, job) {
  const notes = (job?.notes ?? []).map((note) => el("p", { className: "reading" }, note));
  return el("div", {}, el("h3", {}, file.settings?.prompt || file.name), ...notes);
}

function picture(app, file) {
  return el("div", {}, el("img", { className: "still", src: address.view(file), alt: file.name }), el("h3", {}, file.name),
    el("div", { className: "row buttons" },
      ...[["animate", "Animate"], ["cinemagraph", "Paint what moves"], ["stylize", "Use as reference"]].map(([verb, label]) =>
        el("button", { type: "button", onclick: () => app.put(file, verb) }, label)),
      el("button", { type: "button", className: "danger", onclick: () => app.remove(file) }, "Delete")));
}

function use(app, file, video) {
  const choices = [
    ["", "Use for …"], ["inpaint", "Inpaint"], ["outpaint", "Outpaint"], ["extend", "Extend"], ["upscale", "Upscale"],
    ["compare", "Compare"], ["animate", "Animate this frame"], ["cinemagraph", "Paint what moves in this frame"],
    ["first", "Transition: first picture"], ["last", "Transition: last picture"],
  ];
  const select = el("select", { "aria-label": "Use this clip for" }, ...choices.map(([value, label]) => el("option", { value }, label)));
  select.addEventListener("change", () => {
    const chosen = select.value;
    select.value = "";
    if (chosen) app.use(file, chosen, frameOf(file, video));
  });
  return select;
}

function regionOver(job, frame) {
  const id = job && Object.values(job.options.masks ?? {})[0];
  if (!id) return null;
  const cover = el("div", { className: "region", hidden: true });
  cover.style.maskImage = `url("${address.mask(id)}")`;
  frame.insertBefore(cover, frame.lastChild);
  return el("label", { className: "check" }, el("input", { type: "checkbox", onchange: (event) => (cover.hidden = !event.target.checked) }), "Show the region");
}

function said(value) {
  if (typeof value !== "object") return String(value);
  if (Array.isArray(value)) return value.map(said).join(", ");
  return Object.entries(value).map(([name, each]) => `${name.replaceAll("_", " ")} ${said(each)}`).join(", ");
}

function settings(app, file) {
  const known = { ...file.settings };
  const facts = { size: `${file.width}×${file.height}`, frames: `${file.frames}, ${Number(file.fps.toFixed(3))} fps`, ...known };
  const rows = Object.entries(facts).filter(([name, value]) => !HIDDEN.has(name) && value !== null && value !== "")
    .map(([name, value]) => [el("dt", {}, LABELS[name] ?? name.replaceAll("_", " ")), el("dd", {}, said(value))]);
  return el("details", { className: "settings", open: !isNarrow() }, el("summary", {}, "Settings"), el("dl", {}, ...rows.flat()),
    el("button", { type: "button", onclick: () => app.restore(file) }, "Restore settings"));
}
