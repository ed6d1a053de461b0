// The model, off the page's own thread: messages {number, task, argument} are answered with {number, result}, with
// {number, refusal} when the picture is at fault, and with {number, fault} when this code is.

import { decode } from "./decode.js";
import { heatOf } from "./heat.js";
import { Refusal } from "./refusal.js";
import { toInput } from "./rule.js";
import * as ort from "./runtime/ort.wasm.bundle.min.js";

const tasks = { open, read, scores, heat };
let opened = null;

self.addEventListener("message", async ({ data: { number, task, argument } }) => {
  try {
    self.postMessage({ number, result: await tasks[task](argument) });
  } catch (error) {
    if (error instanceof Refusal) self.postMessage({ number, refusal: error.message });
    else self.postMessage({ number, fault: String(error?.message ?? error) });
  }
});

async function open() {
  return (await model()).description;
}

async function read(picture) {
  const { image_shape } = (await model()).description;
  const { orientation, ...pixels } = await decode(new Uint8Array(await picture.arrayBuffer()), image_shape[1]);
  return toInput(pixels, image_shape, orientation);
}

async function scores(input) {
  return await run(input, 1);
}

async function heat({ input, index }) {
  const { image_shape, num_views } = (await model()).description;
  return await heatOf(input, image_shape, index, num_views, run);
}

/** Probabilities of n inputs in a row: Float32Array of n * classes. */
async function run(inputs, num) {
  const { session, description } = await model();
  const tensor = new ort.Tensor("uint8", inputs, [num, ...description.image_shape]);
  const result = await session.run({ [session.inputNames[0]]: tensor });
  const output = result[session.outputNames[0]];
  const scores = Float32Array.from(output.data);
  output.dispose();
  return scores;
}

function model() {
  // What failed is tried again by the next task.
  opened ??= load().catch((error) => {
    opened = null;
    throw error;
  });
  return opened;
}

async function load() {
  const [description, weights, runtime] = await Promise.all([
    file("model.json").then((response) => response.json()),
    file("model.onnx").then((response) => response.arrayBuffer()),
    file("runtime/ort-wasm-simd-threaded.wasm.packed").then(unpack),
  ]);
  ort.env.logLevel = "error";
  // More threads need headers that a plain static host does not send.
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmBinary = runtime;
  const session = await ort.InferenceSession.create(new Uint8Array(weights), {
    executionProviders: ["wasm"],
    logSeverityLevel: 3,
  });
  return { description, session };
}

async function file(name) {
  let response;
  try {
    response = await fetch(new URL(name, import.meta.url));
  } catch {
    throw new Refusal(`The file ${name} cannot be had; is there a network?`);
  }
  if (!response.ok) throw new Refusal(`The file ${name} cannot be had: status ${response.status}.`);
  return response;
}

/** gzip to bytes, unless the host has unpacked it on the way. */
async function unpack(response) {
  const bytes = new Uint8Array(await response.arrayBuffer());
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes.buffer;
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return await new Response(stream).arrayBuffer();
}
