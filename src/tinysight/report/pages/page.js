"use strict";
// Everything that can be read is in the page without this: it only filters galleries, opens cells and swaps counts for shares.
(() => {
  let cells = null;
  const dialog = document.getElementById("cell");

  function element(name, text, className) {
    const made = document.createElement(name);
    if (text) made.textContent = text;
    if (className) made.className = className;
    return made;
  }

  // As the filter `score` of the templates writes it.
  function percent(value) {
    if (value > 0.9995) return ">99.9\u00a0%";
    if (value < 0.0005) return "<0.1\u00a0%";
    return `${(100 * value).toFixed(value > 0.0145 && value < 0.9855 ? 0 : 1)}\u00a0%`;
  }

  function pictureOf(item) {
    const isRight = item.true === item.predicted;
    const figure = element("figure", "", `picture ${isRight ? "right" : "wrong"}`);
    const image = element("img");
    image.src = item.uri;
    image.alt = `test image ${item.index}, ${item.true}`;
    const caption = element("figcaption");
    caption.append(element("span", `${isRight ? "✓" : "✗"} ${item.predicted}: ${percent(item.score)}`, "said"));
    const truth = isRight ? `image ${item.index}` : `is ${item.true}: ${percent(item.true_score)}, image ${item.index}`;
    caption.append(element("span", truth, "quiet"));
    figure.append(image, caption);
    return figure;
  }

  function openCell(key) {
    cells ??= JSON.parse(document.getElementById("data").textContent).cells;
    const items = cells[key];
    const button = document.querySelector(`#confusion [data-cell="${key}"]`);
    const count = Number(button.querySelector(".count").textContent);
    const { true: truth, predicted } = items[0];
    const noun = count === 1 ? "image" : "images";
    document.getElementById("cell-heading").textContent =
      truth === predicted ? `${truth}, rightly named: ${count} ${noun}` : `${truth} called ${predicted}: ${count} ${noun}`;
    const order = truth === predicted ? "the least sure first" : "the surest mistakes first";
    document.getElementById("cell-words").textContent =
      items.length < count ? `${items.length} of them, ${order}; each with the score of what was said.` : `All of them, ${order}; each with the score of what was said.`;
    document.getElementById("cell-pictures").replaceChildren(...items.map(pictureOf));
    dialog.showModal();
  }

  function filter(select) {
    const gallery = document.getElementById(`gallery-${select.dataset.gallery}`);
    let count = 0;
    for (const figure of gallery.querySelectorAll(".picture")) {
      const { true: truth, predicted } = figure.dataset;
      const isShown = select.value === "" ? "first" in figure.dataset : select.value === truth || select.value === predicted;
      figure.hidden = !isShown;
      count += isShown ? 1 : 0;
    }
    gallery.querySelector("[data-count]").textContent = `${count} ${count === 1 ? "image" : "images"}`;
  }

  for (const button of document.querySelectorAll("[data-cell]")) {
    button.addEventListener("click", () => openCell(button.dataset.cell));
  }
  dialog?.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  for (const select of document.querySelectorAll("[data-gallery]")) {
    select.addEventListener("change", () => filter(select));
    filter(select);
  }
  for (const choice of document.querySelectorAll("[name=cells]")) {
    choice.addEventListener("change", () => {
      document.getElementById("confusion").classList.toggle("shares", choice.value === "share");
    });
  }
  // Paper cannot be opened: tables that are folded away are printed too.
  addEventListener("beforeprint", () => {
    for (const details of document.querySelectorAll("details:not([open])")) {
      details.open = true;
      details.dataset.printed = "";
    }
  });
  addEventListener("afterprint", () => {
    for (const details of document.querySelectorAll("[data-printed]")) {
      details.open = false;
      delete details.dataset.printed;
    }
  });
})();
