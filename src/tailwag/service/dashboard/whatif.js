// What if: the same snapshot measured under another rule, depth, shock or hedged share, beside what is shown.

import { whatIf } from "./api.js";
import { away, nearestFlip, regimeName } from "./answer.js";
import { announce } from "./live.js";
import { byId, element, part, records, sentences, setText, show, table } from "./page.js";
import { gainText, known, money, moveText, percent, plainText, price, stamp } from "./words.js";

const SPELLINGS = ["long-calls-short-puts", "customers-sell-otm", "short-all", "long-all", "customers-buy:0.7"];
let shown = () => null;
let asked = 0;

// The measurement that is shown is the one that is asked about, a past one too.
export const startWhatIf = (current) => {
  shown = current;
  byId("what-if-rules").replaceChildren(...SPELLINGS.map((value) => element("option", { value })));
  byId("what-if-form").addEventListener("submit", (event) => { event.preventDefault(); ask(); });
  byId("what-if-form").addEventListener("reset", () => { asked += 1; show(byId("what-if-answer"), false); setText(byId("what-if-words"), ""); });
};
// What is left empty stays as it is: the fields say what that is.
export const offerWhatIf = (document) => {
  const [taken, gain] = [part(document, "assumptions"), part(document, "gain")];
  const standing = {
    "what-if-rule": sentences(taken, "rules")[0] ?? "",
    "what-if-depth": known(gain.depth_usd_per_pct) ? (gain.depth_usd_per_pct / 1e6).toFixed(1) : "not known",
    "what-if-move": known(gain.move_pct) ? String(gain.move_pct) : "",
    "what-if-share": known(taken.hedge_share) ? String(Math.round(100 * taken.hedge_share)) : "",
  };
  for (const [id, text] of Object.entries(standing)) byId(id).placeholder = plainText(text, 40);
};

const numberIn = (id, factor) => (byId(id).value.trim() === "" ? null : Number(byId(id).value) * factor);
const ask = async () => {
  const document = shown();
  if (!document) return;
  const [mine, button] = [(asked += 1), byId("what-if-ask")];
  const assumptions = {
    rule: byId("what-if-rule").value.trim() || null,
    depth_usd_per_pct: numberIn("what-if-depth", 1e6), move_pct: numberIn("what-if-move", 1), hedge_share: numberIn("what-if-share", 0.01),
  };
  if (Object.values(assumptions).every((value) => value === null)) return void setText(byId("what-if-words"), "Fill in at least one of the fields; the others stay as they are.");
  button.setAttribute("aria-disabled", "true");
  setText(byId("what-if-words"), "Measuring…");
  try {
    const found = await whatIf(assumptions, document.as_of);
    if (mine === asked) present(document, found);
  } catch (error) {
    if (mine !== asked) return;
    show(byId("what-if-answer"), false);
    setText(byId("what-if-words"), `Not measured: ${plainText(error.message, 240)}.`);
    announce(`What if: not measured, ${plainText(error.message, 160)}`);
  } finally {
    button.removeAttribute("aria-disabled");
  }
};

const flowAt = (document, move) => {
  const row = records(document, "flows").find((one) => one.spot_move_pct === move && one.vol_move_volpt === 0 && one.hours === 0);
  return known(row?.buy_usd) ? `${row.buy_usd > 0 ? "buy" : row.buy_usd < 0 ? "sell" : "nothing"} ${money(Math.abs(row.buy_usd))}` : "n/a";
};
const flipText = (document) => {
  const flip = nearestFlip(document);
  return flip ? `${price(flip.spot_usd)} (${away(flip.spot_usd, document.spot_usd)})` : "none";
};
const READ = [
  ["regime", (one) => regimeName(one).toLowerCase()],
  ["loop gain G", (one) => gainText(part(one, "gain").value)],
  ["an outside move is multiplied by", (one) => (known(part(one, "gain").amplification) ? part(one, "gain").amplification.toFixed(2) : "n/a")],
  ["net GEX per 1 %", (one) => money(part(one, "exposure").gex_usd_per_pct, { signed: true })],
  ["nearest flip", flipText],
  ...[-5, -1, 1, 5].map((move) => [`dealers at ${moveText(move)} %`, (one) => flowAt(one, move)]),
];
const changed = (document) => {
  const [taken, gain] = [part(document, "assumptions"), part(document, "gain")];
  return `who is short ${plainText(sentences(taken, "rules").join(" | "), 160)}, depth ${known(gain.depth_usd_per_pct) ? `${money(gain.depth_usd_per_pct)} per 1 %` : "not known"}, shock ${gain.move_pct} %, hedged share ${percent(taken.hedge_share, { decimals: 0 })}`;
};
const present = (document, found) => {
  const rows = READ.map(([name, read]) => [name, read(document), read(found)]);
  const made = table({ caption: `As of ${stamp(found.as_of)}`, columns: [{ name: "measure" }, { name: "as shown" }, { name: "what if" }], rows });
  rows.forEach(([, before, after], rank) => { if (before !== after) made.querySelectorAll("tbody tr")[rank].classList.add("other"); });
  byId("what-if-answer").replaceChildren(made);
  show(byId("what-if-answer"), true);
  setText(byId("what-if-words"), `With ${changed(found)}.`);
  announce(`What if: ${regimeName(found).toLowerCase()}, loop gain ${gainText(part(found, "gain").value)}`);
};
