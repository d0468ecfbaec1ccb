// The JSON interface. Addresses are relative, so that the page works behind a proxy.

async function answered(response) {
  let content = {};
  try {
    content = await response.json();
  } catch {
    // a proxy's page, or nothing
  }
  if (!response.ok) {
    const error = new Error(content.error ?? `the studio answered ${response.status}`);
    throw Object.assign(error, { field: content.field });
  }
  return content;
}

async function call(method, address, body) {
  let response;
  try {
    response = await fetch(`api/${address}`, { method, body });
  } catch {
    throw new Error("the studio does not answer; is it still running?");
  }
  return answered(response);
}

const json = (value) => JSON.stringify(value);
const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export const state = () => call("GET", "state");
export const jobs = () => call("GET", "jobs");
export const addJob = (verb, options) => call("POST", "jobs", json({ verb, options }));
export const cancelJob = (id) => call("POST", `jobs/${id}/cancel`);
export const deleteJob = (id) => call("DELETE", `jobs/${id}`);
export const deleteFile = (id) => call("DELETE", `files/${id}`);
export const takeFrame = (id, number) => call("POST", `files/${id}/frames/${number}`);
export const readPrompt = (prompt, model, source) => call("POST", "prompt", json({ prompt, model, source }));

export async function upload(blob, name, isMask = false) {
  for (let attempt = 0; ; attempt++) {
    try {
      return await call("POST", `files?name=${encodeURIComponent(name)}${isMask ? "&mask=1" : ""}`, blob);
    } catch (error) {
      if (attempt || !error.message.includes("does not answer")) throw error;
      await wait(500);
    }
  }
}

export const address = {
  view: (file) => `api/files/${file.id}/${file.kind === "picture" || file.kind === "mask" ? "view.webp" : "view.mp4"}`,
  poster: (file) => `api/files/${file.id}/poster.webp`,
  mask: (id) => `api/files/${id}/view.webp`,
  slice: (file, row) => `api/files/${file.id}/slice?row=${row}`,
  save: (file, format) => `api/files/${file.id}/save/${format}`,
  preview: (job) => `api/jobs/${job.id}/preview?${job.progress.preview}`,
};
