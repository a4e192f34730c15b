// A book of the reader's own: read from a file, priced by the server with each measurement, kept in this page only.

import { ownBook } from "./api.js";
import { announce } from "./live.js";
import { byId, setText, show } from "./page.js";
import { plainText } from "./words.js";

const LARGEST_BYTES = 200_000;
const PAUSE_MS = 5_000;
const held = { text: "", name: "", block: null, of: "", past: false, asked: 0, at: 0 };
let redraw = () => {};

// The block to show for a document: the reader's own where there is one, else what the server was started with.  What was priced live
// a few seconds ago still stands for the newest document, which carries an age; for one of the past it does not.
export const bookOf = (document) => {
  if (!held.text) return document?.my_book ?? null;
  return held.of === document?.as_of || (!held.past && "age_s" in document) ? held.block : null;
};
export const hasOwnBook = () => Boolean(held.text);

export const startOwnBook = (changed) => {
  redraw = changed;
  const file = byId("own-file");
  file.addEventListener("change", () => { if (file.files[0]) read(file.files[0]); file.value = ""; });
  byId("own-remove").addEventListener("click", () => { forget("The book is gone from this page."); byId("own-file").focus(); });
};
const forget = (words) => {
  Object.assign(held, { text: "", name: "", block: null, of: "", asked: held.asked + 1 });
  say(words);
  redraw();
};
const say = (words) => {
  setText(byId("own-words"), words);
  show(byId("own-words"), Boolean(words));
  show(byId("own-remove"), Boolean(held.text));
};
const read = async (file) => {
  if (file.size > LARGEST_BYTES) return say(`${plainText(file.name, 60)} is larger than 200 kB; give a smaller book.`);
  Object.assign(held, { text: await file.text(), name: plainText(file.name, 60), block: null, of: "", at: 0 });
  say(`Pricing ${held.name}…`);
  redraw();
};

// Prices the book with the document shown; with live ones at most every few seconds.
export const priceOwnBook = async (document, { past }) => {
  if (!held.text || !document?.as_of || held.of === document.as_of) return;
  if (!past && performance.now() - held.at < PAUSE_MS) return;
  const [mine, first] = [(held.asked += 1), held.block === null];
  held.at = performance.now();
  try {
    const found = await ownBook(held.text, past ? document.as_of : null);
    if (mine !== held.asked) return;
    Object.assign(held, { block: found.my_book, of: past ? document.as_of : found.as_of, past });
    const unpriced = Array.isArray(found.my_book?.unpriced) ? found.my_book.unpriced.length : 0;
    say(`${held.name}, in this page only${unpriced ? `; ${unpriced} options have no price here` : ""}.`);
    if (first) announce(`${held.name} is priced.`);
    redraw();
  } catch (error) {
    if (mine !== held.asked) return;
    const words = `${held.name} could not be priced: ${plainText(error.message, 240)}.`;
    announce(words);
    if (error.status >= 400 && error.status < 500 && error.status !== 429 && error.status !== 404) forget(words);
    else say(words);
  }
};
