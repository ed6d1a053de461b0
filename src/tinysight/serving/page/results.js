// What the engine said, as bars, pictures and words.

const element = (id) => document.getElementById(id);
const HEAT_SIDE = 352;

/** One line about the model. */
export function describeModel({ model, class_names, image_shape, extra }) {
  const [height, width, channels] = image_shape;
  const words = [model, `${class_names.length} classes`, `sees ${width}×${height} pixels in ${channels === 1 ? "grey" : "colour"}`];
  const { parameters, test_accuracy } = extra ?? {};
  if (Number.isFinite(parameters)) words.push(`${parameters.toLocaleString("en")} parameters`);
  if (Number.isFinite(test_accuracy)) words.push(`${(100 * test_accuracy).toFixed(2)}\u00a0% of test pictures right`);
  return words.join(" · ");
}

/** The classes as bars that are buttons. */
export function showClasses(classes, choose) {
  element("classes").replaceChildren(
    ...classes.map(({ index, name, score }) => {
      const button = make("button", { type: "button" });
      button.dataset.index = index;
      button.setAttribute("aria-pressed", "false");
      const bar = make("span", { className: "bar" });
      bar.style.width = `${100 * score}%`;
      button.append(
        bar,
        make("span", { className: "name", textContent: name }),
        make("span", { className: "score", textContent: `${(100 * score).toFixed(1)}\u00a0%` }),
      );
      button.addEventListener("click", () => choose(index));
      const item = make("li");
      item.append(button);
      return item;
    }),
  );
  element("classes-hint").hidden = false;
}

/** The picture in the model's own size; the style sheet enlarges it, each pixel a square. */
export function showSeen({ width, height, pixels }) {
  const canvas = element("seen");
  [canvas.width, canvas.height] = [width, height];
  canvas.getContext("2d").putImageData(new ImageData(new Uint8ClampedArray(pixels), width, height), 0, 0);
  const words = `The ${width}×${height} pixels that it really saw`;
  canvas.setAttribute("aria-label", words);
  element("seen-words").textContent = words;
}

/** The same in grey, under yellow and red where covering a patch costs the class the most. */
export function showHeat({ width, height, pixels, heat }, name) {
  const canvas = element("heat");
  const scale = HEAT_SIDE / Math.max(width, height);
  [canvas.width, canvas.height] = [Math.round(width * scale), Math.round(height * scale)];
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.filter = "grayscale(1)";
  context.drawImage(layer(width, height, (pixel) => pixels.subarray(4 * pixel, 4 * pixel + 4)), 0, 0, canvas.width, canvas.height);
  context.filter = "none";
  context.imageSmoothingEnabled = true;
  context.drawImage(layer(width, height, (pixel) => colourOf(heat[pixel])), 0, 0, canvas.width, canvas.height);
  const place = hottest(width, height, heat);
  const words = place ? `What spoke for ${name}: most of all the ${place}` : `Covering no part of it speaks against ${name}`;
  canvas.setAttribute("aria-label", words);
  element("heat-words").textContent = words;
}

/** Test pictures of a class, with what the model said of each. */
export function showExamples(examples, name) {
  element("examples").hidden = !examples.length;
  element("examples-title").textContent = `Examples of ${name}`;
  element("example-list").replaceChildren(
    ...examples.map(({ source, predicted, score, is_right }) => {
      const item = make("li");
      const words = `${is_right ? "" : "seen as "}${predicted}, ${(100 * score).toFixed(1)}\u00a0%`;
      item.append(
        make("img", { src: source, alt: `A test picture of ${name}` }),
        make("span", { textContent: words, className: is_right ? "" : "wrong" }),
      );
      return item;
    }),
  );
}

function make(tag, properties = {}) {
  return Object.assign(document.createElement(tag), properties);
}

function layer(width, height, colour) {
  const canvas = new OffscreenCanvas(width, height);
  const image = new ImageData(width, height);
  for (let pixel = 0; pixel < width * height; pixel += 1) image.data.set(colour(pixel), 4 * pixel);
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

/** Nothing, over yellow, to red. */
function colourOf(value) {
  const [red, green, blue] = value < 0.5 ? [255, 210, 63] : [255 - 46 * (value - 0.5), 210 - 340 * (value - 0.5), 63 - 74 * (value - 0.5)];
  return [red, green, blue, 215 * Math.min(1, 1.4 * value)];
}

/** Where the hottest pixels lie, in words; empty when nothing is hot. */
function hottest(width, height, heat) {
  let [num, sumX, sumY] = [0, 0, 0];
  heat.forEach((value, pixel) => {
    if (value < 0.9) return;
    num += 1;
    sumX += ((pixel % width) + 0.5) / width;
    sumY += (Math.floor(pixel / width) + 0.5) / height;
  });
  if (!num) return "";
  const third = (value, names) => names[Math.min(Math.floor((3 * value) / num), 2)];
  const [down, across] = [third(sumY, ["upper", "", "lower"]), third(sumX, ["left", "", "right"])];
  if (down && across) return `${down} ${across}`;
  return [down, across, "middle"].filter(Boolean).join(" ");
}
