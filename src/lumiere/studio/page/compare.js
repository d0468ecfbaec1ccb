// Two clips side by side, in step, with the x-t slices of the same row.

import { el, newId } from "./dom.js";
import { player, sliceOf } from "./slice.js";

export function compareForm(tool, app) {
  const shown = el("div", { className: "compare" });
  const choices = ["First clip", "Second clip"].map((label) => {
    const select = el("select", { id: newId("compare"), onchange: render });
    return { label, select };
  });
  let before = "";

  function refresh() {
    const clips = app.files().filter((file) => file.frames);
    choices.forEach(({ select }, place) => {
      const chosen = select.value;
      select.replaceChildren(...clips.map((file) => el("option", { value: file.id }, `${file.settings?.prompt || file.name} (${file.settings?.seed ?? file.width})`)));
      select.value = clips.some((file) => file.id === chosen) ? chosen : (clips[Math.min(place, clips.length - 1)]?.id ?? "");
    });
    render();
  }

  function render() {
    const files = choices.map(({ select }) => app.file(select.value)).filter(Boolean);
    const key = files.map((file) => file.id).join();
    if (key === before) return;
    before = key;
    if (files.length < 2) return shown.replaceChildren(el("p", { className: "soft" }, "Make or drop two clips first."));
    const videos = files.map((file) => player(file));
    const panes = files.map((file, place) => sliceOf(file, videos[place], (share) => panes[1 - place].setShare(share)));
    videos[0].addEventListener("seeked", () => (videos[1].currentTime = Math.min(videos[0].currentTime, videos[1].duration || 0)));
    videos[0].addEventListener("timeupdate", () => {
      const apart = Math.abs(videos[0].currentTime - videos[1].currentTime);
      if (apart > 0.15 && videos[0].currentTime < (videos[1].duration || 0)) videos[1].currentTime = videos[0].currentTime;
    });
    const pause = el("button", { type: "button", onclick: () => {
      const paused = videos[0].paused;
      for (const video of videos) paused ? video.play() : video.pause();
      pause.textContent = paused ? "Pause" : "Play";
    } }, "Pause");
    shown.replaceChildren(pause, el("div", { className: "pair" }, ...panes.map((pane, place) => {
      pane.frame.style.aspectRatio = `${files[place].width} / ${files[place].height}`;
      return el("div", {}, pane.frame, pane.slice);
    })));
  }

  return {
    element: el("form", { onsubmit: (event) => event.preventDefault() }, el("p", { className: "about" }, tool.about),
      ...choices.map(({ label, select }) => el("div", { className: "field" }, el("label", { htmlFor: select.id }, label), select)), shown),
    refresh,
    fill() {},
    isRaw: () => false,
    accept(file) {
      refresh();
      choices[0].select.value = file.id;
      render();
      return true;
    },
  };
}
