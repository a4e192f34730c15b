// Numbers, times and texts as a trader reads them; whatever is unknown is "n/a", never NaN.

export const UNKNOWN = "n/a";
const MINUS = "\u2212";
const STEPS = [[1e12, "tn"], [1e9, "bn"], [1e6, "m"], [1e3, "k"], [1, ""]];
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

export const known = (value) => typeof value === "number" && Number.isFinite(value);
export const orNull = (value) => (known(value) ? value : null);

const threeFigures = (size) => {
  if (size === 0) return "0";
  if (size < 0.9995) return size.toFixed(Math.max(0, Math.min(6, 2 - Math.floor(Math.log10(size) + 1e-9))));
  return size.toFixed(size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2);
};

export const compact = (value, { signed = false, prefix = "" } = {}) => {
  if (!known(value)) return UNKNOWN;
  const size = Math.abs(value);
  const [divisor, suffix] = STEPS.find(([step]) => size >= step * 0.9995) || STEPS[4];
  const body = threeFigures(size / divisor);
  const nothing = Number(body) === 0;
  return `${nothing ? "" : value < 0 ? MINUS : signed ? "+" : ""}${prefix}${body}${suffix}`;
};
export const money = (value, { signed = false } = {}) => compact(value, { signed, prefix: "$" });
export const coins = (value, currency) => (known(value) ? `${compact(value)} ${plainText(currency || "coin", 8)}` : "");

export const price = (value) => {
  if (!known(value)) return UNKNOWN;
  const size = Math.abs(value);
  const decimals = size >= 1000 ? 0 : size >= 10 ? 2 : 4;
  const body = size.toLocaleString("en-US", { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
  return `${value < 0 ? MINUS : ""}$${body}`;
};

export const percent = (fraction, { signed = false, decimals = 1 } = {}) => {
  if (!known(fraction)) return UNKNOWN;
  const size = Math.abs(fraction) * 100;
  if (size === 0) return "0 %";
  const sign = fraction < 0 ? MINUS : signed ? "+" : "";
  const least = 10 ** -decimals;
  if (size >= least / 2) return `${sign}${size.toFixed(decimals)} %`;
  return size < least / 20 ? `under ${(least / 10).toFixed(decimals + 1)} %` : `${sign}${size.toFixed(decimals + 1)} %`;
};

export const gainText = (value) => {
  if (!known(value)) return UNKNOWN;
  const body = Math.abs(value).toFixed(Math.abs(value) < 0.1 ? 3 : 2);
  return Number(body) === 0 ? body : `${value < 0 ? MINUS : "+"}${body}`;
};
export const moveText = (move) => (move === 0 ? "0" : `${move > 0 ? "+" : MINUS}${Math.abs(move)}`);

// Text of others: printable and of bounded length. It only ever reaches the page as text nodes.
export const plainText = (text, most = 300) => {
  if (text === null || text === undefined || typeof text === "object") return UNKNOWN;
  const shown = String(text).slice(0, 4 * most).replace(/[\p{C}\u2028\u2029]/gu, "");
  return shown.length <= most ? shown : `${shown.slice(0, most - 1)}…`;
};
// Figures read a small HTML of their own: there the markup is made harmless as well.
export const inert = (text, most = 40) =>
  plainText(text, most).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;").replace(/%\{/g, "% {");

export const moment = (text) => {
  const found = typeof text === "string" && /^\d{4}-\d{2}-\d{2}T.*(Z|[+-]\d{2}:?\d{2})$/.test(text) ? new Date(text) : null;
  return found && Number.isFinite(found.getTime()) ? found : null;
};
// Times of the server count microseconds, more than a Date holds: the moment so many microseconds after one.
export const later = (text, microseconds) => {
  const [, whole, fraction, zone] = /^([^.]*?)(?:\.(\d+))?(Z|[+-]\d{2}:?\d{2})$/.exec(text) ?? [];
  if (!whole) return null;
  const count = BigInt(Date.parse(`${whole}${zone}`)) * 1000n + BigInt((fraction ?? "").padEnd(6, "0").slice(0, 6)) + BigInt(microseconds);
  const rest = String(((count % 1_000_000n) + 1_000_000n) % 1_000_000n).padStart(6, "0");
  return `${new Date(Number(count / 1000n)).toISOString().slice(0, 19)}.${rest}Z`;
};
const two = (value) => String(value).padStart(2, "0");
export const clock = (date) => `${two(date.getUTCHours())}:${two(date.getUTCMinutes())}:${two(date.getUTCSeconds())}`;
export const shortClock = (date) => clock(date).slice(0, 5);
export const day = (date, { year = false } = {}) =>
  `${date.getUTCDate()} ${MONTHS[date.getUTCMonth()]}${year ? ` ${two(date.getUTCFullYear() % 100)}` : ""}`;
export const stamp = (text) => {
  const when = moment(text);
  return when ? `${day(when, { year: true })} ${clock(when)} UTC` : plainText(text, 40);
};
// As short as it can be understood next to `now`: the time alone on the same day.
export const nearStamp = (text, now) => {
  const [when, other] = [moment(text), moment(now)];
  if (!when) return plainText(text, 40);
  const sameDay = other && when.toISOString().slice(0, 10) === other.toISOString().slice(0, 10);
  return sameDay ? `${shortClock(when)} UTC` : `${day(when)} ${shortClock(when)} UTC`;
};
// Days of several times; the year where they span more than one, the hour where a day comes twice.
export const shortDates = (texts) => {
  const moments = texts.map(moment);
  const year = new Set(moments.filter(Boolean).map((when) => when.getUTCFullYear())).size > 1;
  const days = moments.map((when, row) => (when ? day(when, { year }) : plainText(texts[row], 24)));
  return days.map((name, row) => (moments[row] && days.indexOf(name) !== days.lastIndexOf(name) ? `${name} ${shortClock(moments[row])}` : name));
};
export const lasting = (seconds) => {
  if (!known(seconds)) return UNKNOWN;
  const size = Math.max(0, seconds);
  if (size < 90) return `${Math.round(size)} s`;
  if (size < 5400) return `${Math.round(size / 60)} min`;
  if (size < 172800) return `${(size / 3600).toFixed(1)} h`;
  return `${(size / 86400).toFixed(1)} d`;
};
