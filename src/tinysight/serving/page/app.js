// The page: takes a picture from somewhere, asks the engine, shows what it says.

import { openCamera } from "./camera.js";
import { openDrawing } from "./drawing.js";
import * as engine from "./engine.js";
import { listenForPictures } from "./inputs.js";
import { Refusal } from "./refusal.js";
import { describeModel, showClasses, showExamples, showHeat, showSeen } from "./results.js";

const NUM_CLASSES = 5;
const element = (id) => document.getElementById(id);
let model = null;
let previewAddress = "";
let current = 0;

async function start() {
  element("where").textContent = engine.WHERE;
  model = await engine.open();
  element("model-line").textContent = describeModel(model);
  document.title = `Tinysight: ${model.model}`;
  element("key-form").hidden = true;
  const digits = model.class_names.length === 10 && model.class_names.every((name, index) => name === String(index));
  element("draw").hidden = !digits;
  if (await engine.keepOffline()) element("where").textContent = `${engine.WHERE} The page is kept here and works without a network.`;
}

/** Classifies a picture and shows everything about it. */
async function look(picture) {
  hideAnswer();
  setBusy(true, "Looking…");
  const classes = await reporting(async (isCurrent) => {
    model ??= await engine.open();
    const found = await engine.classify(picture, model, Math.min(NUM_CLASSES, model.class_names.length));
    return isCurrent() ? found : null;
  });
  if (!classes) return;
  showClasses(classes, (index) => void why(picture, index));
  element("live").textContent = inWords(classes);
  await why(picture, classes[0].index);
}

/** Shows what speaks for one class, and examples of it. */
async function why(picture, index) {
  const name = model.class_names[index];
  setBusy(true);
  element("problem").hidden = true;
  for (const button of element("classes").querySelectorAll("button")) {
    button.setAttribute("aria-pressed", String(Number(button.dataset.index) === index));
  }
  await reporting(async (isCurrent) => {
    const seen = await engine.explain(picture, index);
    if (!isCurrent()) return;
    showSeen(seen);
    showHeat(seen, name);
    element("look").hidden = false;
    const examples = await engine.examples(index);
    if (!isCurrent()) return;
    showExamples(examples, name);
    setBusy(false);
  });
}

function inWords(classes) {
  const [first, ...others] = classes.slice(0, 3).map(({ name, score }) => `${name} (${(100 * score).toFixed(1)}\u00a0%)`);
  return others.length ? `${first}, then ${others.join(" and ")}.` : `${first}.`;
}

function hideAnswer() {
  for (const id of ["problem", "look", "examples", "classes-hint"]) element(id).hidden = true;
  element("classes").replaceChildren();
}

function setBusy(busy, words) {
  element("answer").classList.toggle("busy", busy);
  element("answer").setAttribute("aria-busy", String(busy));
  if (words) element("live").textContent = words;
}

/**
 * Runs a step and gives its result. A refusal is shown in words, everything else is a fault of the page and goes to the
 * console too. What an older step comes to after a newer one began is dropped.
 */
async function reporting(step) {
  const number = ++current;
  const isCurrent = () => number === current;
  try {
    return await step(isCurrent);
  } catch (error) {
    if (isCurrent()) showProblem(error);
    if (!(error instanceof Refusal)) throw error;
    return null;
  }
}

function showProblem(error) {
  setBusy(false, element("classes").children.length ? "" : "No answer.");
  element("problem").textContent = error instanceof Refusal ? error.message : `The page failed: ${error.message}`;
  element("problem").hidden = false;
  if (error.needsKey) {
    element("key-form").hidden = false;
    element("key").focus();
  }
}

function showPreview(picture) {
  closePanels();
  URL.revokeObjectURL(previewAddress);
  previewAddress = URL.createObjectURL(picture);
  const preview = element("preview");
  preview.onload = () => preview.classList.toggle("tiny", Math.max(preview.naturalWidth, preview.naturalHeight) <= 64);
  // What the browser cannot show the engine will refuse, with a reason.
  preview.onerror = () => { preview.hidden = true; };
  preview.src = previewAddress;
  preview.hidden = false;
  element("drop-words").hidden = true;
}

function give(picture) {
  showPreview(picture);
  void look(picture);
}

const camera = openCamera({
  onPicture: give,
  onOpen: () => { closePanels(camera); hidePreview(); },
  onProblem: (words) => showProblem(new Refusal(words)),
});
const drawing = openDrawing({
  onPicture: (picture) => void look(picture),
  onOpen: () => { closePanels(drawing); hidePreview(); },
});

function closePanels(except) {
  for (const panel of [camera, drawing]) if (panel !== except) panel.close();
}

function hidePreview() {
  element("preview").hidden = true;
  element("drop-words").hidden = true;
}

element("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  engine.setKey(element("key").value);
  element("problem").hidden = true;
  setBusy(false, "Nothing yet: give a picture.");
  void reporting(start);
});
listenForPictures(give, (words) => { hideAnswer(); showProblem(new Refusal(words)); });
void reporting(start);
