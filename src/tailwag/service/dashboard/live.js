// Is what the page shows live? One verdict, worked out again each second, from the document shown and what the server says of it.

import { byId, element, setText, show } from "./page.js";
import { clock, known, lasting, moment, percent, plainText, stamp } from "./words.js";

const LONGEST_LAG_S = 5; // a measurement that the server announced and the page could not fetch
const LONGEST_LOSS_S = 3; // without a connection
const SLACK_S = 2; // for the way, beyond the age that the server allows
const NAMES = { waiting: "Waiting", live: "Live", degraded: "Degraded", stale: "Stale", lost: "No contact", past: "Past" };

export const fresh = () => ({ at: performance.now(), wall: Date.now() });
// The longer of two clocks: one stands still while a machine sleeps, the other can be set.
const since = (mark) => Math.max(0, performance.now() - mark.at, Date.now() - mark.wall) / 1000;

const facts = { document: null, age: null, frame: null, framed: null, connected: false, contact: null, lag: null, trouble: "" };
let told = "";

const takeAge = (given, mark) => { facts.age = { seconds: known(given) && given > 0 ? given : 0, mark }; };

// A whole document came, asked for at `asked`: its age counts on from then.  A frame that came meanwhile knows more of the source than it.
export const sawDocument = (document, asked) => {
  const overtaken = facts.framed && facts.framed.at > asked.at;
  if (!overtaken || document.seq !== facts.frame.seq) takeAge(document.age_s, asked);
  facts.document = document;
  facts.contact = fresh();
  facts.trouble = "";
  if (facts.frame?.seq === document.seq) facts.lag = null;
  if (overtaken || (facts.frame && facts.frame.seq > document.seq)) return;
  const { seq, source_state, max_age_s, quarantined, reasons } = document;
  facts.frame = { ...facts.frame, ...given({ seq, source_state, max_age_s, quarantined, reasons }) };
  facts.lag = null;
};
const given = (fields) => Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));

export const sawFrame = (frame) => {
  facts.contact = fresh();
  if (!("source_state" in frame)) return;
  facts.frame = { ...facts.frame, ...frame };
  facts.framed = fresh();
  const newer = facts.document && frame.seq > facts.document.seq;
  if (facts.document && frame.seq === facts.document.seq && known(frame.age_s)) takeAge(frame.age_s, fresh());
  if (!newer) facts.lag = null;
  else if (!facts.lag) facts.lag = fresh();
};
export const sawConnection = (connected) => {
  if (connected) facts.contact = fresh();
  facts.connected = connected;
};
export const sawTrouble = (message) => { facts.trouble = message; };
// An answer to any question is contact too: without a WebSocket the page asks instead.
export const sawAnswer = () => { facts.contact = fresh(); };
export const forget = () => Object.assign(facts, { document: null, age: null, frame: null, framed: null, lag: null });

const age = () => (facts.age ? facts.age.seconds + since(facts.age.mark) : 0);
const why = () => {
  const reasons = Array.isArray(facts.frame?.reasons) ? facts.frame.reasons : [];
  return reasons.length ? `; ${plainText(reasons[0], 160)}` : "";
};

// "since" names a time so long ago by this clock too; of another day's market (a replay) the date is named, and the age is that of its arrival.
const SAME_CLOCK_S = 90;
const toldAt = (document, from) => {
  if (!from) return `since ${plainText(document.as_of, 40)}, `;
  const apart = Math.abs((Date.now() - from) / 1000 - age());
  return apart <= SAME_CLOCK_S ? `since ${clock(from)} UTC, ` : `as of ${stamp(document.as_of)}, received `;
};

// The verdict: { state, detail }. Whatever is not known to be good is not live.
export const verdict = () => {
  const { document, frame } = facts;
  if (!document) return { state: facts.trouble && !facts.connected ? "lost" : "waiting", detail: facts.trouble || "for the first measurement" };
  const from = moment(document.as_of);
  const left = `${toldAt(document, from)}${lasting(age())} ago`;
  if (!facts.connected && (!facts.contact || since(facts.contact) > LONGEST_LOSS_S)) return { state: "lost", detail: left };
  if (facts.lag && since(facts.lag) > LONGEST_LAG_S) return { state: "stale", detail: `${left}; the newest measurement could not be fetched${facts.trouble ? `: ${plainText(facts.trouble, 120)}` : ""}` };
  const limit = frame?.max_age_s;
  if (frame?.source_state === "stale") return { state: "stale", detail: `${left}${why()}` };
  if (known(limit) && age() > limit + SLACK_S) return { state: "stale", detail: `${left}; at most ${lasting(limit)} are expected` };
  if (frame?.source_state === "degraded") return { state: "degraded", detail: `${lasting(age())} old${leftOut()}` };
  return frame?.source_state === "ok" ? { state: "live", detail: `${lasting(age())} old` } : { state: "stale", detail: `${left}; the server does not say how good its source is` };
};

const leftOut = () => {
  const { instruments, open_interest_share: share } = facts.frame?.quarantined ?? {};
  return known(instruments) && instruments > 0 ? `; ${instruments} instruments (${percent(share)} of open interest) left out` : why();
};

const BANNERS = {
  stale: "These numbers are not live.",
  lost: "These numbers are not live: the connection is gone and is tried again.",
};

// Writes the verdict; everything that carries a number follows the state through the style sheet.  A past measurement is never called live.
export const showVerdict = (past) => {
  const { state, detail } = verdict();
  setText(byId("live-name"), NAMES[past ? "past" : state]);
  const words = past ? `chosen below; the feed: ${NAMES[state].toLowerCase()}, ${detail}` : detail;
  setText(byId("live-detail"), words);
  byId("live-detail").title = words.length > 60 ? words : ""; // a long one is cut off after two lines
  document.body.dataset.live = state;
  document.body.dataset.past = past ? "yes" : "no";
  const banner = facts.document && !past ? BANNERS[state] ?? "" : "";
  show(byId("stale-banner"), Boolean(banner));
  setText(byId("stale-words"), banner ? `${banner} They stand as of ${stamp(facts.document.as_of)}.` : "");
  if (told !== state) {
    if (told) announce(`${NAMES[state]}: ${detail}`);
    told = state;
  }
};

// One polite region for everything that a listener must hear: changes of state and of regime, and alerts; what is told at once is told together.
let telling = [];
export const announce = (text) => {
  telling.push(plainText(text, 300));
  if (telling.length === 1) queueMicrotask(() => byId("announcements").replaceChildren(...telling.splice(0).map((words) => element("p", { text: words }))));
};
