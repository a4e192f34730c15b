// The canvas that every figure shares, and when it is drawn: near the screen, again on new numbers, in the colours of the style sheet.

import { byId, element, table } from "./page.js";
import { inert, known, money, orNull, price } from "./words.js";

const CLEAR = "rgba(0,0,0,0)";
const FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif";
const CONFIG = { displaylogo: false, displayModeBar: false, responsive: true, doubleClick: "reset+autosize" };
const narrow = matchMedia("(max-width: 700px)");
const dark = matchMedia("(prefers-color-scheme: dark)");
const blocks = new Map();
let current = null;
let library = null;

// The drawing library is large: it is asked for once the answer has been painted.
const PAINT_MS = 50;
const painted = () => new Promise((resolve) => { requestAnimationFrame(() => setTimeout(resolve, PAINT_MS)); });
const loadLibrary = () => {
  library ??= painted().then(fetchLibrary);
  return library;
};
const fetchLibrary = () =>
  new Promise((resolve, reject) => {
    const script = element("script", { src: document.body.dataset.library });
    script.addEventListener("load", () => resolve(globalThis.Plotly));
    script.addEventListener("error", () => { library = null; script.remove(); reject(new Error("the drawing library did not load")); });
    document.head.append(script);
  });

export const colours = () => {
  const style = getComputedStyle(document.documentElement);
  return new Proxy({}, { get: (_, name) => style.getPropertyValue(`--${String(name).replace(/_/g, "-")}`).trim() });
};
export const isNarrow = () => narrow.matches;

export const axis = (title, paint, options = {}) => ({
  title: { text: title, font: { size: 12.5, color: paint.muted }, standoff: 8 },
  gridcolor: paint.grid, zeroline: true, zerolinecolor: paint.zero, zerolinewidth: 1.2, linecolor: paint.grid,
  tickfont: { color: paint.muted, size: 12 }, automargin: true, ...options,
});
export const priceAxis = (title, paint, prices, options = {}) => {
  const large = prices.some((value) => known(value) && Math.abs(value) >= 1000);
  return axis(title, paint, { tickprefix: "$", tickformat: large ? "~s" : ",.4~f", zeroline: false, nticks: isNarrow() ? 5 : 9, ...options });
};
export const layoutOf = (paint, { height = 380, ...options } = {}) => ({
  height, margin: { l: 64, r: 18, t: 40, b: 52 }, paper_bgcolor: CLEAR, plot_bgcolor: CLEAR,
  font: { family: FONT, size: isNarrow() ? 12 : 13, color: paint.ink },
  hoverlabel: { bgcolor: paint.card, bordercolor: paint.zero, font: { color: paint.ink, family: FONT } },
  legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", font: { size: 12.5 } }, hovermode: "closest",
  dragmode: isNarrow() ? false : "zoom", // a finger that scrolls the page must not zoom the figure
  ...options,
});
export const markerLine = (at, paint, { text, colour, dash = "solid", low = false, shift = 0 }) => ({
  shape: { type: "line", x0: at, x1: at, y0: 0, y1: 1, yref: "paper", line: { color: colour, width: 1.6, dash } },
  label: { x: at, y: low ? 0 : 1, yref: "paper", yanchor: low ? "bottom" : "top", yshift: shift, text, showarrow: false, font: { color: colour, size: 12 }, bgcolor: paint.card, borderpad: 2 },
});
export const spotMarker = (spot, paint) => (known(spot) ? [markerLine(spot, paint, { text: `spot ${price(spot)}`, colour: paint.ink })] : []);
export const around = (spot, share, values) => {
  const finite = values.filter(known);
  if (!known(spot) || spot <= 0 || finite.length < 2) return null;
  const low = Math.max(spot * (1 - share), Math.min(...finite));
  const high = Math.min(spot * (1 + share), Math.max(...finite));
  return low < spot && spot < high ? [low, high] : null;
};
// The divisor and unit that keep the largest value readable on an axis.
export const moneyScale = (...lists) => {
  const size = lists.flat().reduce((most, value) => (known(value) ? Math.max(most, Math.abs(value)) : most), 0);
  const [divisor, unit] = [[1e12, "tn"], [1e9, "bn"], [1e6, "m"], [1e3, "k"]].find(([step]) => size >= 2 * step) || [1, ""];
  return { divisor, unit: `$${unit}`, over: (values) => values.map((value) => (known(value) ? value / divisor : null)) };
};
export const column = (rows, key) => rows.map((row) => orNull(row[key]));
export const anyKnown = (values) => values.some(known);
export const signedMoney = (values) => values.map((value) => money(value, { signed: true }));

const empty = (text, paint) => ({
  data: [],
  layout: layoutOf(paint, {
    height: 150, xaxis: { visible: false }, yaxis: { visible: false },
    annotations: [{ text: inert(text, 160).replace(/(.{20,38}) /g, "$1<br>"), x: 0.5, y: 0.5, xref: "paper", yref: "paper", showarrow: false, font: { color: paint.muted, size: 14 } }],
  }),
});

// A block is { id, title, span, height, reading(document), figure(document, paint) -> { data, layout } or text, numbers(document) -> table }.
export const addBlock = (place, block) => {
  const figure = element("div", { className: "figure", id: block.id, role: "img", "aria-label": block.title });
  figure.style.minHeight = `${block.height ?? 380}px`;
  const reading = element("p", { className: "reading" });
  const holder = element("div");
  const numbers = element("details", {}, [element("summary", { text: "The numbers" }), holder]);
  numbers.firstChild.append(element("span", { className: "unseen", text: ` of: ${block.title}` }));
  const head = element("h3", { text: block.title });
  place.append(element("div", { className: `card block span-${block.span ?? 12}` }, [head, reading, block.control?.(), figure, block.numbers ? numbers : null]));
  const entry = { block, figure, reading, holder, numbers, drawn: null, near: false };
  numbers.addEventListener("toggle", () => fillNumbers(entry));
  blocks.set(block.id, entry);
  watcher.observe(figure);
};

const fillNumbers = (entry) => {
  if (!entry.numbers.open || !current) return;
  const held = entry.holder.querySelector(".scroll");
  const at = held ? [held.scrollLeft, held.scrollTop, document.activeElement === held] : null;
  const made = table(entry.block.numbers(current));
  entry.holder.replaceChildren(made);
  if (at) {
    [made.scrollLeft, made.scrollTop] = at;
    if (at[2]) made.focus({ preventScroll: true });
  }
};

const draw = async (entry) => {
  const wanted = current;
  if (!wanted || !entry.near || entry.drawn === wanted || document.hidden) return;
  entry.drawn = wanted;
  let drawing;
  try {
    const Plotly = await loadLibrary();
    const paint = colours();
    const made = entry.block.figure(wanted, paint);
    drawing = typeof made === "string" ? empty(made, paint) : made;
    drawing.layout.uirevision = entry.block.revision?.() ?? "kept"; // a reader's zoom survives new numbers
    entry.figure.style.minHeight = `${drawing.layout.height}px`;
    await Plotly.react(entry.figure, drawing.data, drawing.layout, CONFIG);
    if (typeof made !== "string") entry.block.after?.(entry.figure);
  } catch (error) {
    entry.drawn = null;
    entry.figure.textContent = `This figure could not be drawn: ${error.message}. Its numbers stand in the table.`;
  }
};

const watcher = new IntersectionObserver((seen) => {
  for (const { target, isIntersecting } of seen) {
    const entry = blocks.get(target.id);
    entry.near = isIntersecting;
    draw(entry);
  }
}, { rootMargin: "500px" });

const refresh = (entry) => {
  const words = entry.block.reading?.(current) ?? "";
  if (entry.reading.textContent !== words) {
    entry.reading.textContent = words;
    entry.figure.setAttribute("aria-label", `${entry.block.title}. ${words} The numbers follow as a table.`);
  }
  fillNumbers(entry);
  draw(entry);
};
export const showFigures = (document) => {
  current = document;
  for (const entry of blocks.values()) if (!entry.block.own) refresh(entry);
};
// Blocks that draw something else than the document itself (the history) say when they changed.
export const redraw = (id) => {
  const entry = blocks.get(id);
  if (!entry || !current) return;
  entry.drawn = null;
  refresh(entry);
};
export const redrawAll = () => { for (const id of blocks.keys()) redraw(id); };

dark.addEventListener("change", redrawAll);
narrow.addEventListener("change", redrawAll);
document.addEventListener("visibilitychange", () => { if (!document.hidden) for (const entry of blocks.values()) draw(entry); });
