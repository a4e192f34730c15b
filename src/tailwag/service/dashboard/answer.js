// The first screen: the answer, how strongly, the flip, what must be traded, the next expiry, and what changed.

import { bookOf, hasOwnBook } from "./ownbook.js";
import { byId, element, part, records, sentences, setText, show } from "./page.js";
import { coins, compact, day, gainText, known, lasting, moment, money, nearStamp, percent, plainText, price, shortClock, stamp } from "./words.js";

export const MOVES_PCT = [-5, -3, -1, 1, 3, 5];
const MINUS = "\u2212";
const REGIMES = {
  damping: ["Damping", "dealers are long gamma: they sell rises and buy falls"],
  amplifying: ["Amplifying", "dealers are short gamma: they buy rises and sell falls"],
  runaway: ["Runaway", "hedging a move forces more of the same move: gain is 1 or more"],
  undetermined: ["Undetermined", "the rules that say who is short disagree on the sign"],
};
export const regimeOf = (document) => {
  const regime = part(document, "gain").regime;
  return Object.hasOwn(REGIMES, regime ?? "") && !part(document, "exposure").reason ? regime : "unknown";
};
// Why a sign is open: nobody holds or hedges anything, one rule's own draws disagree, or the rules do.
const meaningOf = (document) => {
  const [regime, { empty }, { hedge_share: hedged }] = [regimeOf(document), part(document, "exposure"), part(document, "gain")];
  if (regime === "unknown") return "exposure could not be measured";
  if (regime !== "undetermined") return REGIMES[regime][1];
  if (empty === true) return "nobody holds anything here: there is nothing to hedge";
  if (hedged === 0) return "nothing of the book is hedged: there is no loop";
  const signs = new Set(records(document, "gain", "by_rule").map((row) => row.gex_usd_per_pct).filter(known).map(Math.sign));
  if (signs.size !== 1) return REGIMES.undetermined[1];
  return signs.has(0) ? "net gamma is zero at this spot" : "draws of one rule disagree on who is short";
};
export const regimeName = (document) => (REGIMES[regimeOf(document)] || ["Unknown"])[0];

export const nearestFlip = (document) => {
  const flips = records(document, "levels", "flips").filter((row) => known(row.spot_usd));
  const spot = document?.spot_usd;
  return known(spot) ? flips.sort((one, other) => Math.abs(one.spot_usd - spot) - Math.abs(other.spot_usd - spot))[0] : flips[0];
};
export const away = (level, spot) => (known(level) && known(spot) && spot > 0 ? percent(level / spot - 1, { signed: true }) : "n/a");
// A tile has room for a few words; the whole reason is the headline.
const hidden = (document) => (part(document, "exposure").reason ? "every option with open interest is masked" : "");
const joined = (...parts) => parts.filter(Boolean).join("; ");

// The gains of the rules that disagree; a rule whose flow the depth cannot price has a sign, and no number.
const rulesSpan = (document) => {
  const rows = records(document, "gain", "by_rule");
  const values = rows.map((row) => row.value).filter(known);
  const open = rows.filter((row) => !known(row.value) && known(row.gex_usd_per_pct) && row.gex_usd_per_pct !== 0);
  const [low, high] = [Math.min(...values, ...open.filter((row) => row.gex_usd_per_pct > 0).map(() => 0)), Math.max(...values, ...open.filter((row) => row.gex_usd_per_pct < 0).map(() => 0))];
  if (!values.length) return "n/a";
  return `${low === 0 ? "below 0" : gainText(low)} to ${high === 0 ? "above 0" : gainText(high)}`;
};
const unpricedRules = (document) => {
  const open = records(document, "gain", "by_rule").filter((row) => !known(row.value) && known(row.gex_usd_per_pct) && row.gex_usd_per_pct !== 0);
  return open.slice(0, 2).map((row) => `${plainText(row.rule, 40)} ${row.gex_usd_per_pct > 0 ? "damps" : "amplifies"}, how strongly is not known`).join("; ");
};

const gainTile = (document) => {
  const gain = part(document, "gain");
  if (!known(gain.value)) {
    const even = gain.break_even_depth_usd_per_pct;
    const why = hidden(document) || plainText(gain.reason || gain.value_reason || "no liquidity is known, so no gain is shown", 160);
    return ["Break-even depth", known(even) ? `${money(even)} per 1 %` : "n/a", joined(known(even) ? "the loop gain is 1 in size where this much moves the price 1 %" : "", why), "plain"];
  }
  const span = known(gain.low) && known(gain.high) ? `range ${gainText(gain.low)} to ${gainText(gain.high)}` : "";
  const at = `${plainText(gain.law || "given", 24)} law, ${money(gain.depth_usd_per_pct)} per 1 %`;
  if (gain.regime === "undetermined") return ["Loop gain G, by rule", rulesSpan(document), joined(unpricedRules(document), at, span), "undetermined"];
  const times = known(gain.amplification) ? `an outside move is multiplied by ${gain.amplification.toFixed(2)}` : "";
  return ["Loop gain G", gainText(gain.value), joined(times, at, span), gain.value >= 1 ? "runaway" : gain.value > 0 ? "amplifying" : "damping"];
};

const flipTile = (document) => {
  const [flip, levels] = [nearestFlip(document), part(document, "levels")];
  if (!flip) {
    const told = { none: "one sign over the whole profile", edge: "exposure nears zero at the edge of the profile" };
    const why = Object.hasOwn(told, levels.flip_status ?? "") ? told[levels.flip_status] : plainText(levels.flips_reason || "not known", 160);
    if (hidden(document)) return ["Nearest flip", "n/a", hidden(document), "plain"];
    return ["Nearest flip", why === told[levels.flip_status] ? "none" : "n/a", why, "plain"];
  }
  const sides = { "negative-to-positive": "amplifying below, damping above", "positive-to-negative": "damping below, amplifying above" };
  const others = records(document, "levels", "flips").length - 1;
  const meaning = Object.hasOwn(sides, flip.crossing ?? "") ? sides[flip.crossing] : "";
  return ["Nearest flip", `${price(flip.spot_usd)} (${away(flip.spot_usd, document.spot_usd)})`, joined(meaning, others > 0 ? `${others} more` : ""), "plain"];
};

const exposureTile = (document) => {
  const { gex_usd_per_pct: net, gross_gex_usd_per_pct: gross } = part(document, "exposure");
  const share = known(net) && known(gross) && gross > 0 ? `${percent(Math.abs(net) / gross)} of the gross ${money(gross)}` : `gross ${money(gross)}`;
  return ["Net GEX per 1 %", money(net, { signed: true }), known(gross) ? `${share}, by the first rule` : hidden(document) || "not known", !known(net) || net === 0 || regimeOf(document) === "undetermined" ? "plain" : net > 0 ? "damping" : "amplifying"];
};

const expiryTile = (document) => {
  const row = records(document, "calendar").find((one) => one.event === "expiry");
  const [now, then, gross] = [moment(document.as_of), moment(row?.at), part(document, "exposure").gross_gex_usd_per_pct];
  if (!row || !then) return ["Next expiry removes", "n/a", "no expiry lies ahead in the calendar", "plain"];
  const removed = row.gross_gex_removed_usd_per_pct;
  const share = known(removed) && known(gross) && gross > 0 ? `, ${percent(removed / gross)} of gross GEX` : " of gross GEX";
  const wait = now ? `, in ${lasting((then - now) / 1000)}` : "";
  return ["Next expiry removes", known(removed) ? `${money(removed)} per 1 %` : "n/a", `${day(then)} ${shortClock(then)} UTC${wait}${share}`, "plain"];
};

const showTile = (place, [label, value, detail, tone]) => {
  place.className = `card tile ${tone}`;
  const [name, figure, words] = place.children;
  setText(name, label);
  setText(figure, value);
  figure.className = `value${value.length > 13 ? " long" : ""}`;
  setText(words, detail);
};

const showFlows = (place, flows, currency) => {
  const cells = MOVES_PCT.map((move) => {
    const row = flows.find((one) => one.spot_move_pct === move && one.vol_move_volpt === 0 && one.hours === 0) || {};
    const buy = row.buy_usd;
    const side = !known(buy) ? "unknown" : buy > 0 ? "buy" : buy < 0 ? "sell" : "none";
    return element("li", { className: side }, [
      element("span", { className: "move", text: `${move > 0 ? "+" : MINUS}${Math.abs(move)} %` }),
      element("span", { className: "side", text: side === "none" ? "nothing" : side }),
      element("span", { className: "usd", text: known(buy) ? money(Math.abs(buy)) : "n/a" }),
      element("span", { className: "coin", text: known(row.buy_coin) ? coins(Math.abs(row.buy_coin), currency) : "" }),
    ]);
  });
  place.replaceChildren(...cells);
};

const showBanners = (document) => {
  show(byId("synthetic-banner"), part(document, "source").synthetic === true);
  const lines = sentences(document, "degraded");
  if (!lines.length && document.status === "degraded") lines.push("Some of the chain could not be used; see data quality.");
  show(byId("degraded-banner"), lines.length > 0);
  byId("degraded-lines").replaceChildren(...lines.slice(0, 8).map((line) => element("li", { text: plainText(line, 400) })));
};

const showWords = (document) => {
  const regime = regimeOf(document);
  const lines = sentences(document, "headline").map((line) => plainText(line.replace(/^SYNTHETIC demo data: /, ""), 500));
  byId("answer").className = `card answer ${regime}`;
  setText(byId("regime"), regimeName(document));
  setText(byId("meaning"), meaningOf(document));
  setText(byId("headline"), lines[0] ?? "Nothing could be measured.");
  byId("more").replaceChildren(...lines.slice(1).map((line) => element("p", { text: line })));
  show(byId("more-fold"), lines.length > 1);
};

const showAssumptions = (document) => {
  const taken = part(document, "assumptions");
  const rules = sentences(taken, "rules");
  const { law, from } = part(taken, "liquidity");
  const deep = part(document, "gain").depth_usd_per_pct;
  const facts = [
    ["who is short", rules.join(" | ") || "unknown"],
    ["smile dynamics", taken.dynamics],
    ["vol", taken.vol],
    ["liquidity", !law || law === "none" ? "not known" : `${law} (from ${from})${known(deep) ? `, ${money(deep)} per 1 %` : ""}`],
    ["hedged share", percent(taken.hedge_share, { decimals: 0 })],
    ["source", part(document, "source").name],
  ];
  byId("assumptions").replaceChildren(...facts.map(([name, value]) => element("div", {}, [element("dt", { text: `${name}:` }), element("dd", { text: plainText(value, 200) })])));
};

// Where hedging starts to run away under the first rule: what a desk must know before the flip.
const showRunaway = (document) => {
  const [gain, spot] = [part(document, "gain"), document.spot_usd];
  const zones = (Array.isArray(gain.runaway_zones_usd) ? gain.runaway_zones_usd : []).filter(Array.isArray);
  const inside = zones.find(([low, high]) => (!known(low) || low <= spot) && (!known(high) || spot <= high));
  const edges = (inside ? [inside] : zones).flat().filter((edge) => known(edge) && edge > 0);
  const nearest = edges.sort((one, other) => Math.abs(one - spot) - Math.abs(other - spot))[0];
  show(byId("runaway"), known(spot) && (Boolean(inside) || known(nearest)));
  const by = gain.regime === "undetermined" ? ` under ${plainText(sentences(part(document, "assumptions"), "rules")[0] ?? "the first rule", 60)}` : "";
  if (inside) setText(byId("runaway"), `Spot is in a runaway zone (G ≥ 1)${by}${known(nearest) ? `; it ends at ${price(nearest)}, ${away(nearest, spot)}` : ""}.`);
  else if (known(nearest)) setText(byId("runaway"), `Runaway (G ≥ 1) starts at ${price(nearest)}, ${away(nearest, spot)} from spot${by}.`);
};

// Everything above the figures.
export const showAnswer = (document) => {
  setText(byId("currency"), plainText(document.currency ?? "currency unknown", 24));
  setText(byId("spot"), price(document.spot_usd));
  setText(byId("as-of"), stamp(document.as_of));
  showBanners(document);
  showWords(document);
  showRunaway(document);
  const tiles = byId("tiles").children;
  [gainTile, flipTile, exposureTile, expiryTile].forEach((make, rank) => showTile(tiles[rank], make(document)));
  setText(byId("flows-rule"), `under ${plainText(sentences(part(document, "assumptions"), "rules")[0] ?? "an unnamed rule", 80)}`);
  showFlows(byId("market-flows"), records(document, "flows"), document.currency);
  showOwnBook(document);
  showAssumptions(document);
  return document;
};

export const showOwnBook = (document) => {
  const block = bookOf(document);
  const flows = records({ block }, "block", "flows");
  show(byId("own-flows"), flows.length > 0);
  show(byId("no-own-book"), flows.length === 0 && !hasOwnBook());
  show(byId("own-greeks"), flows.length > 0);
  if (!flows.length) return;
  showFlows(byId("own-flows"), flows, document.currency);
  const greeks = part({ block }, "block", "greeks");
  const broken = records({ block }, "block", "limits").filter((row) => row.breached === true);
  const words = [
    known(greeks.delta_coin) ? `delta ${signedCoins(greeks.delta_coin, document.currency)}` : "", `GEX ${money(greeks.gex_usd_per_pct, { signed: true })} per 1 %`, `vega ${money(greeks.vega_usd_per_volpt, { signed: true })} per point`,
    broken.length ? `${broken.length === 1 ? "limit" : "limits"} broken: ${broken.slice(0, 3).map((row) => plainText(row.key, 40)).join(", ")}` : "",
  ];
  setText(byId("own-greeks"), words.filter(Boolean).join("; "));
};
const signedCoins = (value, currency) => `${compact(value, { signed: true })} ${plainText(currency || "coin", 8)}`;

const change = (now, then, words) => (known(now) && known(then) ? (now === then ? "as before" : words(now - then)) : "");
const relative = (now, then) => (known(now) && known(then) && then > 0 ? percent(now / then - 1, { signed: true }) : "");

// What changed since `before`, an older document; null says why there is none.
// A market younger than an hour is compared with its first measurement, and says so; so does any other distance that is not about an hour.
const sinceFirst = (document, before) => {
  const seconds = (moment(document.as_of) - moment(before.as_of)) / 1000;
  if (seconds > 0 && seconds < 3300) return `, the first measurement, ${lasting(seconds)} ago`;
  return seconds > 3900 ? `, ${lasting(seconds)} ago` : "";
};
export const showChanges = (document, before, why = "") => {
  const place = byId("changes-list");
  setText(byId("changes-title"), before ? `What changed since ${nearStamp(before.as_of, document.as_of)}${sinceFirst(document, before)}` : "What changed since an hour ago");
  show(byId("changes-none"), !before);
  show(place, Boolean(before));
  setText(byId("changes-none"), before ? "" : plainText(why || "Not known yet.", 200));
  if (!before) return void place.replaceChildren();
  const [gain, gainThen] = [part(document, "gain").value, part(before, "gain").value];
  const [gex, gexThen] = [part(document, "exposure").gex_usd_per_pct, part(before, "exposure").gex_usd_per_pct];
  const [flip, flipThen] = [nearestFlip(document)?.spot_usd, nearestFlip(before)?.spot_usd];
  const [regime, regimeThen] = [regimeName(document), regimeName(before)];
  const rows = [
    ["regime", regime === regimeThen ? regime.toLowerCase() : `${regimeThen.toLowerCase()} → ${regime.toLowerCase()}`, regime === regimeThen ? "as before" : "changed"],
    ["spot", price(document.spot_usd), relative(document.spot_usd, before.spot_usd)],
    ["loop gain G", gainText(gain), change(gain, gainThen, gainText)],
    ["net GEX per 1 %", money(gex, { signed: true }), change(gex, gexThen, (by) => money(by, { signed: true }))],
    ["nearest flip", price(flip), change(flip, flipThen, (by) => money(by, { signed: true }))],
  ];
  place.replaceChildren(...rows.map(([name, value, by]) => element("div", { className: by === "changed" ? "turned" : "" }, [
    element("dt", { text: name }), element("dd", { text: value }), element("dd", { className: "by", text: by || (value === "n/a" ? "" : "n/a then") }),
  ])));
};
