// Asks for what is newer than it has; the answer waits until there is news, so no timer is needed while all is well.
import { drawChart, element } from "./chart.js";

const ENDED = new Set(["finished", "failed"]);
const MAX_FAILURES = 4;
const at = (id) => document.getElementById(id);
let latest = null, announced = "";

const percent = (value) => `${(100 * value).toFixed(1)}\u00a0%`;
// Never rounded to certainty.
const score = (value) => (value > 0.9995 ? ">99.9\u00a0%" : value < 0.0005 ? "<0.1\u00a0%" : percent(value));
const small = (value) => (value === 0 ? "0" : Math.abs(value) < 0.001 ? value.toExponential(1) : String(Number(value.toPrecision(3))));
const isShare = (name) => /accuracy$/.test(name);
const format = (name, value) => (isShare(name) ? percent(value) : small(value));

function clock(seconds) {
  const whole = Math.round(seconds), pad = (value) => String(value).padStart(2, "0");
  if (whole < 60) return `${whole} s`;
  const hours = Math.floor(whole / 3600), minutes = Math.floor((whole % 3600) / 60);
  return hours ? `${hours}:${pad(minutes)}:${pad(whole % 60)}` : `${minutes}:${pad(whole % 60)}`;
}

async function follow() {
  let version = 0, failures = 0;
  while (true) {
    try {
      const answer = await fetch(`record?after=${version}`);
      if (!answer.ok) throw new Error(`status ${answer.status}`);
      latest = await answer.json();
    } catch {
      failures += 1;
      if (failures === MAX_FAILURES) return lost();
      await new Promise((done) => setTimeout(done, 500 * failures));
      continue;
    }
    failures = 0;
    version = latest.version;
    if (!document.hidden || ENDED.has(latest.phase)) show(latest);
    if (ENDED.has(latest.phase)) return;
  }
}

function lost() {
  at("problem").textContent = "The training no longer answers: it was ended, or the connection to it was. What is shown is the last that came; load the page again to ask once more.";
  at("problem").hidden = false;
  at("status").textContent = "Lost sight of the training.";
}

function show(record) {
  const metric = record.metric;
  at("title").textContent = record.title;
  document.title = `${Math.floor(100 * record.progress)} % ${record.title}`;
  at("subtitle").textContent = record.subtitle;
  at("progress").value = record.progress;
  at("progress").textContent = percent(record.progress);
  announce(record);
  showFacts(record, metric);
  showCharts(record, metric);
  showSamples(record.samples);
  showEpochs(record.history);
}

// Only what is worth being read out: each epoch once, and the end.
function announce(record) {
  if (record.status === announced) return;
  announced = record.status;
  at("status").textContent = record.status;
  if (record.report) {
    at("report").replaceChildren("The report of this run: ", element("code", {}, record.report), " (open it in the browser; this address ends with the training).");
    at("report").hidden = false;
  }
}

function showFacts(record, metric) {
  const row = record.history.at(-1) ?? {};
  const facts = [
    ["epoch", record.num_epochs ? `${record.epoch} of ${record.num_epochs}` : "–"],
    ["time gone", clock(record.seconds)],
    ["time left", record.seconds_left ? `about ${clock(record.seconds_left)}` : "–"],
    ["learning rate", record.learning_rate === null ? "–" : small(record.learning_rate)],
    [metric, metric in record.now ? format(metric, record.now[metric]) : "–"],
    ["loss", "loss" in record.now ? small(record.now.loss) : "–"],
    ...(`val_${metric}` in row ? [[`validation ${metric}`, format(metric, row[`val_${metric}`])]] : []),
  ];
  at("facts").replaceChildren(...facts.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value))));
}

function showCharts(record, metric) {
  const charts = [[metric, `val_${metric}`], ["loss", "val_loss"], ["learning_rate", ""]];
  const place = at("charts");
  while (place.children.length < charts.length) place.append(element("figure"));
  charts.forEach(([name, validation], index) => {
    const words = name.replace("_", " "), ends = record.history.filter((row) => validation in row);
    const column = record.points[name] ?? [];
    const points = record.points.epoch.map((epoch, step) => [epoch, column[step]]).filter(([, value]) => typeof value === "number");
    drawChart(place.children[index], {
      title: words[0].toUpperCase() + words.slice(1),
      series: [
        { name: validation ? "training" : words, kind: "first", points },
        { name: "validation", kind: "second", points: ends.map((row) => [row.epoch, row[validation]]) },
      ],
      format: (value) => format(name, value),
      tick: (value) => (isShare(name) ? `${Number((100 * value).toFixed(1))}\u00a0%` : small(value)),
      most: isShare(name) ? 1 : Infinity,
      xEnd: record.num_epochs || 1,
    });
  });
}

function showSamples(samples) {
  at("samples-section").hidden = !samples;
  if (!samples) return;
  at("samples-words").textContent = samples.words;
  at("samples").replaceChildren(...samples.images.map((image) => {
    const isRight = image.top[0].name === image.true;
    const classes = image.top.map(({ name, score: share }) => element("li", {}, element("span", {}, name), element("span", {}, score(share))));
    return element(
      "figure", { class: isRight ? "right" : "wrong" },
      element("img", { src: image.uri, alt: `${image.true}, image ${image.index}` }),
      element("figcaption", {}, `${image.true}: ${isRight ? "right" : "wrong"}`, element("ol", {}, ...classes)),
    );
  }));
}

function showEpochs(history) {
  at("epochs-section").hidden = !history.length;
  if (!history.length) return;
  const names = Object.keys(history.at(-1));
  const text = (name, value) => (value === undefined ? "–" : name === "epoch" ? String(value) : name === "seconds" ? clock(value) : format(name, value));
  const head = element("thead", {}, element("tr", {}, ...names.map((name) => element("th", { scope: "col" }, name.replaceAll("_", " ")))));
  const cell = (name, value) => (name === "epoch" ? element("th", { scope: "row" }, text(name, value)) : element("td", {}, text(name, value)));
  const rows = [...history].reverse().map((row) => element("tr", {}, ...names.map((name) => cell(name, row[name]))));
  at("epochs").replaceChildren(head, element("tbody", {}, ...rows));
}

document.addEventListener("visibilitychange", () => { if (!document.hidden && latest) show(latest); });
follow();
