// The tabs: which fields each verb has. Names are those of the command line's options.

const number = (name, label, min, max, more = {}) => ({ name, label, type: "number", min, max, ...more });
const advanced = (...fields) => fields.map((field) => ({ ...field, advanced: true }));

const SIZE_OF_SOURCE = {
  name: "size", label: "Size", type: "select",
  choices: [["", "the model's"], ["source", "the source's"], ["256", "256 pixels"], ["512", "512 pixels"], ["1024", "1024 pixels"]],
};
const SIZE = { ...SIZE_OF_SOURCE, choices: SIZE_OF_SOURCE.choices.filter(([value]) => value !== "source") };
const FRAMES = number("frames", "Frames", 2, 1600, { placeholder: "frames" });
const FEATHER = number("feather", "Feather, in pixels", 0, 200, { value: 0 });
const SAMPLING = advanced(
  number("seed", "Seed", 0, 2 ** 53 - 1, { placeholder: "random" }),
  number("steps", "Steps", 1, 250, { placeholder: "steps" }),
  number("guidance", "Guidance scale", 1, 100, { step: 0.1, placeholder: "guidance" }),
  { name: "negative", label: "Negative prompt", type: "text" },
  { name: "no_rewrite", label: "Pass the prompt to the model as it is", type: "checkbox" },
);
const STYLE = advanced(
  { name: "style", label: "Style", type: "style" },
  number("alpha", "Strength of the style", 0, 1, { step: 0.05, placeholder: 1 }),
);
const COMPOSITE = advanced({ name: "no_composite", label: "Keep the model's output in the known region", type: "checkbox" });
const PROMPT = { name: "prompt", label: "Prompt", type: "prompt" };
const NEEDED = { ...PROMPT, required: true };
const GUIDED = { ...PROMPT, source: true };
const VIDEO = { name: "video", label: "Video", type: "file", kind: "video" };
const IMAGE = { name: "image", label: "Picture", type: "file", kind: "picture" };
const FROM_TEXT = [
  NEEDED, { ...FRAMES }, SIZE, ...SAMPLING,
  ...advanced(
    { name: "first_frame_prompt", label: "First-frame prompt", type: "text", placeholder: "the prompt without its motion" },
    { name: "scheduler", label: "Noise scheduler", type: "select", choices: [["", "the model's"], ["ddim", "DDIM"], ["dpm++", "DPM++"], ["euler", "Euler"]] },
  ),
  ...STYLE,
];

export const TOOLS = {
  generate: {
    tab: "Generate", action: "Generate", about: "Generate a clip from a prompt.",
    example: "a frog growing on a purple background", fields: FROM_TEXT,
  },
  animate: {
    tab: "Animate", action: "Animate", about: "Animate a picture, which is the first frame of the clip.", conditioned: true,
    fields: [IMAGE, GUIDED, FRAMES, SIZE_OF_SOURCE, ...SAMPLING, ...STYLE, ...COMPOSITE],
  },
  cinemagraph: {
    tab: "Cinemagraph", action: "Animate the region", conditioned: true,
    about: "Paint what moves in a picture; the rest stays still.",
    fields: [IMAGE, { name: "masks", label: "Region that moves", type: "mask", of: "image" }, GUIDED, FEATHER, FRAMES, SIZE_OF_SOURCE, ...SAMPLING, ...STYLE, ...COMPOSITE],
  },
  inpaint: {
    tab: "Inpaint", action: "Inpaint", conditioned: true,
    about: "Paint over what to regenerate in a video, on any of its frames.",
    fields: [VIDEO, { name: "masks", label: "Region to inpaint", type: "mask", of: "video" }, GUIDED, FEATHER, SIZE_OF_SOURCE,
      ...advanced(number("padding_mask_crop", "Crop to the mask and this many pixels around it", 0, 2000)), ...SAMPLING, ...STYLE, ...COMPOSITE],
  },
  outpaint: {
    tab: "Outpaint", action: "Outpaint", about: "Outpaint a video onto a larger canvas.", conditioned: true,
    fields: [VIDEO, { name: "canvas", label: "Pixels to add", type: "canvas", of: "video" }, GUIDED, SIZE_OF_SOURCE, ...SAMPLING, ...STYLE, ...COMPOSITE],
  },
  transition: {
    tab: "Transition", action: "Interpolate", about: "Interpolate between a first and a last picture.", conditioned: true,
    fields: [{ ...IMAGE, name: "first", label: "First picture" }, { ...IMAGE, name: "last", label: "Last picture" }, GUIDED, FRAMES, SIZE_OF_SOURCE, ...SAMPLING, ...STYLE, ...COMPOSITE],
  },
  extend: {
    tab: "Extend", action: "Extend", about: "Extend a video, window by window.", conditioned: true,
    fields: [VIDEO, GUIDED, { ...FRAMES, label: "Frames of the extended video", placeholder: "a window more" }, SIZE_OF_SOURCE,
      ...advanced(number("given", "Known frames of each window", 1, 79, { placeholder: 16 })), ...SAMPLING, ...STYLE, ...COMPOSITE],
  },
  loop: { tab: "Loop", action: "Generate a loop", about: "Generate a seamless loop from a prompt.", example: "a frog on a purple background", fields: FROM_TEXT },
  edit: {
    tab: "Edit", action: "Edit", about: "Edit a video with a prompt (SDEdit).",
    fields: [VIDEO, { ...NEEDED, source: true },
      { name: "strength", label: "Strength", type: "range", min: 0.05, max: 1, step: 0.05, value: 0.6 },
      { name: "masks", label: "Region to edit", type: "mask", of: "video", optional: true }, FEATHER,
      { ...SIZE_OF_SOURCE, choices: [["", "the source's"], ...SIZE.choices.slice(1)] }, ...SAMPLING, ...STYLE, ...COMPOSITE],
  },
  stylize: {
    tab: "Style", action: "Fit and generate", about: "Generate a clip in the style of pictures. Fitting takes minutes; the style is kept for other tabs.",
    fields: [{ name: "reference", label: "Reference pictures", type: "file", kind: "picture", multiple: true },
      { name: "caption", label: "Caption of the references, without their style", type: "text", placeholder: "the file's name" }, NEEDED,
      { name: "alpha", label: "Strength of the style", type: "range", min: 0, max: 1, step: 0.05, value: 1 },
      number("fit_steps", "Training steps of the style", 1, 2000, { value: 400 }), FRAMES, SIZE, ...SAMPLING],
  },
  upscale: {
    tab: "Upscale", action: "Upscale", about: "Upscale a video with MultiDiffusion.",
    fields: [{ ...VIDEO, name: "file" },
      { ...SIZE, label: "Longer side", choices: [["256", "256 pixels"], ["512", "512 pixels"], ["1024", "1024 pixels"], ["2048", "2048 pixels"]] },
      ...advanced(number("seed", "Seed", 0, 2 ** 53 - 1, { placeholder: 0 }), number("steps", "Steps", 1, 250, { placeholder: "the model's" }))],
  },
  compare: { tab: "Compare", about: "Play two clips side by side, with the x-t slices of the same row." },
};
