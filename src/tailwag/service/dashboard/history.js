// The past: gain against realised vol and spot, and a slider that shows the measurement of any moment.

import { ApiError, firstAfter, history, measureAt } from "./api.js";
import { addBlock, anyKnown, axis, isNarrow, layoutOf, redraw } from "./figures.js";
import { byId, setText, show } from "./page.js";
import { gainText, known, lasting, later, moment, nearStamp, percent, plainText, price, stamp } from "./words.js";

const FIELDS = { gain: "gain.value", vol: "realised_vol_1h", day: "realised_vol_24h", spot: "spot_usd" };
const SETTLE_MS = 180;
const MOST_DRAWN = 1500;
const store = { series: { gain: [], vol: [], day: [], spot: [] }, reasons: {}, newest: null, request: 0 };
const past = { at: null, pending: 0, asked: 0 };
let handlers = { past: () => {}, live: () => {} };

const hours = () => Number(byId("history-span").value) || 6;
const earlier = (text, seconds) => new Date(moment(text).getTime() - 1000 * seconds).toISOString();

// Loads the whole span again: at the start, after a gap, when the reader chooses another span, and each minute: realised vol is no part of a
// measurement, and of measurements that come faster than they are fetched the page sees only some.
export const loadHistory = async (newest) => {
  if (!moment(newest)) return;
  store.newest = newest;
  const request = (store.request += 1);
  const from = earlier(newest, 3600 * hours());
  const answers = await Promise.allSettled(Object.values(FIELDS).map((field) => history(field, from, newest)));
  if (request !== store.request) return;
  Object.keys(FIELDS).forEach((name, rank) => {
    const { status, value, reason } = answers[rank];
    if (status === "fulfilled") [store.series[name], store.reasons[name]] = [value, ""];
    // a field that the server does not keep has no line; one that it cannot give just now keeps the line it had
    else store.reasons[name] = reason instanceof ApiError && reason.status >= 400 && reason.status < 500 ? "not recorded here" : `not answered: ${reason.message}`;
  });
  refresh();
};

// The time of the first measurement in the span, where one is known.
export const firstHeld = () => store.series.gain[0]?.as_of ?? null;

// Another source has another past.
export const forgetHistory = () => {
  store.request += 1;
  Object.assign(store, { series: { gain: [], vol: [], day: [], spot: [] }, reasons: {}, newest: null });
  backToLive();
  refresh();
};

// One more measurement came: its point is added without asking again.
export const addToHistory = (document) => {
  if (!moment(document.as_of)) return;
  store.newest = document.as_of;
  const values = { gain: document.gain?.value, spot: document.spot_usd };
  for (const [name, value] of Object.entries(values)) {
    const line = store.series[name];
    if (value === undefined || (line.length && moment(line.at(-1).as_of) >= moment(document.as_of))) continue;
    line.push({ as_of: document.as_of, value });
    trim(line);
  }
  refresh();
};

const trim = (line) => {
  const start = new Date(earlier(store.newest, 3600 * hours()));
  const kept = line.findIndex((point) => moment(point.as_of) >= start);
  if (kept > 0) line.splice(0, kept);
};

const refresh = () => {
  const points = store.series.gain;
  const slider = byId("past-slider");
  slider.max = String(Math.max(0, points.length - 1));
  slider.disabled = points.length < 2;
  slider.value = String(past.at ? placeOf(past.at) : Math.max(0, points.length - 1));
  nameSlider();
  redraw("history");
};
const placeOf = (at) => {
  const found = store.series.gain.findIndex((point) => moment(point.as_of) >= moment(at));
  return found < 0 ? Math.max(0, store.series.gain.length - 1) : found;
};
const nameSlider = () => {
  const point = store.series.gain[Number(byId("past-slider").value)];
  const words = past.at ? `${stamp(past.at)}, loop gain ${gainText(point?.value)}` : point ? "the newest measurement" : "no history yet";
  byId("past-slider").setAttribute("aria-valuetext", words);
  setText(byId("past-words"), past.at ? `Showing ${words}` : `Showing ${words}`);
};

const slide = () => {
  const slider = byId("past-slider");
  if (Number(slider.value) >= Number(slider.max)) return backToLive();
  past.at = store.series.gain[Number(slider.value)]?.as_of ?? null;
  nameSlider();
  clearTimeout(past.pending);
  past.pending = setTimeout(showPast, SETTLE_MS);
};
// One snapshot earlier or later than the one shown, whatever the line of the slider leaves out.
const step = async (direction) => {
  const from = past.at ?? store.newest;
  if (!moment(from)) return;
  const asked = (past.asked += 1);
  try {
    const at = direction < 0 ? (await measureAt(later(from, -1))).as_of : await firstAfter(later(from, 1));
    if (asked !== past.asked) return;
    if (!at || moment(at) >= moment(store.newest)) return backToLive();
    past.at = at;
    byId("past-slider").value = String(placeOf(at));
    nameSlider();
    await showPast();
  } catch (error) {
    if (asked === past.asked) setText(byId("past-words"), error.status === 404 ? "There is no earlier measurement." : `Not known: ${plainText(error.message, 160)}`);
  }
};
const showPast = async () => {
  const [at, asked] = [past.at, (past.asked += 1)];
  try {
    const document = await measureAt(at);
    if (asked === past.asked && past.at === at) handlers.past(document, at);
  } catch (error) {
    if (asked === past.asked && past.at === at) setText(byId("past-words"), `The measurement of ${stamp(at)} could not be shown: ${plainText(error.message, 160)}`);
  }
};
export const backToLive = () => {
  clearTimeout(past.pending);
  past.at = null;
  past.asked += 1;
  byId("past-slider").value = byId("past-slider").max;
  nameSlider();
  handlers.live();
};

// A line of more points than the screen has columns is drawn from every n-th of them, the newest always among them.
const thinned = (points) => {
  const every = Math.ceil(points.length / MOST_DRAWN);
  return every < 2 ? points : points.filter((_, rank) => (points.length - 1 - rank) % every === 0);
};

// A pause in the recording is a pause in the line: a gap of many steps, as they are on either side of it, is not bridged.
const NEAR = 5;
const middleOf = (values) => [...values].sort((one, other) => one - other)[Math.floor(values.length / 2)] ?? 0;
const withPauses = (all) => {
  const points = thinned(all);
  const times = points.map((point) => moment(point.as_of)?.getTime() ?? null);
  const steps = times.slice(1).map((time, rank) => time - times[rank]);
  const isPause = (rank) => steps[rank] > Math.max(6 * middleOf(steps.slice(Math.max(0, rank - NEAR), rank)), 6 * middleOf(steps.slice(rank + 1, rank + 1 + NEAR)), 2 * (all.everyMs ?? 0));
  const [x, y] = [[], []];
  points.forEach((point, rank) => {
    if (rank && isPause(rank - 1)) { x.push(new Date(times[rank - 1] + 1).toISOString()); y.push(null); }
    x.push(new Date(times[rank]).toISOString());
    y.push(known(point.value) ? point.value : null);
  });
  return { x, y };
};

const line = (points, colour, name, options) => ({
  type: "scatter", mode: points.length < 60 ? "lines+markers" : "lines", name, ...withPauses(points), marker: { size: 4 }, line: { color: colour, width: 1.8 }, connectgaps: false, ...options,
});

// Says so where the history does not fill the span that was chosen.
const held = () => {
  const points = store.series.gain;
  const first = moment(points[0]?.as_of);
  const asked = moment(store.newest);
  if (!first || !asked || asked - first > 0.95 * 3_600_000 * hours()) return "";
  return ` Recorded since ${nearStamp(points[0].as_of, store.newest)}.`;
};

// The value that a line has at a time: its points need not be those of another line.
const lastAt = (points, at) => {
  const time = moment(at);
  let [low, high] = [0, points.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (moment(points[middle].as_of) <= time) low = middle + 1;
    else high = middle;
  }
  return points[low - 1]?.value;
};

const block = {
  id: "history", title: "Loop gain against realised vol", own: true, height: 440,
  revision: () => `${byId("history-span").value}`,
  reading: () => {
    const missing = Object.entries({ gain: "loop gain", vol: "realised vol", day: "realised vol of a day", spot: "spot" }).filter(([key]) => store.reasons[key]).map(([key, name]) => `${name}: ${plainText(store.reasons[key], 100)}`);
    if (!store.reasons.vol && !anyKnown(store.series.vol.map((point) => point.value))) missing.push("Realised vol is not known yet: it takes an hour of recorded prices");
    else if (anyKnown(store.series.vol.map((point) => point.value))) missing.push("Realised vol: orange over the hour before, dotted over the day before");
    return `Where gain is above zero hedging feeds moves; where it damps them, realised vol should be lower. A line breaks where nothing was recorded or known.${held()}${missing.length ? ` ${missing.join("; ")}.` : ""}`;
  },
  figure: (_, paint) => {
    const { gain, vol, day, spot } = store.series;
    const values = [gain, [...vol, ...day], spot].map((points) => points.map((point) => point.value));
    if (!values.some(anyKnown)) return "Nothing is recorded in this span yet.";
    const inPercent = (points) => Object.assign(points.map((point) => ({ ...point, value: known(point.value) ? 100 * point.value : null })), { everyMs: points.everyMs });
    const data = [line(spot, paint.muted, "spot", { yaxis: "y", hovertemplate: "spot %{y:$,.0f}<extra></extra>" }), line(gain, paint.call, "loop gain G", { yaxis: "y2", hovertemplate: "G %{y:.3f}<extra></extra>" })];
    const layout = layoutOf(paint, {
      height: 440, hovermode: "x unified", showlegend: false, margin: { l: 64, r: 18, t: 12, b: 46 },
      xaxis: axis("time, UTC", paint, { type: "date", zeroline: false, anchor: anyKnown(values[1]) ? "y3" : "y2", nticks: isNarrow() ? 3 : 7, tickangle: 0 }),
      yaxis: axis("spot", paint, { domain: anyKnown(values[1]) ? [0.72, 1] : [0.58, 1], zeroline: false, tickprefix: "$", tickformat: ",.4~s", nticks: 4 }),
      yaxis2: axis("loop gain G", paint, { domain: anyKnown(values[1]) ? [0.33, 0.66] : [0, 0.5], rangemode: "tozero", nticks: 5 }),
    });
    if (anyKnown(values[1])) {
      data.push(line(inPercent(vol), paint.amplifying, "over 1 h", { yaxis: "y3", hovertemplate: "realised over 1 h %{y:.1f} %<extra></extra>" }));
      data.push(line(inPercent(day), paint.ink, "over 24 h", { yaxis: "y3", hovertemplate: "realised over 24 h %{y:.1f} %<extra></extra>", line: { color: paint.ink, width: 1.6, dash: "dot" } }));
      layout.yaxis3 = axis("realised vol, %", paint, { domain: [0, 0.27], rangemode: "tozero", nticks: 4 });
    }
    if (past.at) layout.shapes = [{ type: "line", x0: past.at, x1: past.at, y0: 0, y1: 1, yref: "paper", line: { color: paint.runaway, width: 1.6, dash: "dash" } }];
    return { data, layout };
  },
  numbers: () => {
    const { vol, day, spot } = store.series;
    const rows = [...store.series.gain].reverse().slice(0, 200).map(({ as_of: at, value }) => [stamp(at), gainText(value), percent(lastAt(vol, at)), percent(lastAt(day, at)), price(lastAt(spot, at))]);
    return { caption: "History, newest first", columns: ["time", "loop gain G", "realised vol, 1 h", "realised vol, 24 h", "spot"].map((name, rank) => ({ name, number: rank > 0 })), rows };
  },
};

export const startHistory = (given) => {
  handlers = given;
  addBlock(byId("history-blocks"), block);
  byId("past-slider").addEventListener("input", slide);
  byId("past-earlier").addEventListener("click", () => step(-1));
  byId("past-later").addEventListener("click", () => step(1));
  byId("back-to-live").addEventListener("click", () => { backToLive(); byId("past-slider").focus(); });
  byId("history-span").addEventListener("change", () => { if (store.newest) loadHistory(store.newest); });
};
// The banner of a past measurement: nobody may take it for now.
export const showPastBanner = (document, newest) => {
  show(byId("past-banner"), Boolean(document));
  if (!document) return;
  const [then, now] = [moment(document.as_of), moment(newest)];
  const wait = then && now ? `, ${lasting((now - then) / 1000)} before the newest measurement` : "";
  setText(byId("past-banner-words"), `You look at the past: ${stamp(document.as_of)}${wait}.`);
  redraw("history");
};
