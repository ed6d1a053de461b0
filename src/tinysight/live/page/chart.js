// A line chart as SVG, drawn anew with each news: a few hundred points, no library.
const WIDTH = 440, HEIGHT = 230, LEFT = 74, RIGHT = 16, TOP = 10, BOTTOM = 40;
const SVG = "http://www.w3.org/2000/svg";

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  return fill(made, attributes, children);
}

function drawn(name, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

function fill(made, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

// Steps of 1, 2 or 5 times a power of ten, about `count` of them; whole ones where only whole numbers mean anything.
function ticks(low, high, count, whole) {
  const rough = (high - low) / count, power = 10 ** Math.floor(Math.log10(rough));
  let step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough);
  if (whole) step = Math.max(1, Math.round(step));
  const found = [];
  for (let place = Math.ceil(low / step - 1e-9); place * step <= high + step * 1e-9; place++) found.push(place * step);
  return found;
}

function range(values, whole) {
  const low = Math.min(...values), high = Math.max(...values);
  if (whole) return [0, Math.max(1, Math.ceil(high))];
  const room = (high - low || Math.abs(high) || 1) * 0.06;
  return [low >= 0 ? Math.max(0, low - room) : low - room, high + room];
}

// `series`: [{name, kind: "first" | "second", points: [[x, y], ...]}]; words are written by `format`, shorter ones at the
// axis by `tick`, and no value is above `most`.
export function drawChart(figure, { title, series, format, tick, most, xEnd }) {
  const shown = series.filter((item) => item.points.length);
  const heading = element("h3", {}, title);
  if (!shown.length) {
    figure.replaceChildren(heading, element("p", { class: "quiet" }, "Nothing yet."));
    return;
  }
  const all = shown.flatMap((item) => item.points);
  const [left, right] = range([...all.map(([x]) => x), xEnd], true), [low, top] = range(all.map(([, y]) => y), false);
  const high = Math.min(top, most);
  const across = (x) => LEFT + ((x - left) / (right - left)) * (WIDTH - LEFT - RIGHT);
  const up = (y) => HEIGHT - BOTTOM - ((y - low) / (high - low)) * (HEIGHT - TOP - BOTTOM);
  const words = shown.map(({ name, points }) => `${name} ${format(points.at(-1)[1])} at epoch ${points.at(-1)[0].toFixed(1)}`);
  const picture = drawn("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `${title}: ${words.join("; ")}` });
  for (const y of ticks(low, high, 4, false)) {
    picture.append(
      drawn("line", { class: "grid", x1: LEFT, x2: WIDTH - RIGHT, y1: up(y), y2: up(y) }),
      drawn("text", { class: "tick end", x: LEFT - 8, y: up(y) + 4 }, tick(y)),
    );
  }
  for (const x of ticks(left, right, 6, true)) {
    picture.append(drawn("text", { class: "tick middle", x: across(x), y: HEIGHT - BOTTOM + 18 }, String(x)));
  }
  picture.append(drawn("text", { class: "tick middle", x: (LEFT + WIDTH - RIGHT) / 2, y: HEIGHT - 4 }, "epoch"));
  for (const { kind, points } of shown) {
    const places = points.map(([x, y]) => [across(x).toFixed(1), up(y).toFixed(1)]);
    picture.append(drawn("polyline", { class: `line ${kind}`, points: places.map((place) => place.join(",")).join(" ") }));
    const marked = kind === "second" && places.length < 45 ? places : [places.at(-1)];
    for (const [cx, cy] of marked) picture.append(drawn("circle", { class: `marker ${kind}`, cx, cy, r: 3.2 }));
  }
  figure.replaceChildren(heading, legend(shown), picture);
}

function legend(series) {
  const items = series.length < 2 ? [] : series.map(({ name, kind }) => element(
    "li", {},
    drawn("svg", { viewBox: "0 0 28 10", "aria-hidden": "true" }, drawn("line", { class: `line ${kind}`, x1: 0, x2: 28, y1: 5, y2: 5 })),
    name,
  ));
  return element("ul", { class: "legend" }, ...items);
}
