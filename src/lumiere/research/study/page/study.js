"use strict";

const $ = (id) => document.getElementById(id);
const SCREENS = ["welcome", "trial", "end", "trouble"];
const LAST_RATER = "lumiere-study:rater:" + location.pathname;
const AHEAD = 3; // pairs loaded before they are shown, so that a lost connection is not noticed at once
const LONGEST_WAIT = 15000; // milliseconds between two attempts
const choices = [...document.querySelectorAll(".choice")];
const videos = choices.map((choice) => choice.querySelector("video"));

let token = "";
let questions = [];
let trials = [];
let place = { trial: 0, question: 1 };
let last = null; // the place of the answer that can still be changed
let shownAt = 0;

function show(screen) {
  for (const name of SCREENS) $(name).hidden = name !== screen;
  $("resume").hidden = screen !== "trial";
}

function trouble(title, text, again, label = "Try again") {
  $("trouble-title").textContent = title;
  $("trouble-text").textContent = text;
  $("again").onclick = again;
  $("again").textContent = label;
  show("trouble");
}

// ---------------------------------------------------------------- what this browser remembers

const memory = new Map();
const remembered = {
  get(key) {
    try { return localStorage.getItem(key); } catch { return memory.get(key) ?? null; }
  },
  set(key, value) {
    try { localStorage.setItem(key, value); } catch { memory.set(key, value); }
  },
};

// ---------------------------------------------------------------- the server

/** The study's server will not have it; what stands between here and there may refuse for other reasons. */
class Refused extends Error {}

async function ask(path, options = {}, patience = 20000) {
  const response = await fetch(path, { ...options, signal: AbortSignal.timeout(patience) });
  const ours = response.headers.get("Content-Type")?.startsWith("application/json");
  if (ours && response.status >= 400 && response.status < 500) throw new Refused(`${response.status} for ${path}`);
  if (!response.ok) throw new Error(`${response.status} for ${path}`);
  return response;
}

/** Wait for some time, or until the connection is back. */
function pause(milliseconds) {
  return new Promise((resolve) => {
    const done = () => { clearTimeout(timer); removeEventListener("online", done); resolve(); };
    const timer = setTimeout(done, milliseconds);
    addEventListener("online", done);
  });
}

// ---------------------------------------------------------------- answers on their way

/** Answers that the server has not acknowledged; kept in the browser, so that a reload loses none. */
const outbox = {
  sending: false,
  failing: false,
  key: () => "lumiere-study:outbox:" + token,
  read() { return JSON.parse(remembered.get(this.key()) || "{}"); },
  write(answers) { remembered.set(this.key(), JSON.stringify(answers)); },
  size() { return Object.keys(this.read()).length; },

  add(address, answer) {
    this.write({ ...this.read(), [address]: answer });
    this.send();
  },

  /** An answer that was changed while it was under way stays. */
  remove(address, revision) {
    const answers = this.read();
    if (answers[address]?.revision === revision) delete answers[address];
    this.write(answers);
  },

  async send() {
    showSaved();
    if (this.sending) return;
    this.sending = true;
    let wait = 500;
    for (let next; (next = Object.entries(this.read())[0]); showSaved()) {
      const [address, answer] = next;
      try {
        const response = await ask(`api/raters/${token}/answers/${address}`, {
          method: "PUT",
          headers: { "Content-Type": "application/json" },
          body: JSON.stringify(answer),
        });
        const kept = await response.json(); // a sign-in page of a network says 200 too
        if (!(kept.revision >= answer.revision)) throw new Error("not acknowledged");
        this.remove(address, answer.revision);
        this.failing = false;
        wait = 500;
      } catch (error) {
        if (error instanceof Refused) { // and would be again
          this.remove(address, answer.revision);
          trouble("An answer was refused", "The study has changed. Please load it again.",
            () => location.reload(), "Load it again");
          return;
        }
        this.failing = true;
        showSaved();
        await pause(wait);
        wait = Math.min(2 * wait, LONGEST_WAIT);
      }
    }
    this.sending = false;
    showSaved();
  },
};

function showSaved() {
  const cutOff = outbox.failing || !navigator.onLine;
  const waiting = outbox.size();
  const answers = count(waiting, "answer");
  $("saved").classList.toggle("waiting", cutOff && waiting > 0);
  $("saved").textContent = waiting === 0 ? "All answers saved"
    : cutOff ? `No connection: ${answers} kept here`
    : "Saving …";
  $("restart").disabled = waiting > 0;
  $("end-title").textContent = waiting ? "Almost done" : "Thank you";
  $("end-text").textContent = waiting
    ? `${answers} of yours still to be sent. Please keep this page open.`
    : "All your answers are saved. You can close this page.";
}

// ---------------------------------------------------------------- clips

const loaded = new Map(); // trial -> promise of two addresses of what lies in memory

function load(trial) {
  if (!loaded.has(trial)) {
    loaded.set(trial, Promise.all(trial.clips.map(async (name) => {
      for (let wait = 500; ; wait = Math.min(2 * wait, LONGEST_WAIT)) {
        try {
          return URL.createObjectURL(await (await ask("clips/" + name, {}, 300000)).blob());
        } catch (error) {
          if (error instanceof Refused) throw error;
          await pause(wait);
        }
      }
    })));
  }
  return loaded.get(trial);
}

async function loadAround(index) {
  for (const [trial, clips] of loaded) {
    const distance = trials.indexOf(trial) - index;
    if (distance < -1 || distance > AHEAD) {
      loaded.delete(trial);
      clips.then((addresses) => addresses.forEach((address) => URL.revokeObjectURL(address)), () => {});
    }
  }
  for (const trial of trials.slice(index, index + AHEAD + 1)) await load(trial);
}

/** Two clips that start together, stay together, and begin again together. */
const player = {
  trial: null,
  ready: false, // both are loaded
  seen: false, // both were shown to the end
  wanted: true, // the rater did not pause

  async open(trial) {
    if (this.trial === trial) return;
    this.close();
    this.trial = trial;
    this.wanted = true;
    const addresses = await load(trial);
    if (this.trial !== trial) return;
    await Promise.all(videos.map((video, side) => new Promise((resolve, reject) => {
      video.oncanplay = resolve;
      video.onerror = () => reject(new Error("This browser cannot play it"));
      video.src = addresses[side];
      video.load();
    })));
    if (this.trial !== trial) return;
    this.ready = true;
    showHint();
    this.play();
  },

  close() {
    this.trial = null;
    this.ready = this.seen = false;
    videos.forEach((video) => video.pause());
  },

  async play() {
    if (!this.ready || !this.wanted || document.hidden) return;
    const trial = this.trial;
    if (videos.every((video) => video.ended)) {
      await Promise.all(videos.map((video) => new Promise((resolve) => {
        video.addEventListener("seeked", resolve, { once: true });
        video.currentTime = 0;
      })));
      if (this.trial !== trial || !this.wanted || document.hidden) return;
    }
    try {
      await Promise.all(videos.map((video) => (video.ended ? null : video.play())));
    } catch (error) {
      if (error.name === "NotAllowedError" && this.wanted) this.toggle(); // the browser wants a touch first
    }
  },

  toggle() {
    this.wanted = !this.wanted;
    if (this.wanted) this.play();
    else videos.forEach((video) => video.pause());
    showHint();
  },

  /** The second clip follows the first: a little faster or slower, or in one jump if it is far off. */
  keepTogether() {
    const [first, second] = videos;
    if (videos.some((video) => video.paused || video.ended || video.seeking)) return;
    const ahead = second.currentTime - first.currentTime;
    if (Math.abs(ahead) > 0.25) second.currentTime = first.currentTime;
    second.playbackRate = Math.abs(ahead) < 0.01 ? 1 : Math.min(1.5, Math.max(0.5, 1 - 4 * ahead));
  },
};

for (const video of videos) {
  video.addEventListener("ended", () => {
    if (!player.ready || !videos.every((each) => each.ended)) return;
    if (!player.seen) {
      player.seen = true;
      shownAt = performance.now();
      showHint();
    }
    player.play();
  });
}
setInterval(() => player.keepTogether(), 40);
document.addEventListener("visibilitychange", () => {
  if (document.hidden) videos.forEach((video) => video.pause());
  else player.play();
});

// ---------------------------------------------------------------- pairs and questions

const count = (number, noun) => `${number} ${noun}${number === 1 ? "" : "s"}`;
const answered = () => trials.reduce((sum, trial) => sum + Object.keys(trial.answers).length, 0);

function showHint() {
  choices.forEach((choice) => choice.setAttribute("aria-disabled", String(!player.seen)));
  const keys = matchMedia("(pointer: coarse)").matches
    ? "Tap the better one." : "Click the better one, or press 1 or 2. P pauses.";
  $("hint").textContent = !player.ready ? (navigator.onLine ? "Loading …" : "Waiting for the connection …")
    : !player.wanted ? "Paused." : player.seen ? keys : "Watch both to the end once.";
  $("toggle").textContent = player.wanted ? "Pause" : "Play";
  $("stage").classList.toggle("loading", !player.ready);
}

async function ahead() {
  const trial = trials.findIndex((each) => Object.keys(each.answers).length < questions.length);
  if (trial < 0) {
    player.close();
    showSaved();
    show("end");
    $("end-back").hidden = !last;
    return;
  }
  const question = questions.findIndex((_, index) => !trials[trial].answers[index + 1]) + 1;
  await present({ trial, question });
}

async function present(next) {
  place = next;
  const trial = trials[place.trial];
  const total = trials.length * questions.length;
  $("place").textContent = `Pair ${place.trial + 1} of ${trials.length}`
    + (questions.length > 1 ? ` · question ${place.question} of ${questions.length}` : "");
  $("progress").firstElementChild.style.width = `${(100 * answered()) / total}%`;
  $("progress").setAttribute("aria-valuemax", total);
  $("progress").setAttribute("aria-valuenow", answered());
  $("prompt").textContent = trial.prompt;
  $("question").textContent = questions[place.question - 1];
  if (!matchMedia("(prefers-reduced-motion: reduce)").matches) {
    $("question").animate([{ opacity: 0, transform: "translateY(0.4rem)" }, {}], { duration: 300, easing: "ease-out" });
  }
  $("back").disabled = !last;
  const aspect = trial.width / trial.height;
  $("stage").style.setProperty("--aspect", aspect);
  $("stage").classList.toggle("wide", aspect > 1.2);
  const before = trial.answers[place.question]?.chosen;
  choices.forEach((choice, side) => choice.classList.toggle("chosen", trial.clips[side] === before));
  show("trial");
  showSaved();
  shownAt = performance.now();
  const opening = player.open(trial);
  showHint();
  try {
    await opening;
    await loadAround(place.trial);
  } catch (error) {
    trouble("A clip cannot be shown", `${error.message}. Your answers so far are kept.`, open);
  }
}

function choose(side) {
  if ($("trial").hidden || !player.seen || choices.some((choice) => choice.classList.contains("leaving"))) return;
  const trial = trials[place.trial];
  const before = trial.answers[place.question];
  const answer = {
    chosen: trial.clips[side],
    revision: before ? before.revision + 1 : 0,
    seconds: Math.round(performance.now() - shownAt) / 1000,
  };
  trial.answers[place.question] = answer;
  last = place;
  outbox.add(`${trial.pair}/${place.question}`, answer);
  choices.forEach((choice, index) => {
    choice.classList.toggle("chosen", index === side);
    choice.classList.add("leaving");
  });
  setTimeout(() => {
    choices.forEach((choice) => choice.classList.remove("chosen", "leaving"));
    ahead();
  }, 180);
}

function back() {
  if (!last) return;
  const to = last;
  last = null;
  present(to);
}

choices.forEach((choice, side) => choice.addEventListener("click", () => choose(side)));
$("toggle").addEventListener("click", () => player.toggle());
$("back").addEventListener("click", back);
$("end-back").addEventListener("click", back);

const KEYS = { 1: () => choose(0), 2: () => choose(1), ArrowLeft: () => choose(0), ArrowRight: () => choose(1),
  Backspace: back, p: () => player.toggle() };
addEventListener("keydown", (event) => {
  if ($("trial").hidden || event.repeat || event.ctrlKey || event.altKey || event.metaKey) return;
  const act = KEYS[event.key];
  if (!act) return;
  event.preventDefault();
  act();
});

// ---------------------------------------------------------------- coming and going

async function welcome() {
  const about = await (await ask("api/study")).json();
  $("pair-count").textContent = count(about.pairs, "pair");
  const seconds = about.pairs * (5 + 5 * about.questions.length);
  $("minutes").textContent = count(Math.max(1, Math.round(seconds / 60)), "minute");
  $("question-list").replaceChildren(...about.questions.map((text) => {
    const item = document.createElement("li");
    item.textContent = text;
    return item;
  }));
  show("welcome");
}

function forget() {
  remembered.set(LAST_RATER, "");
  location.hash = "";
  location.reload();
}

async function start() {
  $("start").disabled = true;
  try {
    const { rater } = await (await ask("api/raters", { method: "POST" })).json();
    remembered.set(LAST_RATER, rater);
    await open();
  } catch {
    trouble("The study cannot be reached", "Please check your connection.", () => location.reload());
  }
}

async function open() {
  const known = location.hash.slice(1) || remembered.get(LAST_RATER);
  player.close();
  try {
    if (!known) return await welcome();
    const session = await (await ask(`api/raters/${encodeURIComponent(known)}`)).json();
    token = known;
    remembered.set(LAST_RATER, token);
    history.replaceState(null, "", "#" + token);
    $("link").href = "#" + token;
    ({ questions, trials } = session);
    for (const [address, answer] of Object.entries(outbox.read())) {
      const [pair, question] = address.split("/");
      const trial = trials.find((each) => each.pair === pair);
      if (trial) trial.answers[question] = answer;
    }
    outbox.send();
    await ahead();
  } catch (error) {
    if (error instanceof Refused) {
      trouble("This link is not known here", "Check that it is complete, or start over.", forget, "Begin restart");
    } else {
      trouble("The study cannot be reached", "Please check your connection.", open);
    }
  }
}

$("start").addEventListener("click", start);
$("restart").addEventListener("click", forget);
$("copy").hidden = !navigator.clipboard;
$("copy").addEventListener("click", async () => {
  await navigator.clipboard.writeText(location.href);
  $("copy").textContent = "Copied";
  setTimeout(() => { $("copy").textContent = "Copy"; }, 1500);
});
// Another rater's link in the same window: nothing of the one before may stay.
addEventListener("hashchange", () => location.reload());
addEventListener("online", () => showSaved());
addEventListener("offline", () => showSaved());
open();
