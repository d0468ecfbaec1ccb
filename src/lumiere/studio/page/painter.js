// Painting a mask over a picture, or over any frame of a video: brush, box, eraser, undo, and a keyboard's way.

import { address, upload } from "./api.js";
import { el, newId } from "./dom.js";

const MOST_UNDO = 30;
const STEP = 4;

export function maskField(field) {
  const id = newId("mask");
  const picture = el("img", { alt: "", hidden: true, draggable: false });
  const video = el("video", { muted: true, playsInline: true, preload: "auto", hidden: true, "aria-hidden": "true" });
  const canvas = el("canvas", {
    tabIndex: 0, role: "application", width: 1, height: 1, "aria-describedby": `${id}-state`,
    "aria-label": "Painting area. Arrow keys move the brush, Space paints, with the box tool Space sets its corners.",
  });
  const state = el("p", { id: `${id}-state`, className: "soft", "aria-live": "polite" });
  const slider = el("input", { type: "range", id: `${id}-frame`, min: 0, value: 0 });
  const frameRow = el("div", { className: "row", hidden: true }, el("label", { htmlFor: slider.id }, "Frame"), slider);
  const size = el("input", { type: "range", id: `${id}-size`, min: 2, max: 120, value: 32 });
  const modes = Object.fromEntries(["Brush", "Box", "Erase"].map((name) =>
    [name, el("button", { type: "button", "aria-pressed": name === "Brush", onclick: () => choose(name) }, name)]));
  const corners = ["Left", "Top", "Right", "Bottom"].map((name) =>
    el("label", {}, name, el("input", { type: "number", min: 0, step: 1 })));
  let source = null;
  let mode = "Brush";
  let masks = new Map(); // from this frame on: a canvas, white where the model generates
  let past = [];
  let cursor = null;
  let corner = null;
  let last = null;
  let uploaded = null;
  let feather = 0;
  let visible = false;

  const stage = el("div", { className: "painter" }, picture, video, canvas);
  const onward = el("button", { type: "button", hidden: true, onclick: splitHere }, "New mask from this frame on");
  const element = el("fieldset", { className: "field mask", disabled: true },
    el("legend", {}, field.label + (field.optional ? " (optional)" : "")),
    el("div", { className: "row tools" }, ...Object.values(modes),
      el("button", { type: "button", onclick: undo }, "Undo"), el("button", { type: "button", onclick: clear }, "Clear")),
    el("div", { className: "row" }, el("label", { htmlFor: size.id }, "Size"), size),
    stage, frameRow, onward, state,
    el("details", {}, el("summary", {}, "Box by numbers"), el("div", { className: "row corners" }, ...corners,
      el("button", { type: "button", onclick: addBox }, "Add box"))));

  function choose(name) {
    mode = name;
    corner = null;
    for (const [each, button] of Object.entries(modes)) button.setAttribute("aria-pressed", each === name);
    draw();
  }

  const frame = () => Number(slider.value);
  /** The frame whose mask holds at the current one: the last painted before it, or the first. */
  function holding() {
    const painted = [...masks.keys()].sort((a, b) => a - b);
    return painted.filter((each) => each <= frame()).at(-1) ?? painted[0] ?? 0;
  }

  function current() {
    const key = masks.size ? holding() : frame();
    if (!masks.has(key)) masks.set(key, blank());
    return masks.get(key);
  }

  function blank(copied) {
    const made = el("canvas", { width: canvas.width, height: canvas.height });
    const ink = made.getContext("2d", { willReadFrequently: true });
    if (copied) ink.drawImage(copied, 0, 0);
    return made;
  }

  function remember() {
    past.push(new Map([...masks].map(([key, mask]) => [key, blank(mask)])));
    if (past.length > MOST_UNDO) past.shift();
    uploaded = null;
  }

  function undo() {
    if (!past.length) return;
    masks = past.pop();
    corner = uploaded = null;
    draw();
  }

  function clear() {
    remember();
    masks = new Map();
    draw();
  }

  function splitHere() {
    remember();
    masks.set(frame(), blank(current()));
    draw();
  }

  function stroke(from, to) {
    const ink = current().getContext("2d");
    ink.globalCompositeOperation = mode === "Erase" ? "destination-out" : "source-over";
    ink.strokeStyle = "#fff";
    ink.lineWidth = Number(size.value);
    ink.lineCap = ink.lineJoin = "round";
    ink.beginPath();
    ink.moveTo(from.x, from.y);
    ink.lineTo(to.x + 0.01, to.y);
    ink.stroke();
  }

  function fillBox(from, to) {
    const ink = current().getContext("2d");
    ink.globalCompositeOperation = "source-over";
    ink.fillStyle = "#fff";
    const [left, right] = [from.x, to.x].sort((a, b) => a - b).map(Math.round);
    const [top, bottom] = [from.y, to.y].sort((a, b) => a - b).map(Math.round);
    ink.fillRect(left, top, right - left, bottom - top);
  }

  function place(event) {
    const shown = canvas.getBoundingClientRect();
    return {
      x: ((event.clientX - shown.left) / shown.width) * canvas.width,
      y: ((event.clientY - shown.top) / shown.height) * canvas.height,
    };
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    event.preventDefault();
    canvas.setPointerCapture(event.pointerId);
    remember();
    last = place(event);
    if (mode === "Box") corner = last;
    else stroke(last, last);
    draw();
  });
  canvas.addEventListener("pointermove", (event) => {
    cursor = place(event);
    visible = false;
    if (last) {
      if (mode !== "Box") stroke(last, cursor);
      last = cursor;
    }
    draw();
  });
  const finish = () => {
    if (last && mode === "Box" && corner) fillBox(corner, last);
    last = null;
    corner = null;
    draw();
  };
  canvas.addEventListener("pointerup", finish);
  canvas.addEventListener("pointercancel", finish);
  canvas.addEventListener("pointerleave", () => {
    if (!last) cursor = null;
    draw();
  });
  canvas.addEventListener("keydown", (event) => {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    cursor ??= { x: canvas.width / 2, y: canvas.height / 2 };
    visible = true;
    if (way) {
      const step = event.shiftKey ? 4 * STEP : STEP;
      cursor = { x: clip(cursor.x + way[0] * step, canvas.width), y: clip(cursor.y + way[1] * step, canvas.height) };
    } else if (event.key === " " || event.key === "Enter") {
      if (mode !== "Box") {
        remember();
        stroke(cursor, cursor);
      } else if (corner) {
        remember();
        fillBox(corner, cursor);
        corner = null;
      } else corner = cursor;
    } else if (event.key === "z" && (event.ctrlKey || event.metaKey)) undo();
    else return;
    event.preventDefault();
    draw();
  });
  const clip = (value, most) => Math.min(most, Math.max(0, value));

  function addBox() {
    const [left, top, right, bottom] = corners.map((label) => Number(label.querySelector("input").value));
    if (!source || right <= left || bottom <= top) {
      state.textContent = "Give a box whose right and bottom are beyond its left and top.";
      return;
    }
    const scale = canvas.width / source.width;
    remember();
    fillBox({ x: left * scale, y: top * scale }, { x: right * scale, y: bottom * scale });
    draw();
  }

  function draw() {
    const ink = canvas.getContext("2d");
    ink.clearRect(0, 0, canvas.width, canvas.height);
    const mask = masks.size ? masks.get(holding()) : null;
    if (mask) {
      if (feather && source) ink.filter = `blur(${(feather / 2) * (canvas.width / source.width)}px)`;
      ink.drawImage(mask, 0, 0);
      ink.filter = "none";
      ink.globalCompositeOperation = "source-in";
      ink.fillStyle = "rgba(255, 60, 120, 0.55)";
      ink.fillRect(0, 0, canvas.width, canvas.height);
      ink.globalCompositeOperation = "source-over";
    }
    const end = last ?? cursor;
    ink.strokeStyle = "#fff";
    ink.lineWidth = Math.max(1, canvas.width / 300);
    if (mode === "Box" && corner && end) ink.strokeRect(corner.x, corner.y, end.x - corner.x, end.y - corner.y);
    else if (cursor && (visible || matchMedia("(hover: hover)").matches)) {
      ink.beginPath();
      ink.arc(cursor.x, cursor.y, mode === "Box" ? 3 : Number(size.value) / 2, 0, 7);
      ink.stroke();
    }
    describe(mask);
  }

  let describing = 0;
  function describe(mask) {
    clearTimeout(describing);
    describing = setTimeout(() => {
      if (!source) return;
      const part = mask ? share(mask) : 0;
      const times = masks.size > 1 ? `; ${masks.size} masks, from frames ${[...masks.keys()].sort((a, b) => a - b).join(", ")} on` : "";
      const which = source.frames ? `Frame ${frame()} of ${source.frames}. ` : "";
      state.textContent = `${which}Marked: ${part ? Math.max(1, Math.round(part * 100)) : 0} %${times}`;
    }, 150);
  }

  function share(mask) {
    const pixels = mask.getContext("2d").getImageData(0, 0, mask.width, mask.height).data;
    let marked = 0;
    for (let i = 3; i < pixels.length; i += 4) marked += pixels[i] > 127;
    return (marked * 4) / pixels.length;
  }

  slider.addEventListener("input", () => {
    if (source) video.currentTime = (frame() + 0.5) / source.fps;
    draw();
  });

  return {
    element,
    /** Show another source, and forget what was painted. */
    show(file) {
      if (file?.id === source?.id) return;
      source = file ?? null;
      masks = new Map();
      past = [];
      cursor = corner = last = uploaded = null;
      element.disabled = !file;
      picture.hidden = !file || Boolean(file.frames);
      video.hidden = !file?.frames;
      frameRow.hidden = onward.hidden = !file?.frames;
      if (!file) return;
      const scale = Math.min(1, (file.frames ? 640 : 1280) / Math.max(file.width, file.height));
      // Small frames are painted at several times their size, so that a brush is round.
      const finer = Math.max(1, Math.floor(512 / (Math.max(file.width, file.height) * scale)));
      canvas.width = Math.max(1, Math.round(file.width * scale)) * finer;
      canvas.height = Math.max(1, Math.round(file.height * scale)) * finer;
      size.max = Math.round(canvas.width / 2);
      size.value = Math.round(canvas.width / 8);
      slider.max = (file.frames ?? 1) - 1;
      slider.value = 0;
      if (file.frames) video.src = address.view(file);
      else picture.src = address.view(file);
      draw();
    },
    feather(pixels) {
      feather = pixels;
      draw();
    },
    set() {},
    /** Upload what is painted; undefined if nothing is. */
    async get() {
      const painted = [...masks].filter(([, mask]) => share(mask) > 0);
      if (!painted.length) return undefined;
      uploaded ??= Object.fromEntries(await Promise.all(painted.map(async ([key, mask]) => {
        const blob = await new Promise((resolve) => mask.toBlob(resolve, "image/png"));
        return [key, (await upload(blob, `mask-${key}.png`, true)).id];
      })));
      return uploaded;
    },
  };
}
