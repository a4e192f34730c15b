// Exposure by strike and expiry at once: in which expiry a wall stands, and with which it leaves.

import { axis, isNarrow, layoutOf, markerLine, priceAxis } from "./figures.js";
import { part } from "./page.js";
import { inert, known, money, price, shortDates } from "./words.js";

const SHOWN_SHARE = 0.25;
const MOST_EXPIRIES = 18;
const NICE = [1, 2, 2.5, 5, 10];

// The options of the document, strikes added up in steps that a screen has room for: { step, expiries, centres, cells }.
const gridOf = (document, most) => {
  const book = part(document, "book");
  const [gex, strikes, expiries] = [book.gex_usd_per_pct, book.strike_usd, book.expiry];
  const spot = document?.spot_usd;
  if (![gex, strikes, expiries].every(Array.isArray) || !known(spot) || spot <= 0) return null;
  const reach = spot * SHOWN_SHARE;
  const step = niceStep((2 * reach) / most, strikes);
  const [first, last] = [Math.ceil((spot - reach) / step), Math.floor((spot + reach) / step)];
  const days = [...new Set(expiries.filter((_, row) => known(gex[row])))].sort().slice(0, MOST_EXPIRIES);
  const cells = days.map(() => Array(last - first + 1).fill(null));
  gex.forEach((value, row) => {
    const [line, place] = [days.indexOf(expiries[row]), Math.round(strikes[row] / step) - first];
    if (known(value) && line >= 0 && place >= 0 && place <= last - first) cells[line][place] = (cells[line][place] ?? 0) + value;
  });
  const centres = Array.from({ length: last - first + 1 }, (_, rank) => (first + rank) * step);
  return days.length && cells.flat().some(known) ? { step, days, centres, cells } : null;
};
// Never finer than the strikes themselves lie.
const niceStep = (least, strikes) => {
  const listed = [...new Set(strikes.filter(known))].sort((one, other) => one - other);
  const finest = listed.slice(1).reduce((gap, strike, rank) => Math.min(gap, strike - listed[rank]), Infinity);
  const wanted = Math.max(least, Number.isFinite(finest) ? finest : least);
  const power = 10 ** Math.floor(Math.log10(wanted));
  return power * NICE.find((factor) => factor * power >= wanted * 0.999);
};
const columnsHere = () => (isNarrow() ? 14 : 50);
const largestCell = ({ cells }) => Math.max(...cells.flat().filter(known).map(Math.abs));
const shade = (value, top) => (known(value) && top > 0 ? Math.sign(value) * Math.sqrt(Math.abs(value) / top) : null);
const spanOf = (centre, step) => `strikes ${price(centre - step / 2)} to ${price(centre + step / 2)}`;

export const heatMap = {
  id: "by-strike-and-expiry", title: "Exposure by strike and expiry", height: 420,
  reading: (document) => {
    const grid = gridOf(document, columnsHere());
    if (!grid) return "";
    let [line, place, most] = [0, 0, -1];
    grid.cells.forEach((cells, row) => cells.forEach((value, rank) => { if (known(value) && Math.abs(value) > most) [line, place, most] = [row, rank, Math.abs(value)]; }));
    const sign = grid.cells[line][place] > 0 ? "damps" : "amplifies";
    return `Green damps, orange amplifies, by the first rule; strikes are added up in steps of ${price(grid.step)}. The largest cell ${sign}: ${money(most)} per 1 % near ${price(grid.centres[place])}, ${shortDates([grid.days[line]])[0]}.`;
  },
  figure: (document, paint) => {
    const grid = gridOf(document, columnsHere());
    if (!grid) return "No option carries a known exposure near spot.";
    const top = largestCell(grid);
    const days = shortDates(grid.days).map((name) => inert(name, 24));
    const data = [{
      type: "heatmap", x: grid.centres, y: days.map((_, rank) => rank), z: grid.cells.map((cells) => cells.map((value) => shade(value, top))),
      customdata: grid.cells.map((cells, row) => cells.map((value, rank) => [days[row], spanOf(grid.centres[rank], grid.step), known(value) ? money(value, { signed: true }) : "n/a"])),
      hovertemplate: "<b>%{customdata[0]}</b>, %{customdata[1]}<br>net GEX %{customdata[2]} per 1 %<extra></extra>",
      colorscale: [[0, paint.amplifying], [0.5, paint.map_neutral], [1, paint.damping]], zmin: -1, zmax: 1, showscale: false, xgap: 1, ygap: 1, hoverongaps: false,
    }];
    const spot = markerLine(document.spot_usd, paint, { text: `spot ${price(document.spot_usd)}`, colour: paint.ink });
    Object.assign(spot.label, { yanchor: "bottom" });
    return {
      data,
      layout: layoutOf(paint, {
        height: 108 + 26 * Math.max(4, days.length), margin: { l: 76, r: 12, t: 26, b: 48 }, shapes: [spot.shape], annotations: [spot.label],
        xaxis: priceAxis("strike", paint, grid.centres, { showgrid: false }),
        yaxis: axis("", paint, { tickmode: "array", tickvals: days.map((_, rank) => rank), ticktext: days, range: [days.length - 0.5, -0.5], showgrid: false, zeroline: false }),
      }),
    };
  },
  numbers: (document) => {
    const grid = gridOf(document, 20);
    const days = grid ? shortDates(grid.days) : [];
    return {
      caption: grid ? `Net GEX per 1 % by strike (steps of ${price(grid.step)}) and expiry` : "Exposure by strike and expiry",
      columns: [{ name: "strike" }, ...days.map((name) => ({ name, number: true }))],
      rows: grid ? grid.centres.map((centre, rank) => [price(centre), ...grid.cells.map((cells) => (known(cells[rank]) ? money(cells[rank], { signed: true }) : ""))]) : [],
    };
  },
};
