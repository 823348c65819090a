"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const find = (id) => document.getElementById(id);
const bytesOf = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
const palette = bytesOf(data.palette);
const side = data.side;
const headOf = new Map(data.heads.map((head) => [head.key, head]));

// One pixel per cell; the page scales it without smoothing. Enhanced, colours begin at the map's lowest weight.
function drawMap(canvas, map) {
  const levels = bytesOf(map.bytes);
  const lowest = find("stretch").checked ? levels.reduce((a, b) => Math.min(a, b)) : 0;
  const scale = 255 / Math.max(255 - lowest, 1);
  canvas.width = canvas.height = side;
  const context = canvas.getContext("2d");
  const image = context.createImageData(side, side);
  levels.forEach((level, i) => {
    const colour = 3 * Math.round((level - lowest) * scale);
    image.data.set(palette.subarray(colour, colour + 3), 4 * i);
    image.data[4 * i + 3] = 255;
  });
  context.putImageData(image, 0, 0);
}

// Low bands are next to the map. Loud is dark on a light background, and light on a dark one.
function drawMel(canvas, mel, upright) {
  const levels = mel ? bytesOf(mel.bytes) : null;
  const bands = mel ? mel.bands : 1;
  canvas.width = upright ? bands : side;
  canvas.height = upright ? side : bands;
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, canvas.width, canvas.height);
  if (!mel) return;
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const image = context.createImageData(canvas.width, canvas.height);
  for (let cell = 0; cell < side; cell++) {
    for (let band = 0; band < bands; band++) {
      const level = levels[cell * bands + band];
      const place = upright ? cell * bands + (bands - 1 - band) : (bands - 1 - band) * side + cell;
      image.data.fill(dark ? level : 255 - level, 4 * place, 4 * place + 3);
      image.data[4 * place + 3] = 255;
    }
  }
  context.putImageData(image, 0, 0);
}

// The list: selection and order.
const list = find("cards");
const cards = [...list.children];
const direction = find("direction");

function arrange() {
  const wanted = new Set([...document.querySelectorAll("[name=category]:checked")].map((box) => box.value));
  const layer = find("layer").value;
  const by = find("sort").value;
  const largestFirst = direction.getAttribute("aria-pressed") === "true";
  const place = (card) => 1e4 * card.dataset.layer + Number(card.dataset.head);
  const compare = {
    place: (a, b) => place(a) - place(b),
    category: (a, b) => a.dataset.category.localeCompare(b.dataset.category),
  }[by] || ((a, b) => a.dataset[by] - b.dataset[by]);
  const sign = largestFirst ? -1 : 1;
  cards.sort((a, b) => sign * compare(a, b) || place(a) - place(b));
  list.append(...cards);
  let shown = 0;
  for (const card of cards) {
    card.hidden = !wanted.has(card.dataset.category) || (layer !== "" && card.dataset.layer !== layer);
    shown += card.hidden ? 0 : 1;
    const extra = card.querySelector(".shown");
    extra.hidden = ["place", "category", "input_dependence"].includes(by);
    extra.textContent = extra.hidden ? "" : `${by} ${Number(card.dataset[by]).toFixed(2).replace("-", "−")}`;
  }
  find("status").textContent = shown === cards.length ? `All ${shown} heads.` : `${shown} of ${cards.length} heads.`;
}

function drawAll() {
  find("lowest").textContent = find("stretch").checked ? "lowest" : "0";
  for (const card of cards) drawMap(card.querySelector("canvas"), headOf.get(card.dataset.key).mean);
}

find("controls").addEventListener("input", (event) => (event.target.id === "stretch" ? drawAll() : arrange()));
find("controls").addEventListener("submit", (event) => event.preventDefault());
find("controls").addEventListener("reset", () => {
  direction.setAttribute("aria-pressed", "false");
  setTimeout(() => (arrange(), drawAll()));
});
direction.addEventListener("click", () => {
  direction.setAttribute("aria-pressed", String(direction.getAttribute("aria-pressed") !== "true"));
  arrange();
});
for (const card of cards) {
  card.querySelector("button").addEventListener("click", () => open(card.dataset.key));
}
drawAll();

// The view of one head.
const dialog = find("closer");
const map = find("map");
const slider = find("utterance");
let head = null;
let shownMap = null;
let levels = null;
let cell = null;

const kind = () => document.querySelector("[name=kind]:checked").value;
const seconds = (frame) => (data.stepSeconds === null ? "" : `${(frame * data.stepSeconds).toFixed(2)} s, `);

function open(key) {
  head = headOf.get(key);
  const card = cards.find((one) => one.dataset.key === key);
  const layers = new Set(cards.map((one) => one.dataset.layer)).size;
  const where = (layers > 1 ? `Layer ${card.dataset.layer}, head` : "Head") + ` ${card.dataset.head}`;
  find("closer-h").textContent = `${where}: ${card.dataset.category}`;
  for (const table of document.querySelectorAll(".numbers table")) table.hidden = table.dataset.key !== key;
  if (!dialog.open) dialog.showModal();
  history.replaceState(null, "", `#${key}`);
  show();
}

function show() {
  const single = kind() === "single";
  const number = Number(slider.value) - 1;
  const utterance = data.utterances[number];
  shownMap = single ? head.singles[number] : head[kind()];
  levels = bytesOf(shownMap.bytes);
  drawMap(map, shownMap);
  drawMel(find("mel-top"), single ? utterance.mel : null, false);
  drawMel(find("mel-left"), single ? utterance.mel : null, true);
  const words = { mean: `mean of ${data.count} utterances`, spread: `standard deviation over ${data.count} utterances` };
  const named = utterance ? `${utterance.id}, from ${utterance.start.toFixed(2)} s` : "";
  find("which").textContent = single ? `${number + 1} of ${data.utterances.length}: ${named}` : words[kind()];
  slider.setAttribute("aria-valuetext", `${number + 1}: ${named}`);
  map.setAttribute("aria-label", `${find("closer-h").textContent}, ${find("which").textContent}`);
  point(cell);
}

function span(place) {
  const [first, last] = [data.edges[place], data.edges[place + 1] - 1];
  return `${seconds(first)}frame ${first + 1}` + (last > first ? ` to ${last + 1}` : "");
}

// Display the value of a cell, and mark its row and column.
function point(at) {
  cell = at;
  const [row, column] = [find("row"), find("column")];
  row.style.display = column.style.display = at ? "block" : "none";
  if (!at) {
    find("readout").textContent = `Largest ${kind() === "spread" ? "standard deviation" : "weight"}: ${shownMap.max.toPrecision(3)}.`;
    return;
  }
  const size = 100 / side;
  row.style.top = `${at.query * size}%`;
  column.style.left = `${at.key * size}%`;
  row.style.height = column.style.width = `${size}%`;
  const value = (levels[at.query * side + at.key] / 255) ** 2 * shownMap.max;
  const what = { mean: "mean weight", spread: "standard deviation", single: "weight" }[kind()];
  const even = kind() === "spread" ? "" : `, ${(value * data.steps).toPrecision(2)} times uniform`;
  find("readout").textContent = `Query at ${span(at.query)}; key at ${span(at.key)}: ${what} ${value.toPrecision(3)}${even}.`;
}

function cellUnder(event) {
  const box = map.getBoundingClientRect();
  const place = (offset, length) => Math.min(side - 1, Math.max(0, Math.floor((offset / length) * side)));
  return { query: place(event.clientY - box.top, box.height), key: place(event.clientX - box.left, box.width) };
}

map.addEventListener("pointermove", (event) => point(cellUnder(event)));
map.addEventListener("pointerdown", (event) => point(cellUnder(event)));
map.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && document.activeElement !== map && point(null));
map.addEventListener("keydown", (event) => {
  const move = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
  if (!move) return;
  event.preventDefault();
  const from = cell || { query: Math.floor(side / 2), key: Math.floor(side / 2) };
  const by = cell ? (event.shiftKey ? 10 : 1) : 0;
  const inside = (place) => Math.min(side - 1, Math.max(0, place));
  point({ query: inside(from.query + by * move[0]), key: inside(from.key + by * move[1]) });
});
slider.addEventListener("input", () => {
  document.querySelector("[name=kind][value=single]").checked = true;
  show();
});
find("kinds").addEventListener("input", show);

function step(by) {
  const shown = cards.filter((card) => !card.hidden);
  const at = shown.findIndex((card) => card.dataset.key === head.key);
  open(shown[(at + by + shown.length) % shown.length].dataset.key);
}
find("previous").addEventListener("click", () => step(-1));
find("next").addEventListener("click", () => step(1));
find("close").addEventListener("click", () => dialog.close());
dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
dialog.addEventListener("close", () => {
  history.replaceState(null, "", " ");
  cell = null;
  const card = cards.find((one) => one.dataset.key === head.key);
  if (card && !card.hidden) card.querySelector("button").focus();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => head && dialog.open && show());
if (headOf.has(location.hash.slice(1))) open(location.hash.slice(1));
