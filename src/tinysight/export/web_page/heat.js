// Where covering a patch costs a class the most: the same as `occlusion_map` in src/tinysight/serving/heatmap.py.
// Zeiler and Fergus 2013, Visualizing and Understanding Convolutional Networks, section 4.2, arXiv 1311.2901.

const PATCHES_PER_SIDE = 4;
const PLACES_PER_SIDE = 9;
const TINY = 2 ** -126;
// Values of all the views of inputs that go through the model at once: memory is dear in a browser.
const MAX_VALUES = 500_000;

/**
 * @param {Uint8Array} input one picture as the model takes it.
 * @param {[number, number, number]} shape of it.
 * @param {number} index the class.
 * @param {number} numViews how many views of a picture the model averages over.
 * @param {(inputs: Uint8Array, num: number) => Promise<Float32Array>} run gives probabilities.
 * @returns {Promise<Float32Array>} height * width values, 0..1.
 */
export async function heatOf(input, shape, index, numViews, run) {
  const [height, width] = shape;
  const patches = bands(height).flatMap((down) => bands(width).map((across) => ({ down, across })));
  const before = evidence(await run(input, 1), 1, index)[0];
  const after = await evidenceUnder(patches, input, shape, index, numViews, run);
  const sums = new Float64Array(height * width);
  const counts = new Uint8Array(height * width);
  patches.forEach((patch, number) => {
    const lost = Math.max(before - after[number], 0);
    forEachPixel(patch, width, (pixel) => {
      sums[pixel] += lost;
      counts[pixel] += 1;
    });
  });
  const heat = sums.map((sum, pixel) => sum / counts[pixel]);
  const largest = heat.reduce((one, other) => Math.max(one, other), 0);
  return Float32Array.from(heat, (value) => (largest > 0 ? value / largest : value));
}

async function evidenceUnder(patches, input, [height, width, channels], index, numViews, run) {
  const mean = meanColour(input, channels);
  const atOnce = Math.max(1, Math.floor(MAX_VALUES / (input.length * numViews)));
  const found = [];
  for (let start = 0; start < patches.length; start += atOnce) {
    const some = patches.slice(start, start + atOnce);
    const covered = new Uint8Array(some.length * input.length);
    some.forEach((patch, number) => {
      const one = covered.subarray(number * input.length, (number + 1) * input.length);
      one.set(input);
      forEachPixel(patch, width, (pixel) => one.set(mean, pixel * channels));
    });
    found.push(...evidence(await run(covered, some.length), some.length, index));
  }
  return found;
}

/** The class's logit less the mean of all, of each picture. */
function evidence(probabilities, num, index) {
  const numClasses = probabilities.length / num;
  return Array.from({ length: num }, (_, number) => {
    const logs = Array.from(probabilities.subarray(number * numClasses, (number + 1) * numClasses), (value) =>
      Math.log(Math.max(value, TINY)),
    );
    return logs[index] - logs.reduce((one, other) => one + other, 0) / numClasses;
  });
}

function meanColour(input, channels) {
  const sums = new Array(channels).fill(0);
  input.forEach((value, place) => { sums[place % channels] += value; });
  return sums.map((sum) => roundHalfToEven((sum * channels) / input.length));
}

/** Overlapping stretches of one side, the outermost half beyond the border. */
function bands(length) {
  const size = Math.max(1, Math.ceil(length / PATCHES_PER_SIDE));
  const half = Math.floor((size + 1) / 2);
  const [first, last] = [half - size, length - half];
  return Array.from({ length: PLACES_PER_SIDE }, (_, place) => {
    const start = roundHalfToEven(first + (place * (last - first)) / (PLACES_PER_SIDE - 1));
    return { start: Math.max(start, 0), end: Math.min(start + size, length) };
  });
}

function forEachPixel({ down, across }, width, visit) {
  for (let y = down.start; y < down.end; y += 1) {
    for (let x = across.start; x < across.end; x += 1) visit(y * width + x);
  }
}

function roundHalfToEven(value) {
  const below = Math.floor(value);
  if (value - below !== 0.5) return Math.round(value);
  return below % 2 === 0 ? below : below + 1;
}
