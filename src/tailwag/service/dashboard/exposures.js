// Where the gamma sits, at which price it changes sign, and what leaves when.

import { away, nearestFlip } from "./answer.js";
import { anyKnown, around, axis, column, isNarrow, layoutOf, markerLine, moneyScale, priceAxis, signedMoney, spotMarker } from "./figures.js";
import { heatMap } from "./heatmap.js";
import { part, records } from "./page.js";
import { coins, gainText, inert, known, money, percent, plainText, price, shortDates, stamp } from "./words.js";

const SHOWN_SHARE = 0.25;
const MOST_EXPIRIES = 18;
const names = (...titles) => titles.map((name, rank) => ({ name, number: rank > 0 }));

const profile = {
  id: "gex-profile", title: "Exposure and gain at every price", height: 500,
  reading: (document) => {
    const flip = nearestFlip(document);
    const where = flip ? `The nearest flip is ${price(flip.spot_usd)}, ${away(flip.spot_usd, document.spot_usd)} from spot.` : "No flip is known.";
    return `Above zero dealers are long gamma and lean against moves; below zero they chase them. ${where}`;
  },
  figure: (document, paint) => {
    const rows = records(document, "profile").filter((row) => known(row.spot_usd));
    const [levels, gex, gains] = [column(rows, "spot_usd"), column(rows, "gex_usd_per_pct"), column(rows, "gain")];
    if (!anyKnown(gex)) return "The profile over spot is unknown.";
    const withGain = anyKnown(gains);
    const { unit, over } = moneyScale(gex);
    const heights = over(gex);
    const shown = around(document.spot_usd, SHOWN_SHARE, levels);
    const fitted = (values) => rangeWithin(levels, values, shown);
    const fill = (name, keep, colour) => ({
      type: "scatter", mode: "none", name, x: levels, y: heights.map((value) => (value === null ? null : keep(value, 0))), fill: "tozeroy", fillcolor: colour, hoverinfo: "skip",
    });
    const data = [
      { type: "scatter", mode: "lines", name: "GEX", x: levels, y: heights, line: { color: paint.ink, width: 2 }, showlegend: false, text: signedMoney(gex), hovertemplate: "GEX %{text} per 1 %<extra></extra>" },
      fill("long gamma: damps", Math.max, paint.damping_tint), fill("short gamma: amplifies", Math.min, paint.amplifying_tint),
    ];
    if (withGain) data.push({ type: "scatter", mode: "lines", name: "loop gain G", x: levels, y: gains, yaxis: "y2", line: { color: paint.call, width: 2 }, showlegend: false, text: gains.map(gainText), hovertemplate: "gain %{text}<extra></extra>" });
    const { shapes, annotations } = profileMarks(document, levels, paint);
    const layout = layoutOf(paint, {
      height: withGain ? 500 : 380, hovermode: "x unified", shapes, annotations,
      xaxis: priceAxis("spot", paint, levels, { ...(shown ? { range: shown } : {}), anchor: withGain ? "y2" : "y" }),
      yaxis: axis(`GEX, ${unit} per 1 % move`, paint, { domain: withGain ? [0.46, 1] : [0, 1], ...fitted(heights) }),
      ...(withGain ? { yaxis2: axis("loop gain G", paint, { domain: [0, 0.36], anchor: "x", ...fitted(gains) }) } : {}),
    });
    return { data, layout };
  },
  numbers: (document) => ({
    caption: "Exposure and gain by price",
    columns: names("spot", "GEX per 1 %", "loop gain G"),
    rows: records(document, "profile").filter((row, rank) => rank % 5 === 0).map((row) => [price(row.spot_usd), money(row.gex_usd_per_pct, { signed: true }), gainText(row.gain)]),
  }),
};

// An axis that fits what is seen, zero always in it.
const rangeWithin = (places, values, shown) => {
  const seen = values.filter((value, rank) => known(value) && (!shown || (places[rank] >= shown[0] && places[rank] <= shown[1])));
  const [low, high] = [Math.min(0, ...seen), Math.max(0, ...seen)];
  return high > low ? { range: [low - 0.07 * (high - low), high + 0.07 * (high - low)] } : {};
};

const profileMarks = (document, levels, paint) => {
  const flips = records(document, "levels", "flips").map((row) => row.spot_usd).filter(known).slice(0, 12);
  const marks = [...spotMarker(document.spot_usd, paint), ...flips.map((flip, rank) => markerLine(flip, paint, { text: `flip ${price(flip)}`, colour: paint.runaway, dash: "dash", low: true, shift: 20 * (rank % 3) }))];
  const zones = part(document, "gain").runaway_zones_usd;
  const [low, high] = [Math.min(...levels), Math.max(...levels)];
  const shapes = marks.map((mark) => mark.shape);
  for (const zone of Array.isArray(zones) ? zones.slice(0, 12) : []) {
    if (!Array.isArray(zone)) continue;
    const [from, to] = [known(zone[0]) ? zone[0] : low, known(zone[1]) ? zone[1] : high];
    shapes.push({ type: "rect", x0: from, x1: to, y0: 0, y1: 1, yref: "paper", fillcolor: paint.runaway_tint, line: { width: 0 }, layer: "below" });
    marks.push({ label: { x: (from + to) / 2, y: 0.41, yref: "paper", text: "runaway, G ≥ 1", showarrow: false, font: { color: paint.runaway, size: 11.5 } } });
  }
  return { shapes, annotations: marks.map((mark) => mark.label) };
};

const strikes = {
  id: "by-strike", title: "Exposure by strike", height: 400,
  reading: (document) => {
    const levels = part(document, "levels");
    return `Call wall ${price(levels.call_wall_usd)}, put wall ${price(levels.put_wall_usd)}: the strikes with most unsigned gamma. Signed by the first rule.`;
  },
  figure: (document, paint) => {
    const rows = records(document, "exposure", "by_strike").filter((row) => known(row.strike_usd)).sort((one, other) => one.strike_usd - other.strike_usd);
    const [places, calls, puts, net] = ["strike_usd", "call_gex_usd_per_pct", "put_gex_usd_per_pct", "gex_usd_per_pct"].map((key) => column(rows, key));
    if (!anyKnown(calls) && !anyKnown(puts)) return "No strike carries a known exposure.";
    const { unit, over } = moneyScale(calls, puts);
    const gaps = places.slice(1).map((place, rank) => place - places[rank]).sort((one, other) => one - other);
    const usual = gaps[Math.floor(gaps.length / 2)] ?? 1; // a bar beside a wide gap is no larger for it
    const widths = places.map((place, rank) => 0.84 * Math.min(2 * usual, place - (places[rank - 1] ?? -Infinity), (places[rank + 1] ?? Infinity) - place)).map((gap) => (Number.isFinite(gap) && gap > 0 ? gap : 1));
    const customdata = rows.map((row) => [price(row.strike_usd), ...signedMoney([row.call_gex_usd_per_pct, row.put_gex_usd_per_pct, row.gex_usd_per_pct])]);
    const shared = { x: places, customdata, hovertemplate: "<b>%{customdata[0]}</b><br>calls %{customdata[1]}<br>puts %{customdata[2]}<br>net %{customdata[3]} per 1 %<extra></extra>" };
    const shown = around(document.spot_usd, isNarrow() ? SHOWN_SHARE / 2 : SHOWN_SHARE, places);
    const marks = spotMarker(document.spot_usd, paint);
    return {
      data: [
        { type: "bar", name: "calls", y: over(calls), width: widths, marker: { color: paint.call }, ...shared },
        { type: "bar", name: "puts", y: over(puts), width: widths, marker: { color: paint.put }, ...shared },
        { type: "scatter", mode: "markers", name: "net", y: over(net), marker: { color: paint.ink, size: 6, symbol: "line-ew", line: { color: paint.ink, width: 2 } }, ...shared },
      ],
      layout: layoutOf(paint, {
        height: 400, barmode: "relative", bargap: 0, shapes: marks.map((mark) => mark.shape), annotations: marks.map((mark) => mark.label),
        xaxis: priceAxis("strike", paint, places, shown ? { range: shown } : {}), yaxis: axis(`GEX, ${unit} per 1 % move`, paint),
      }),
    };
  },
  numbers: (document) => ({
    caption: "Exposure by strike",
    columns: names("strike", "calls", "puts", "net GEX per 1 %"),
    rows: records(document, "exposure", "by_strike").map((row) => [price(row.strike_usd), ...signedMoney([row.call_gex_usd_per_pct, row.put_gex_usd_per_pct, row.gex_usd_per_pct])]),
  }),
};

// The largest rows, in their own order, the first always among them.
const largest = (rows, key, most) => {
  const size = (row) => (known(row[key]) ? Math.abs(row[key]) : 0);
  const kept = new Set([rows[0], ...rows.slice(1).sort((one, other) => size(other) - size(one))].slice(0, most));
  return rows.filter((row) => kept.has(row));
};

const expiries = {
  id: "by-expiry", title: "Exposure by expiry", span: 6,
  reading: () => "Grey is what could act if one side held everything; colour is what the first rule says.",
  figure: (document, paint) => {
    const rows = largest(records(document, "exposure", "by_expiry"), "gross_gex_usd_per_pct", isNarrow() ? 10 : MOST_EXPIRIES);
    const [net, gross] = [column(rows, "gex_usd_per_pct"), column(rows, "gross_gex_usd_per_pct")];
    if (!anyKnown(net) && !anyKnown(gross)) return "No expiry carries a known exposure.";
    const { unit, over } = moneyScale(net, gross);
    const days = shortDates(rows.map((row) => row.expiry)).map((name) => inert(name, 24));
    const places = rows.map((_, rank) => rank);
    const customdata = rows.map((row, rank) => [money(net[rank], { signed: true }), money(gross[rank]), days[rank]]);
    const shared = { type: "bar", x: places, customdata, hovertemplate: "<b>%{customdata[2]}</b><br>net %{customdata[0]} per 1 %<br>gross %{customdata[1]} per 1 %<extra></extra>" };
    const bars = (name, keep, colour) => ({ name, y: over(net.map((value) => (known(value) && keep(value) ? value : null))), width: 0.5, marker: { color: colour }, ...shared });
    return {
      data: [
        { name: "gross", y: over(gross), width: 0.82, marker: { color: paint.pale }, ...shared },
        bars("net long: damps", (value) => value >= 0, paint.damping), bars("net short: amplifies", (value) => value < 0, paint.amplifying),
      ],
      layout: layoutOf(paint, { barmode: "overlay", xaxis: axis("", paint, { tickmode: "array", tickvals: places, ticktext: days, tickangle: -45, showgrid: false, zeroline: false }), yaxis: axis(`GEX, ${unit} per 1 % move`, paint) }),
    };
  },
  numbers: (document) => {
    const days = shortDates(records(document, "exposure", "by_expiry").map((row) => row.expiry));
    const gains = new Map(records(document, "gain", "by_expiry").map((row) => [row.expiry, row.value]));
    return {
      caption: "Exposure by expiry",
      columns: names("expiry", "net GEX per 1 %", "gross GEX", "gain G", "open interest", "forward", "ATM vol"),
      rows: records(document, "exposure", "by_expiry").map((row, rank) => [
        days[rank], money(row.gex_usd_per_pct, { signed: true }), money(row.gross_gex_usd_per_pct),
        gainText(gains.get(row.expiry)), coins(row.open_interest_coin, document.currency) || "n/a", price(row.forward_usd), percent(row.atm_iv),
      ]),
    };
  },
};

const calendar = {
  id: "calendar", title: "What the next expiries take away", span: 6,
  reading: () => "Gross exposure that ends with each expiry, whoever is short.",
  figure: (document, paint) => {
    const rows = largest(records(document, "calendar").filter((row) => known(row.gross_gex_removed_usd_per_pct)), "gross_gex_removed_usd_per_pct", 12);
    if (!rows.length) return "No expiry with a known exposure lies ahead.";
    const removed = column(rows, "gross_gex_removed_usd_per_pct");
    const gross = part(document, "exposure").gross_gex_usd_per_pct;
    const { unit, over } = moneyScale(removed);
    const places = rows.map((_, rank) => rank);
    const text = removed.map((value) => money(value) + (known(gross) && gross > 0 ? ` (${percent(value / gross, { decimals: 0 })})` : ""));
    return {
      data: [{ type: "bar", orientation: "h", x: over(removed), y: places, width: 0.7, marker: { color: paint.call }, text, textposition: "outside", cliponaxis: false, textfont: { color: paint.ink }, hoverinfo: "skip" }],
      layout: layoutOf(paint, {
        margin: { l: 84, r: 16, t: 12, b: 52 },
        xaxis: axis(`gross GEX, ${unit} per 1 %`, paint, { nticks: 4, range: [0, (1.45 * Math.max(...removed)) / moneyScale(removed).divisor] }),
        yaxis: axis("", paint, { tickmode: "array", tickvals: places, ticktext: shortDates(rows.map((row) => row.at)).map((name) => inert(name, 24)), range: [rows.length - 0.4, -0.6], showgrid: false, zeroline: false }),
      }),
    };
  },
  numbers: (document) => ({
    caption: "Calendar",
    columns: [{ name: "time" }, { name: "event" }, { name: "gross GEX removed", number: true }, { name: "net GEX removed", number: true }],
    rows: records(document, "calendar").map((row) => [stamp(row.at), plainText(row.event, 40), money(row.gross_gex_removed_usd_per_pct), money(row.gex_removed_usd_per_pct, { signed: true })]),
  }),
};

export const exposureBlocks = { profile: [profile], where: [heatMap, strikes, expiries, calendar] };
