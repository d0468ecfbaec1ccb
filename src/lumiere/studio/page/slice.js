// An x-t slice beside a clip: the row is dragged on the frame, or set by its slider.

import { address } from "./api.js";
import { el, newId } from "./dom.js";

export function sliceOf(file, video, onrow) {
  const id = newId("row");
  const slider = el("input", { type: "range", id, min: 0, max: file.height - 1, value: Math.floor(file.height / 2), "aria-label": "Row of the x-t slice" });
  const line = el("div", { className: "line", "aria-hidden": "true" });
  const grip = el("div", { className: "grip" }, line);
  const picture = el("img", { className: "slice", alt: "" });
  const label = el("figcaption", {});
  let busy = false;

  function place() {
    line.style.top = `${((Number(slider.value) + 0.5) / file.height) * 100}%`;
    label.textContent = `x-t slice of row ${slider.value}, time going down`;
    picture.alt = label.textContent;
  }

  async function load() {
    if (busy) return;
    busy = true;
    for (let row = null; row !== slider.value;) {
      row = slider.value;
      const next = new Image();
      next.src = address.slice(file, row);
      try {
        await next.decode();
        picture.src = next.src;
      } catch {
        // the clip was deleted meanwhile
      }
    }
    busy = false;
  }

  function set(row) {
    slider.value = Math.min(file.height - 1, Math.max(0, Math.round(row)));
    place();
    load();
  }

  const drag = (event) => {
    const shown = grip.getBoundingClientRect();
    set(((event.clientY - shown.top) / shown.height) * file.height - 0.5);
    onrow?.(Number(slider.value) / file.height);
  };
  grip.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    event.preventDefault();
    grip.setPointerCapture(event.pointerId);
    drag(event);
  });
  grip.addEventListener("pointermove", (event) => event.buttons && grip.hasPointerCapture(event.pointerId) && drag(event));
  slider.addEventListener("input", () => {
    set(Number(slider.value));
    onrow?.(Number(slider.value) / file.height);
  });
  place();
  load();
  return {
    frame: el("div", { className: "frame" }, video, grip),
    slice: el("figure", {}, picture, label, el("div", { className: "row" }, el("label", { htmlFor: id }, "Row"), slider)),
    setShare: (share) => set(share * file.height),
  };
}

export function player(file, muted = true) {
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  return el("video", {
    src: address.view(file), poster: address.poster(file), loop: true, muted, autoplay: !still, playsInline: true,
    controls: still, "aria-label": file.name,
  });
}
