// The model behind the page, here: in the browser itself. The service has a file of the same name with the same
// functions. The work is done by a worker, so that the page never stands still.

import { Refusal } from "./refusal.js";

export const WHERE = "Pictures stay on this device: the model runs in the browser, and nothing is sent anywhere.";

const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
const waiting = new Map();
let numAsked = 0;
// Picture -> its pixels as the model takes them: a large photograph is decoded once.
const inputs = new WeakMap();
let description = null;

worker.addEventListener("message", ({ data: { number, result, refusal, fault } }) => {
  const { resolve, reject } = waiting.get(number);
  waiting.delete(number);
  if (refusal !== undefined) reject(new Refusal(refusal));
  else if (fault !== undefined) reject(new Error(fault));
  else resolve(result);
});
worker.addEventListener("error", (event) => {
  const words = event.message || "a file of this folder is missing";
  for (const { reject } of waiting.values()) reject(new Error(words));
  waiting.clear();
});

/** What the model is: {model, version, class_names, image_shape, num_views, extra}. */
export async function open() {
  description ??= await ask("open");
  return description;
}

/** Pixels as the model takes them: Uint8Array of height * width * channels. */
export async function read(picture) {
  let input = inputs.get(picture);
  if (!input) {
    input = ask("read", picture);
    inputs.set(picture, input);
  }
  return await input;
}

/** Probabilities of every class: Float32Array. */
export async function scores(picture) {
  return await ask("scores", await read(picture));
}

/** The most likely classes of a picture, best first: [{index, name, score}]; of equal ones the earlier comes first. */
export async function classify(picture, model, top) {
  const found = [...(await scores(picture))].map((score, index) => ({ index, name: model.class_names[index], score }));
  return found.sort((one, other) => other.score - one.score || one.index - other.index).slice(0, top);
}

/** What the model sees and where it looks for a class: {width, height, pixels: RGBA, heat: 0..1 per pixel}. */
export async function explain(picture, index) {
  const input = await read(picture);
  const [height, width, channels] = (await open()).image_shape;
  const pixels = new Uint8ClampedArray(4 * width * height);
  for (let pixel = 0; pixel < width * height; pixel += 1) {
    for (let channel = 0; channel < 3; channel += 1) {
      pixels[4 * pixel + channel] = input[channels * pixel + (channels === 1 ? 0 : channel)];
    }
    pixels[4 * pixel + 3] = 255;
  }
  return { width, height, pixels, heat: await ask("heat", { input, index }) };
}

/** None: a folder that anybody may get holds no pictures of the data that the model was trained on. */
export async function examples() {
  return [];
}

export function setKey() {
  throw new Error("nobody asks for a key here");
}

/** Keeps every file for later visits; whether that worked. Browsers allow it over https and on this machine only. */
export async function keepOffline() {
  if (!navigator.serviceWorker) return false;
  try {
    await navigator.serviceWorker.register("./offline.js");
  } catch {
    // A browser may forbid it (private windows, settings); the page then needs its host for every visit.
    return false;
  }
  await navigator.serviceWorker.ready;
  return true;
}

function ask(task, argument) {
  numAsked += 1;
  const number = numAsked;
  return new Promise((resolve, reject) => {
    waiting.set(number, { resolve, reject });
    worker.postMessage({ number, task, argument });
  });
}
