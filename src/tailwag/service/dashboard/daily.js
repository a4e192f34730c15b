// The daily index: loop gain and hedged open interest of each day that is over, under the index's own fixed assumptions.

import { dailyIndex } from "./api.js";
import { addBlock, anyKnown, axis, column, layoutOf, redraw } from "./figures.js";
import { byId, part } from "./page.js";
import { gainText, known, plainText } from "./words.js";

const store = { days: [], definition: {}, why: "The daily index is being read.", asked: 0 };

// Asked for at the start and once in a while: a day is added to it a day.
export const loadDaily = async (currency) => {
  const mine = (store.asked += 1);
  try {
    const { days, definition } = await dailyIndex(currency);
    if (mine !== store.asked) return;
    Object.assign(store, { days, definition, why: "No day is over yet: the index is made of whole days, after the expiry at 08:00 UTC." });
  } catch (error) {
    if (mine !== store.asked) return;
    store.why = error.status === 404 || error.status === 422 ? "This server keeps no daily index." : `The daily index could not be read: ${plainText(error.message, 160)}.`;
  }
  redraw("daily-index");
};
const ratioText = (value) => (known(value) ? value.toFixed(value < 10 ? 2 : 0) : "n/a");

const block = {
  id: "daily-index", title: "Daily index: loop gain and hedged interest", own: true, height: 300,
  reading: () => {
    const last = store.days.at(-1);
    const rules = part(store, "definition").rules;
    const under = Array.isArray(rules) && rules.length ? ` Fixed assumptions, whatever this server measures under: ${plainText(rules.join(", "), 120)}.` : "";
    return last ? `${plainText(last.date, 12)}: loop gain ${gainText(last.loop_gain)}, ${plainText(last.regime ?? "unknown", 20)}; hedged open interest is ${ratioText(last.hedged_oi_ratio)} times liquidity.${under}` : store.why;
  },
  figure: (_, paint) => {
    const [gains, ratios] = [column(store.days, "loop_gain"), column(store.days, "hedged_oi_ratio")];
    if (!anyKnown(gains) && !anyKnown(ratios)) return store.days.length ? "No day has a known index." : store.why;
    const dates = store.days.map((one) => plainText(one.date, 12));
    const shared = { type: "scatter", mode: "lines+markers", x: dates, connectgaps: false, marker: { size: 6 } };
    return {
      data: [
        { ...shared, y: gains, line: { color: paint.call, width: 2 }, text: gains.map(gainText), hovertemplate: "%{x}: G %{text}<extra></extra>" },
        { ...shared, y: ratios, yaxis: "y2", line: { color: paint.put, width: 2 }, text: ratios.map(ratioText), hovertemplate: "%{x}: ratio %{text}<extra></extra>" },
      ],
      layout: layoutOf(paint, {
        height: 360, showlegend: false, margin: { l: 64, r: 18, t: 12, b: 46 },
        xaxis: axis("day, UTC", paint, { type: "category", nticks: 8, zeroline: false, anchor: "y2", tickangle: 0 }),
        yaxis: axis("loop gain G", paint, { domain: [0.56, 1], nticks: 4 }), yaxis2: axis("hedged OI / liquidity", paint, { domain: [0, 0.44], rangemode: "tozero", nticks: 4 }),
      }),
    };
  },
  numbers: () => ({
    caption: "Daily index, newest first", columns: [{ name: "day" }, { name: "loop gain G", number: true }, { name: "regime" }, { name: "hedged OI / liquidity", number: true }, { name: "why unknown" }],
    rows: [...store.days].reverse().map((one) => [plainText(one.date, 12), gainText(one.loop_gain), plainText(one.regime ?? "unknown", 24), ratioText(one.hedged_oi_ratio), plainText(one.reason ?? one.hedged_oi_reason ?? "", 200)]),
  }),
};
export const startDaily = () => addBlock(byId("history-blocks"), block);
