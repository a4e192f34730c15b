// What hedgers must trade under every move, which vols that is built on, and who might be short.

import { anyKnown, axis, column, isNarrow, layoutOf, markerLine, moneyScale, priceAxis, redraw } from "./figures.js";
import { element, part, records } from "./page.js";
import { coins, gainText, inert, known, money, moveText, percent, plainText, price, shortDates } from "./words.js";

const distinct = (values) => [...new Set(values.filter(known))].sort((one, other) => one - other);
const largestFlow = (document) => Math.max(0, ...column(records(document, "flows"), "buy_usd").filter(known).map(Math.abs));
const order = (buy) => (known(buy) ? `hedgers ${buy >= 0 ? "buy" : "sell"} ${money(Math.abs(buy))}` : "unknown");

// The colour deepens with the square root of the flow, so that small moves stay visible; one scale for all horizons.
const shade = (buy, top) => (known(buy) && top > 0 ? Math.sign(buy) * Math.sqrt(Math.abs(buy) / top) : null);

const flowMap = (hours, title) => ({
  id: `flow-map-${hours}`, title, span: 4, height: 400,
  reading: () => (hours === 0 ? "Hedged at once. Blue buys, orange sells." : `The move, and ${hours} h of ageing.`),
  figure: (document, paint) => {
    const rows = records(document, "flows").filter((row) => row.hours === hours);
    const [moves, vols] = [distinct(rows.map((row) => row.spot_move_pct)), distinct(rows.map((row) => row.vol_move_volpt))];
    if (!rows.some((row) => known(row.buy_usd))) return "Hedge flows are unknown.";
    const grid = moves.map((move) => vols.map((vol) => rows.find((row) => row.spot_move_pct === move && row.vol_move_volpt === vol)?.buy_usd ?? null));
    const top = largestFlow(document);
    const stops = ["sell", "sell_soft", "neutral", "buy_soft", "buy"].map((name, rank) => [rank / 4, paint[`map_${name}`]]);
    const data = [{
      type: "heatmap", z: grid.map((line) => line.map((buy) => shade(buy, top))), x: vols.map(moveText), y: moves.map((move) => `${moveText(move)} %`),
      text: grid.map((line) => line.map((buy) => (known(buy) ? money(buy, { signed: true }) : ""))), texttemplate: "%{text}", textfont: { size: isNarrow() ? 13 : 12 },
      customdata: grid.map((line) => line.map(order)), hovertemplate: "spot %{y}, vol %{x} points<br><b>%{customdata}</b><extra></extra>",
      colorscale: stops, zmin: -1, zmax: 1, zmid: 0, showscale: false, xgap: 2, ygap: 2,
    }];
    const category = { type: "category", showgrid: false, zeroline: false };
    return { data, layout: layoutOf(paint, { height: 400, dragmode: false, margin: { l: 66, r: 8, t: 10, b: 52 }, xaxis: axis("vol move, points", paint, category), yaxis: axis("spot move", paint, category) }) };
  },
  numbers: (document) => ({
    caption: `What hedgers buy (+) or sell (\u2212), ${hours === 0 ? "at once" : `within ${hours} h`}`,
    columns: ["spot move", "vol move, points", "buy, USD", "buy, coin"].map((name) => ({ name, number: true })),
    rows: records(document, "flows").filter((row) => row.hours === hours).map((row) => [
      known(row.spot_move_pct) ? `${moveText(row.spot_move_pct)} %` : "n/a", known(row.vol_move_volpt) ? moveText(row.vol_move_volpt) : "n/a",
      money(row.buy_usd, { signed: true }), coins(row.buy_coin, document.currency) || "n/a",
    ]),
  }),
});

let chosenSmile = "";
const smileKey = (smile) => `${plainText(smile.venue, 24)} ${plainText(smile.expiry, 40)}`;
const smileOf = (document) => {
  const smiles = records(document, "surface", "smiles");
  return smiles.find((smile) => smileKey(smile) === chosenSmile) ?? smiles[0];
};
const smileChoice = element("select", { id: "smile-choice" });
smileChoice.addEventListener("change", () => { chosenSmile = smileChoice.value; redraw("smile"); });
// The list is only rebuilt when it differs: a reader may have it open.
const offerSmiles = (document) => {
  const smiles = records(document, "surface", "smiles");
  const keys = smiles.map(smileKey);
  if ([...smileChoice.options].map((option) => option.value).join("\n") !== keys.join("\n")) {
    const days = shortDates(smiles.map((smile) => smile.expiry));
    const many = new Set(smiles.map((smile) => smile.venue)).size > 1;
    smileChoice.replaceChildren(...keys.map((key, rank) => element("option", { value: key, text: many ? `${days[rank]}, ${plainText(smiles[rank].venue, 24)}` : days[rank] })));
  }
  if (keys.includes(chosenSmile)) smileChoice.value = chosenSmile;
};

const smile = {
  id: "smile", title: "Smile", span: 6,
  control: () => element("p", { className: "control" }, [element("label", { for: "smile-choice", text: "Expiry " }), smileChoice]),
  revision: () => chosenSmile,
  reading: (document) => {
    offerSmiles(document);
    const chosen = smileOf(document);
    if (!chosen) return "";
    const miss = chosen.rmse_volpt;
    return `Bar: bid to ask. Dot: the venue's mark. Line: the fit (${plainText(chosen.model ?? "none", 24)}${known(miss) ? `, misses by ${miss.toFixed(2)} vol points` : ""}).`;
  },
  figure: (document, paint) => {
    const chosen = smileOf(document);
    const [points, curve] = [records(chosen, "points"), records(chosen, "curve")];
    const marks = column(points, "mark_iv");
    if (!anyKnown(marks) && !anyKnown(column(curve, "iv"))) return "No smile could be fitted.";
    const strikes = column(points, "strike_usd");
    const quoted = points.filter((row) => known(row.bid_iv) && known(row.ask_iv));
    const hundred = (values) => values.map((value) => (known(value) ? 100 * value : null));
    const forward = known(chosen.forward_usd) ? markerLine(chosen.forward_usd, paint, { text: `forward ${price(chosen.forward_usd)}`, colour: paint.muted, dash: "dot" }) : null;
    return {
      data: [
        { type: "bar", name: "bid to ask", x: quoted.map((row) => row.strike_usd), base: hundred(column(quoted, "bid_iv")), y: quoted.map((row) => 100 * (row.ask_iv - row.bid_iv)), marker: { color: paint.pale }, hoverinfo: "skip", width: barWidth(strikes) },
        { type: "scatter", mode: "markers", name: "mark", x: strikes, y: hundred(marks), marker: { color: paint.call, size: 6 }, hovertemplate: "%{x}: mark %{y:.1f} %<extra></extra>" },
        { type: "scatter", mode: "lines", name: "fit", x: column(curve, "strike_usd"), y: hundred(column(curve, "iv")), line: { color: paint.amplifying, width: 2 }, hovertemplate: "%{x}: fit %{y:.1f} %<extra></extra>" },
      ],
      layout: layoutOf(paint, { shapes: forward ? [forward.shape] : [], annotations: forward ? [forward.label] : [], xaxis: priceAxis("strike", paint, strikes, { nticks: 6 }), yaxis: axis("implied vol, %", paint, { zeroline: false }) }),
    };
  },
  numbers: (document) => ({
    caption: "Smile", columns: ["strike", "bid", "ask", "mark", "fit"].map((name) => ({ name, number: true })),
    rows: records(smileOf(document), "points").map((row) => [price(row.strike_usd), ...[row.bid_iv, row.ask_iv, row.mark_iv, row.fit_iv].map((value) => percent(value))]),
  }),
};
const barWidth = (strikes) => {
  const finite = distinct(strikes);
  return finite.length > 1 ? (0.006 * (finite.at(-1) - finite[0])) : 1;
};

const term = {
  id: "term-structure", title: "Term structure", span: 6, height: 420,
  reading: () => "Vol at the money of each expiry.",
  figure: (document, paint) => {
    const rows = records(document, "exposure", "by_expiry").filter((row) => known(row.atm_iv));
    if (!rows.length) return "No vol at the money is known.";
    const days = shortDates(rows.map((row) => row.expiry)).map((name) => inert(name, 24));
    const places = rows.map((_, rank) => rank);
    return {
      data: [{ type: "scatter", mode: "lines+markers", x: places, y: rows.map((row) => 100 * row.atm_iv), line: { color: paint.call, width: 2 }, marker: { size: 7 }, text: days, hovertemplate: "%{text}: %{y:.1f} %<extra></extra>" }],
      layout: layoutOf(paint, { height: 420, margin: { l: 64, r: 18, t: 12, b: 52 }, xaxis: axis("", paint, { tickmode: "array", tickvals: places, ticktext: days, tickangle: -45, zeroline: false }), yaxis: axis("vol at the money, %", paint, { zeroline: false }) }),
    };
  },
  numbers: (document) => ({
    caption: "Term structure", columns: ["expiry", "vol at the money", "forward"].map((name, rank) => ({ name, number: rank > 0 })),
    rows: shortDates(records(document, "exposure", "by_expiry").map((row) => row.expiry)).map((name, rank) => [name, percent(part(document, "exposure").by_expiry[rank]?.atm_iv), price(part(document, "exposure").by_expiry[rank]?.forward_usd)]),
  }),
};

const verdictOf = (gex) => (!known(gex) ? "unknown" : gex > 0 ? "damping" : gex < 0 ? "amplifying" : "no exposure");
const namedRows = (words, paint) => ({
  yaxis: axis("", paint, { showticklabels: false, range: [words.length - 0.6, -0.85], showgrid: false, zeroline: false }),
  annotations: words.map((text, place) => ({ x: 0, xref: "paper", xanchor: "left", align: "left", y: place - 0.27, yanchor: "bottom", text, showarrow: false, font: { size: isNarrow() ? 11.5 : 12.5, color: paint.ink }, bgcolor: paint.card, borderpad: 1 })),
  margin: { l: 14, r: 14, t: 10, b: 52 }, showlegend: false, height: 96 + (isNarrow() ? 84 : 64) * words.length,
});

const who = {
  id: "who-is-short", title: "Who is short: the rules compared", span: 6, height: 290,
  reading: (document) => {
    const signs = new Set(records(document, "gain", "by_rule").map((row) => row.gex_usd_per_pct).filter((value) => known(value) && value !== 0).map(Math.sign));
    return signs.size > 1 ? "The rules disagree on the sign: nobody outside knows who is short here." : "Nobody publishes who is short: each bar is one named assumption.";
  },
  figure: (document, paint) => {
    const rows = records(document, "gain", "by_rule");
    const gex = column(rows, "gex_usd_per_pct");
    if (!anyKnown(gex)) return "No rule gives a known exposure.";
    const { unit, over } = moneyScale(gex);
    const words = rows.map((row) => `<b>${inert(row.rule, isNarrow() ? 26 : 44)}</b>:${isNarrow() ? "<br>" : " "}${money(row.gex_usd_per_pct, { signed: true })}${known(row.value) ? `, G ${gainText(row.value)}` : ""}, ${verdictOf(row.gex_usd_per_pct)}`);
    return {
      data: [{ type: "bar", orientation: "h", width: 0.42, hoverinfo: "skip", x: over(gex), y: rows.map((_, rank) => rank), marker: { color: gex.map((value) => (value >= 0 ? paint.damping : paint.amplifying)) } }],
      layout: layoutOf(paint, { ...namedRows(words, paint), xaxis: axis(`net GEX, ${unit} per 1 % move`, paint, { nticks: 6, zerolinecolor: paint.ink }) }),
    };
  },
  numbers: (document) => ({
    caption: "Who is short: the rules compared", columns: [{ name: "rule" }, { name: "net GEX per 1 %", number: true }, { name: "gain G", number: true }, { name: "says" }, { name: "why unknown" }],
    rows: records(document, "gain", "by_rule").map((row) => [plainText(row.rule, 80), money(row.gex_usd_per_pct, { signed: true }), gainText(row.value), verdictOf(row.gex_usd_per_pct), known(row.value) ? "" : plainText(row.reason ?? "", 200)]),
  }),
};

const laws = {
  id: "gain-by-law", title: "How deep is the market: gain under each law", span: 6, height: 290,
  reading: () => "Gain is flow over depth: + amplifies, \u2212 damps; at 1 hedging runs away.",
  figure: (document, paint) => {
    const rows = records(document, "gain", "by_law").filter((row) => row.law !== "none");
    const gains = column(rows, "value");
    if (!anyKnown(gains)) return "No liquidity is known, so there is no gain to compare.";
    const words = rows.map((row) => `<b>${inert(row.law, 24)}</b>: ${known(row.value) ? `G ${gainText(row.value)}, ${money(row.depth_usd_per_pct)} per 1 %` : "not known"}`);
    const colour = gains.map((value) => (value >= 1 ? paint.runaway : value > 0 ? paint.amplifying : paint.damping));
    return {
      data: [{ type: "bar", orientation: "h", width: 0.42, hoverinfo: "skip", x: gains, y: rows.map((_, rank) => rank), marker: { color: colour } }],
      layout: layoutOf(paint, { ...namedRows(words, paint), xaxis: axis("loop gain G (1 runs away)", paint, { nticks: 6, zerolinecolor: paint.ink }) }),
    };
  },
  numbers: (document) => ({
    caption: "Laws of liquidity", columns: [{ name: "law" }, { name: "gain G", number: true }, { name: "depth per 1 %", number: true }, { name: "source, or why unknown" }],
    rows: records(document, "gain", "by_law").map((row) => [plainText(row.law, 24), gainText(row.value), money(row.depth_usd_per_pct), plainText(row.reason ?? row.source ?? "", 300)]),
  }),
};

export const marketBlocks = {
  flows: [flowMap(0, "Now"), flowMap(1, "After 1 h"), flowMap(24, "After 24 h")],
  who: [who, laws],
  vol: [smile, term],
};
