// The model behind the page, here: the service that the page came from. An exported folder has a file of the same name
// whose functions do the same in the browser.

import { Refusal } from "./refusal.js";

export const WHERE = "Pictures are sent to this service, which keeps none of them.";

// Only for as long as the page is open.
let key = "";

export function setKey(value) {
  key = value.trim();
}

/** What the model is: {model, version, class_names, image_shape, extra}. */
export async function open() {
  return await ask("model");
}

/** The most likely classes of a picture, best first: [{index, name, score}]. */
export async function classify(picture, model, top) {
  const answer = await send(`predict?top=${top}`, picture);
  return answer.predictions[0].classes.map(({ name, score }) => ({ index: model.class_names.indexOf(name), name, score }));
}

/** What the model sees and where it looks for a class: {width, height, pixels: RGBA, heat: 0..1 per pixel}. */
export async function explain(picture, index) {
  const answer = await send(`explain?class_index=${index}`, picture);
  const seen = await pixelsOf(answer.input);
  const heat = await pixelsOf(answer.heat);
  return {
    width: seen.width,
    height: seen.height,
    pixels: seen.data,
    heat: Float32Array.from({ length: seen.width * seen.height }, (_, pixel) => heat.data[4 * pixel] / 255),
  };
}

/** Test pictures of a class: [{source, predicted, score, is_right}], none where the service has none at hand. */
export async function examples(index) {
  const answer = await ask(`examples?class_index=${index}`);
  return answer.examples.map((example) => ({ ...example, source: `data:image/png;base64,${example.image}` }));
}

/** Whether the page also works without a network: not without its service. */
export async function keepOffline() {
  return false;
}

async function send(path, picture) {
  return await ask(path, { method: "POST", body: picture, headers: { "Content-Type": "application/octet-stream" } });
}

async function ask(path, options = {}) {
  const headers = { ...options.headers, ...(key && { Authorization: `Bearer ${key}` }) };
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch {
    throw new Refusal("The service cannot be reached. Is it still running?");
  }
  if (response.ok) return await response.json();
  throw await refusalOf(response);
}

async function refusalOf(response) {
  const { detail = `status ${response.status}` } = await response.json().catch(() => ({}));
  // "image 1: " tells one picture from others; here there is only one.
  const reason = detail.replace(/^image 1: /, "");
  if (response.status === 401) {
    return new Refusal(key ? "The service does not know this key." : "The service asks for a key.", { needsKey: true });
  }
  if (response.status === 503) return new Refusal(`The service is busy: ${reason}.`);
  if (response.status >= 500) return new Refusal(`The service failed: ${reason}.`);
  return new Refusal(`The picture ${/^(is|has|needs) /.test(reason) ? "" : "was refused: "}${reason}.`);
}

/** The pixels of a small PNG in base64, which has no alpha and no colour profile. */
async function pixelsOf(base64) {
  const image = new Image();
  image.src = `data:image/png;base64,${base64}`;
  await image.decode();
  const canvas = new OffscreenCanvas(image.width, image.height);
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  return context.getImageData(0, 0, image.width, image.height);
}
