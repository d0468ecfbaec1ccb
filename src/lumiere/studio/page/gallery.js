// The queue's cards, and the gallery of files.

import { address, cancelJob, deleteJob } from "./api.js";
import { $, duration, el, say } from "./dom.js";

const ENDED = { failed: "failed", cancelled: "cancelled", interrupted: "interrupted when the studio ended" };

const cards = new Map();

/** Cards of the jobs that wait, run or did not succeed, the running one first. */
export function showQueue(app) {
  const shown = app.jobs().filter((job) => job.state !== "done").slice(0, 40).reverse();
  const order = { running: 0, waiting: 1 };
  shown.sort((a, b) => (order[a.state] ?? 2) - (order[b.state] ?? 2));
  for (const [id, card] of cards) {
    if (!shown.some((job) => job.id === id)) {
      card.element.remove();
      cards.delete(id);
    }
  }
  shown.forEach((job, place) => {
    if (!cards.has(job.id)) cards.set(job.id, jobCard(job, app));
    const card = cards.get(job.id);
    card.update(job);
    if ($("queue").children[place] !== card.element) $("queue").insertBefore(card.element, $("queue").children[place] ?? null);
  });
}

function jobCard(first, app) {
  const preview = el("img", { className: "preview", alt: "Preview of the running clip", hidden: true });
  const bar = el("progress", { max: 1, "aria-label": "Progress" });
  const state = el("p", { className: "soft" });
  const buttons = el("div", { className: "row buttons" });
  const element = el("article", { className: "card" }, preview,
    el("div", {}, el("h3", {}, `${app.label(first.verb)}${first.options.prompt ? `: ${first.options.prompt}` : ""}`), bar, state, buttons));
  let before = "";
  let previews = 0;
  return {
    element,
    update(job) {
      const progress = job.progress;
      bar.hidden = job.state !== "running";
      if (progress) {
        if (progress.total) bar.value = progress.done / progress.total;
        else bar.removeAttribute("value");
        const left = progress.left === null ? "" : `, ${duration(progress.left)} left`;
        state.textContent = progress.total ? `${progress.stage}, step ${progress.done} of ${progress.total}${left}` : `${progress.stage} …`;
        if (progress.preview > previews) {
          previews = progress.preview;
          const next = new Image();
          next.src = address.preview(job);
          next.decode().then(() => {
            preview.src = next.src;
            preview.hidden = false;
          }, () => {});
        }
      } else if (job.state === "waiting") {
        state.textContent = app.isReady() ? (job.place === 1 ? "next in the queue" : `number ${job.place} in the queue`) : "waiting for the model to be loaded";
      } else if (job.state in ENDED) {
        state.textContent = job.error ?? ENDED[job.state];
        preview.hidden = true;
      }
      element.classList.toggle("problem", job.state === "failed");
      if (before === job.state) return;
      before = job.state;
      const isOpen = job.state === "running" || job.state === "waiting";
      buttons.replaceChildren(...(isOpen
        ? [button("Cancel", () => cancelJob(job.id).then(app.poll))]
        : [button("Run again", () => app.run(job)), button("Remove", () => deleteJob(job.id).then(app.poll))]));
    },
  };
}

function button(label, action) {
  return el("button", { type: "button", onclick: async () => {
    try {
      await action();
    } catch (error) {
      say(error.message);
    }
  } }, label);
}

export function showGallery(app) {
  const files = app.files();
  $("gallery-title").hidden = !files.length;
  const selected = app.selected()?.file.id;
  const before = new Map([...$("gallery").children].map((item) => [item.dataset.id, item]));
  $("gallery").replaceChildren(...files.map((file) => {
    const item = before.get(file.id) ?? card(file, app);
    item.firstChild.setAttribute("aria-pressed", file.id === selected);
    return item;
  }));
}

function card(file, app) {
  const about = file.frames ? `${Number(file.duration.toFixed(1))} s, ${file.width}×${file.height}` : `picture, ${file.width}×${file.height}`;
  return el("li", { dataset: { id: file.id } }, el("button", { type: "button", onclick: () => app.select(file) },
    el("img", { src: address.poster(file), alt: "", loading: "lazy" }),
    el("span", { className: "name" }, file.settings?.prompt || file.name), el("span", { className: "soft" }, about)));
}
