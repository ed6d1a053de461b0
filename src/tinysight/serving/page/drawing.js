// Drawing a digit: strokes of a round pen, white on black, made into a picture as the digits of MNIST were made.

const element = (id) => document.getElementById(id);
const SIDE = 280;
const PEN = 22;
const STEP = 8;
// MNIST's digits fill a box of 20 x 20 and lie with their centre of mass in the middle of 28 x 28.
// Source: LeCun, Cortes and Burges, The MNIST database of handwritten digits.
const BOX = (20 / 28) * SIDE;
const PAUSE_MILLISECONDS = 250;

/** Connects the drawing area; gives `close`. */
export function openDrawing({ onPicture, onOpen }) {
  const canvas = element("drawing");
  const context = canvas.getContext("2d");
  let strokes = [];
  let timer = 0;
  const pen = { x: SIDE / 2, y: SIDE / 4, isDown: false };

  function show() {
    paint(context, strokes);
    if (document.activeElement === canvas && canvas.matches(":focus-visible")) {
      context.fillStyle = pen.isDown ? "#4c9bff" : "#ffb000";
      context.beginPath();
      context.arc(pen.x, pen.y, 5, 0, 2 * Math.PI);
      context.fill();
    }
  }

  function changed() {
    show();
    clearTimeout(timer);
    if (!strokes.length) return;
    timer = setTimeout(async () => onPicture(await pictureOf(strokes)), PAUSE_MILLISECONDS);
  }

  function placeOf(event) {
    const box = canvas.getBoundingClientRect();
    return { x: ((event.clientX - box.left) / box.width) * SIDE, y: ((event.clientY - box.top) / box.height) * SIDE };
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    canvas.setPointerCapture(event.pointerId);
    strokes.push([placeOf(event)]);
    show();
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!canvas.hasPointerCapture(event.pointerId)) return;
    // A fast pen gives several places at once.
    const events = event.getCoalescedEvents?.() ?? [];
    for (const each of events.length ? events : [event]) strokes.at(-1).push(placeOf(each));
    show();
  });
  // After the release by the browser, so that one handler serves pen, finger and mouse, also when they are interrupted.
  canvas.addEventListener("lostpointercapture", changed);
  canvas.addEventListener("keydown", (event) => {
    const moves = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] };
    const move = moves[event.key];
    if (!move && event.key !== " ") return;
    event.preventDefault();
    if (move) {
      pen.x = Math.min(Math.max(pen.x + move[0], 0), SIDE);
      pen.y = Math.min(Math.max(pen.y + move[1], 0), SIDE);
      if (pen.isDown) strokes.at(-1).push({ x: pen.x, y: pen.y });
      show();
      return;
    }
    pen.isDown = !pen.isDown;
    if (pen.isDown) strokes.push([{ x: pen.x, y: pen.y }]);
    if (pen.isDown) show();
    else changed();
  });
  for (const name of ["focus", "blur"]) canvas.addEventListener(name, show);

  function close() {
    clearTimeout(timer);
    pen.isDown = false;
    element("drawing-panel").hidden = true;
  }

  element("draw").addEventListener("click", () => {
    onOpen();
    element("drawing-panel").hidden = false;
    strokes = [];
    show();
    canvas.focus();
  });
  element("drawing-undo").addEventListener("click", () => {
    strokes.pop();
    pen.isDown = false;
    changed();
  });
  element("drawing-clear").addEventListener("click", () => {
    strokes = [];
    pen.isDown = false;
    changed();
  });
  element("drawing-close").addEventListener("click", () => {
    close();
    element("drop-words").hidden = false;
    element("draw").focus();
  });
  return { close };
}

function paint(context, strokes, pen = PEN) {
  context.fillStyle = "#000";
  context.fillRect(0, 0, SIDE, SIDE);
  context.strokeStyle = "#fff";
  context.lineCap = context.lineJoin = "round";
  context.lineWidth = pen;
  for (const [first, ...others] of strokes) {
    context.beginPath();
    context.moveTo(first.x, first.y);
    // A dot is a line of no length.
    for (const { x, y } of others.length ? others : [first]) context.lineTo(x, y);
    context.stroke();
  }
}

/** The strokes as a PNG, moved and scaled as MNIST has it; the pen keeps its width. */
export async function pictureOf(strokes) {
  const canvas = new OffscreenCanvas(SIDE, SIDE);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const scaled = intoBox(strokes);
  paint(context, scaled);
  const [x, y] = centreOfMass(context.getImageData(0, 0, SIDE, SIDE).data);
  paint(context, moved(scaled, 1, SIDE / 2 - x, SIDE / 2 - y));
  return await canvas.convertToBlob({ type: "image/png" });
}

function intoBox(strokes) {
  const xs = strokes.flat().map(({ x }) => x);
  const ys = strokes.flat().map(({ y }) => y);
  const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  // The pen's own width belongs to the digit; a dot is not blown up.
  const scale = Math.min((BOX - PEN) / Math.max(right - left, bottom - top, PEN), 4);
  return moved(strokes, scale, SIDE / 2 - (scale * (left + right)) / 2, SIDE / 2 - (scale * (top + bottom)) / 2);
}

function moved(strokes, scale, right, down) {
  return strokes.map((stroke) => stroke.map(({ x, y }) => ({ x: scale * x + right, y: scale * y + down })));
}

function centreOfMass(pixels) {
  let [mass, sumX, sumY] = [0, 0, 0];
  for (let pixel = 0; pixel < SIDE * SIDE; pixel += 1) {
    const value = pixels[4 * pixel];
    mass += value;
    sumX += value * ((pixel % SIDE) + 0.5);
    sumY += value * (Math.floor(pixel / SIDE) + 0.5);
  }
  return mass ? [sumX / mass, sumY / mass] : [SIDE / 2, SIDE / 2];
}
