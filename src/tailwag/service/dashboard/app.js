// Puts the page together: what the server pushes, what the page asks for, and what is shown.

import { alerts, firstAfter, latest, measureAt, setSource, setToken, sources } from "./api.js";
import { regimeName, showAnswer, showChanges, showOwnBook } from "./answer.js";
import { loadDaily, startDaily } from "./daily.js";
import { exposureBlocks } from "./exposures.js";
import { openFeed } from "./feed.js";
import { addBlock, showFigures } from "./figures.js";
import { addToHistory, firstHeld, forgetHistory, loadHistory, showPastBanner, startHistory } from "./history.js";
import { announce, forget, fresh, sawAnswer, sawConnection, sawDocument, sawFrame, sawTrouble, showVerdict } from "./live.js";
import { marketBlocks } from "./market.js";
import { addAlert, alertsUnknown, showAlerts, showSources, sourcesUnknown } from "./notices.js";
import { priceOwnBook, startOwnBook } from "./ownbook.js";
import { byId, element, setText, show } from "./page.js";
import { offerWhatIf, startWhatIf } from "./whatif.js";
import { moment, plainText, price } from "./words.js";

const TICK_MS = 1000;
const POLL_MS = 5000;
const SLOW_MS = 60_000;
const HOUR_MS = 3_600_000;
const RESYNC_MS = 5_000;
const page = { feed: null, source: "", sourceState: "", synced: 0, live: null, past: null, feedOpen: false, fetching: false, again: false, regime: "", before: null, beforeWhy: "", first: null, framed: 0, dailyOf: null, dailyAt: 0 };
const shown = () => page.past ?? page.live;


const render = () => {
  const document = shown();
  if (!document) return;
  show(byId("waiting"), false);
  show(byId("answers"), true);
  show(byId("figures"), true);
  showAnswer(document);
  show(byId("changes"), !page.past);
  if (!page.past) showChanges(document, page.before, page.beforeWhy);
  showPastBanner(page.past, page.live?.as_of);
  showVerdict(Boolean(page.past));
  offerWhatIf(document);
  showFigures(document);
  priceOwnBook(document, { past: Boolean(page.past) });
};

// From the frame that told of a measurement to the picture of it: kept for whoever wants to know (the performance panel, a test).
const timeUpdate = () => {
  if (!page.framed) return;
  const start = page.framed;
  page.framed = 0;
  requestAnimationFrame(() => setTimeout(() => {
    performance.clearMeasures("update");
    performance.measure("update", { start, end: performance.now() });
  }));
};

const took = (measured, asked) => {
  if (page.live && measured.seq < page.live.seq && measured.as_of < page.live.as_of) return; // an answer that came late
  const first = page.live === null;
  if (!first && measured.seq === page.live.seq) return void sawDocument(measured, asked);
  page.live = measured;
  sawDocument(measured, asked);
  const regime = regimeName(measured);
  if (!first && regime !== page.regime) announce(`The regime is now ${regime.toLowerCase()}.`);
  page.regime = regime;
  setTitle(measured, measured.source_state);
  if (page.past) showVerdict(true);
  else {
    render();
    timeUpdate();
  }
  if (first) requestAnimationFrame(() => setTimeout(() => performance.mark("answer")));
  if (first) resync();
  else addToHistory(measured);
};

// One question at a time; frames that come meanwhile ask once more afterwards.
const fetchLatest = async () => {
  if (page.fetching) return void (page.again = true);
  page.fetching = true;
  const asked = fresh();
  try {
    const measured = await latest();
    page.source ||= typeof measured?.monitor_source === "string" ? measured.monitor_source : "";
    if (typeof measured?.as_of === "string") took(measured, asked);
    if (!page.feedOpen) sawAnswer();
    show(byId("token-form"), false);
  } catch (error) {
    sawTrouble(error.message);
    if (error.status === 401 || error.status === 403) show(byId("token-form"), true);
    if (!page.live) setText(byId("waiting-words"), error.status === 401 ? "This server wants a token." : `No measurement yet: ${error.message}.`);
    showVerdict(Boolean(page.past));
  } finally {
    page.fetching = false;
    if (page.again) {
      page.again = false;
      fetchLatest();
    }
  }
};

// Of a market younger than an hour the first measurement.
const measuredBefore = async (at) => {
  const source = page.source;
  const first = page.first ?? (await firstAfter().catch(() => firstHeld()));
  if (source !== page.source) return null; // another source was chosen meanwhile
  if (!first || moment(first) <= moment(at)) {
    page.first = first;
    return measureAt(at);
  }
  return measureAt(first); // asked for again next time: a store may still be filling in what came before
};
const fetchBefore = async () => {
  const [now, source] = [moment(page.live?.as_of), page.source];
  if (!now) return;
  let found;
  try {
    const before = await measuredBefore(new Date(now.getTime() - HOUR_MS).toISOString());
    found = before?.as_of && before.as_of !== page.live?.as_of ? [before, ""] : [null, "There is only one measurement so far."];
  } catch (error) {
    found = [null, error.status === 404 ? "Nothing was measured an hour ago." : `Not known: ${error.message}.`];
  }
  if (source !== page.source) return;
  [page.before, page.beforeWhy] = found;
  if (!page.past && page.live) showChanges(page.live, page.before, page.beforeWhy);
};
const fetchSources = () => sources().then((answer) => { showSources(answer); offerSources(answer); }, (error) => sourcesUnknown(error.message));
const fetchNotices = () => Promise.all([alerts().then(showAlerts, (error) => alertsUnknown(error.message)), fetchSources()]);
// The index grows by a day a day, and may cost the server a while: it is asked for last, and seldom.
const fetchDaily = () => {
  if (page.live && (page.dailyOf !== page.source || performance.now() - page.dailyAt > HOUR_MS / 2)) {
    Object.assign(page, { dailyOf: page.source, dailyAt: performance.now() });
    return loadDaily(page.live.currency);
  }
  return null;
};
// After a start, a reconnection or a missed frame nothing that was held is taken for complete.
const resync = () => {
  page.synced = performance.now();
  return page.live && Promise.all([loadHistory(page.live.as_of).then(fetchBefore), fetchNotices()]).then(fetchDaily);
};
// A busy server leaves measurements out all the time: the past is asked for again once in a while, not for each of them.
const resyncSoon = () => { if (performance.now() - page.synced > RESYNC_MS) resync(); };

const offerSources = (answer) => {
  const names = (Array.isArray(answer?.sources) ? answer.sources : []).map((one) => one?.source).filter((name) => typeof name === "string");
  const choice = byId("source-choice");
  show(byId("source-label"), names.length > 1);
  if ([...choice.options].map((option) => option.value).join("\n") !== names.join("\n")) choice.replaceChildren(...names.map((name) => element("option", { value: name, text: plainText(name, 40) })));
  if (names.includes(page.source)) choice.value = page.source;
};
const chooseSource = (name) => {
  setSource(name);
  Object.assign(page, { source: name, live: null, past: null, before: null, first: null });
  forgetHistory();
  forget();
  fetchLatest();
};

// The page shows one source; frames of the others are not its business, alerts of all of them are.
const isOurs = (frame) => {
  if (typeof frame.source !== "string") return true;
  page.source ||= frame.source;
  return frame.source === page.source;
};
const onFrame = (frame, { missed }) => {
  if (frame.type === "alert") addAlert(frame);
  if (!isOurs(frame)) return;
  const stateChanged = frame.source_state !== page.sourceState;
  page.sourceState = frame.source_state;
  sawFrame(frame);
  const newer = Number.isSafeInteger(frame.seq) && frame.seq > 0 && (!page.live || frame.seq > page.live.seq);
  if (newer && !document.hidden) page.framed = performance.now();
  if (document.hidden) setTitle(frame.summary, frame.source_state);
  else if (newer || missed) fetchLatest();
  if (missed) resyncSoon();
  if (stateChanged) fetchSources();
  showVerdict(Boolean(page.past));
};
const setTitle = (found, state) => {
  const name = regimeName({ gain: found?.gain });
  document.title = `${state === "ok" || state === "degraded" ? name : `Not live: ${name}`}, ${plainText(page.live?.currency ?? "", 12)} ${price(found?.spot_usd)} · tailwag`;
};

const startBlocks = () => {
  const sections = { ...exposureBlocks, ...marketBlocks };
  for (const [name, list] of Object.entries(sections)) list.forEach((block) => addBlock(byId(`${name}-blocks`), block));
  startHistory({
    past: (document) => { page.past = document; render(); },
    live: () => { if (page.past) { page.past = null; render(); } },
  });
  startDaily();
};

const start = () => {
  startBlocks();
  startWhatIf(shown);
  startOwnBook(() => { const document = shown(); if (document) { showOwnBook(document); priceOwnBook(document, { past: Boolean(page.past) }); } });
  byId("token-form").addEventListener("submit", (event) => {
    event.preventDefault();
    setToken(byId("token").value.trim());
    byId("token").value = "";
    fetchLatest();
    page.feed.again();
  });
  byId("source-choice").addEventListener("change", (event) => chooseSource(event.target.value));
  byId("past-banner-back").addEventListener("click", () => byId("back-to-live").click());
  fetchLatest();
  page.feed = openFeed({
    frame: onFrame,
    opened: ({ again }) => { page.feedOpen = true; sawConnection(true); if (again || page.live) fetchLatest(); if (again && page.live) resync(); },
    closed: () => { page.feedOpen = false; sawConnection(false); showVerdict(Boolean(page.past)); },
  });
  setInterval(() => showVerdict(Boolean(page.past)), TICK_MS);
  setInterval(() => { if (!page.feedOpen) fetchLatest(); }, POLL_MS);
  setInterval(() => { if (page.live && !document.hidden) { fetchBefore(); fetchNotices(); loadHistory(page.live.as_of); fetchDaily(); } }, SLOW_MS);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) fetchLatest(); });
};

start();
