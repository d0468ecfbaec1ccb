// Fields for pictures and videos: chosen from the disk, dropped, or taken from the gallery.

import { address, takeFrame, upload } from "./api.js";
import { el, mark, newId } from "./dom.js";

const ACCEPTED = {
  picture: "image/png,image/jpeg,image/webp,image/gif",
  video: "video/*,image/gif,image/webp",
};
const matches = (file, kind) => (kind === "picture" ? file.kind === "picture" : file.kind === "video" || file.kind === "clip");

export function fileField(field, app, changed) {
  const id = newId("file");
  const input = el("input", { id, type: "file", accept: ACCEPTED[field.kind], multiple: Boolean(field.multiple) });
  const choice = el("select", { id: `${id}-choice` });
  const frame = el("button", { type: "button", className: "quiet", hidden: field.kind !== "picture", "aria-label": "Frame of the selected clip", title: "Frame of the selected clip" }, "This frame");
  const shown = el("div", { className: "sources", "aria-live": "polite" });
  let chosen = [];

  input.addEventListener("change", async () => {
    for (const file of [...input.files]) {
      try {
        accept(await app.receive(file));
      } catch (error) {
        mark(element, error.message);
      }
    }
    input.value = "";
  });
  choice.addEventListener("change", () => {
    const file = app.file(choice.value);
    if (file) accept(file);
    choice.value = "";
  });
  frame.addEventListener("click", async () => {
    const selected = app.selected();
    if (!selected?.file.frames) return mark(element, "Select a clip in the gallery first.");
    try {
      const file = await takeFrame(selected.file.id, selected.frame);
      app.add(file);
      accept(file);
    } catch (error) {
      mark(element, error.message);
    }
  });

  function accept(file) {
    if (!matches(file, field.kind)) return mark(element, `${file.name} is a ${file.kind}; give a ${field.kind}.`);
    mark(element, null);
    chosen = field.multiple ? [...chosen.filter((each) => each.id !== file.id), file] : [file];
    render();
  }

  const element = el("div", { className: "field file" },
    el("label", { htmlFor: id }, field.label),
    el("div", { className: "row" }, input, el("label", { htmlFor: choice.id, className: "unseen" }, `${field.label} from the gallery`), choice, frame), shown);

  function render() {
    shown.replaceChildren(...chosen.map((file) => el("figure", {},
      el("img", { src: address.poster(file), alt: "" }),
      el("figcaption", {}, file.name, el("span", { className: "soft" }, ` ${file.width}×${file.height}${file.frames ? `, ${file.frames} frames` : ""}`)),
      el("button", { type: "button", className: "quiet", "aria-label": `Remove ${file.name}`, onclick: () => {
        chosen = chosen.filter((each) => each !== file);
        render();
      } }, "Remove"))));
    changed(chosen[0] ?? null);
  }

  function refresh() {
    const fitting = app.files().filter((file) => matches(file, field.kind));
    choice.replaceChildren(el("option", { value: "" }, fitting.length ? "From the gallery" : "The gallery has none yet"),
      ...fitting.map((file) => el("option", { value: file.id }, file.name)));
    choice.disabled = !fitting.length;
    const before = chosen.length;
    chosen = chosen.filter((file) => app.file(file.id));
    if (chosen.length !== before) render();
  }

  return {
    kind: field.kind,
    element,
    accept,
    refresh,
    isEmpty: () => !chosen.length,
    get: () => (field.multiple ? chosen.map((file) => file.id) : chosen[0]?.id),
    set: (value) => {
      chosen = [value].flat().map((each) => app.file(each)).filter(Boolean);
      render();
    },
  };
}

/** Upload a file of the user's. Throws with a line for the user if it is refused. */
export async function uploaded(file, status) {
  status(`Receiving ${file.name} …`);
  try {
    return await upload(file, file.name);
  } finally {
    status("");
  }
}
