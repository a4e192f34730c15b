// Alerts, newest first, and the state of each source.

import { byId, element, show, table } from "./page.js";
import { announce } from "./live.js";
import { known, lasting, percent, plainText, stamp } from "./words.js";

const MOST_ALERTS = 50;
const SEVERITIES = ["info", "warning", "critical"];
const held = new Map();

const keyOf = (alert) => `${alert.id ?? ""} ${alert.at} ${alert.key} ${alert.phase ?? ""}`;
const severityOf = (alert) => (SEVERITIES.includes(alert.severity) ? alert.severity : "info");

const item = (alert) => element("li", { className: `alert ${alert.phase === "cleared" ? "cleared" : severityOf(alert)}` }, [
  element("span", { className: "severity", text: alert.phase === "cleared" ? "over" : severityOf(alert) }),
  element("time", { text: stamp(alert.at), datetime: plainText(alert.at, 40) }),
  element("span", { className: "sentence", text: plainText(alert.sentence, 400) }),
]);
const draw = () => {
  const newest = [...held.values()].reverse().sort((one, other) => String(other.at).localeCompare(String(one.at)));
  newest.slice(2 * MOST_ALERTS).forEach((alert) => held.delete(keyOf(alert)));
  byId("alerts-list").replaceChildren(...newest.slice(0, MOST_ALERTS).map(item));
  show(byId("alerts-none"), newest.length === 0);
  byId("alerts-none").textContent = "No alert so far.";
};

export const showAlerts = (answer) => {
  for (const alert of Array.isArray(answer?.alerts) ? answer.alerts : []) if (alert && typeof alert === "object") held.set(keyOf(alert), alert);
  draw();
};
export const addAlert = (alert) => {
  if (!alert || typeof alert !== "object" || held.has(keyOf(alert))) return;
  held.set(keyOf(alert), alert);
  draw();
  announce(`Alert, ${severityOf(alert)}: ${plainText(alert.sentence, 200)}`);
};
export const alertsUnknown = (message) => {
  show(byId("alerts-none"), held.size === 0);
  byId("alerts-none").textContent = `Alerts could not be read: ${plainText(message, 160)}`;
};

const ageOf = (source) => (known(source.age_s) ? lasting(source.age_s) : "n/a");
const about = (source) => {
  const out = source.quarantined;
  const left = out && known(out.instruments) && out.instruments > 0 ? `${out.instruments} instruments left out (${percent(out.open_interest_share)} of open interest)` : "";
  const reasons = Array.isArray(source.reasons) ? source.reasons.slice(0, 3) : [];
  return [...reasons, left].filter((text) => typeof text === "string" && text).map((text) => plainText(text, 200)).join("; ");
};
export const showSources = (answer) => {
  const rows = (Array.isArray(answer?.sources) ? answer.sources : []).filter((source) => source && typeof source === "object");
  show(byId("sources-none"), rows.length === 0);
  byId("sources-none").textContent = "The server names no source.";
  const columns = ["source", "state", "age", "newest", "about"].map((name) => ({ name }));
  const cells = rows.map((source) => [plainText(source.source ?? source.name, 60), plainText(source.source_state ?? source.state, 24), ageOf(source), source.as_of ? stamp(source.as_of) : "", about(source)]);
  byId("sources-table").replaceChildren(...(rows.length ? [table({ caption: "State of each source", columns, rows: cells, unseen: true })] : []));
};
export const sourcesUnknown = (message) => {
  show(byId("sources-none"), true);
  byId("sources-none").textContent = `Sources could not be read: ${plainText(message, 160)}`;
};
