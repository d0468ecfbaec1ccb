// Elements, without HTML from strings: whatever a user wrote stays text.

export function el(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("aria-")) {
      if (value !== undefined && value !== null) element.setAttribute(name, String(value));
      continue;
    }
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "dataset") Object.assign(element.dataset, value);
    else if (name in element && name !== "list") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Whether the results stand below the form, as on a phone. */
export const isNarrow = () => matchMedia("(max-width: 52rem)").matches;

export const $ = (id) => document.getElementById(id);

/** Show at a field what is wrong with it, or with null that nothing is. */
export function mark(field, text) {
  field.querySelector(":scope > .problem")?.remove();
  const inputs = field.querySelectorAll("input, textarea, select, canvas");
  for (const input of inputs) input.removeAttribute("aria-invalid");
  if (!text) return;
  field.append(el("p", { className: "problem", role: "alert" }, text));
  for (const input of inputs) input.setAttribute("aria-invalid", "true");
  for (let around = field.closest("details"); around; around = around.parentElement.closest("details")) around.open = true;
  field.scrollIntoView({ block: "nearest" });
}

let fading = 0;

/** Show what went wrong, or another message, in one line. */
export function say(text, isError = true) {
  const box = $("message");
  box.replaceChildren(el("span", {}, text), el("button", { type: "button", onclick: () => (box.hidden = true) }, "Close"));
  box.classList.toggle("error", isError);
  box.hidden = false;
  clearTimeout(fading);
  if (!isError) fading = setTimeout(() => (box.hidden = true), 5000);
}

/** Tell screen readers. */
export function announce(text) {
  $("announcer").textContent = text;
}

let numbers = 0;
export const newId = (name) => `${name}-${++numbers}`;

export function duration(seconds) {
  if (seconds < 1) return "under 1 s";
  return seconds < 90 ? `${Math.round(seconds)} s` : `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
}
