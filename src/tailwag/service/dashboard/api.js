// The service's own API: one origin, no other address is ever asked.

const API = "/api/v1";
let token = "";
let source = "";

export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}
export const setToken = (given) => { token = given; };
// The source whose numbers are asked for; empty means the first one.
export const setSource = (given) => { source = given; };
export const streamAddress = () => `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}${API}/stream`;
export const streamProtocols = () => (token ? ["tailwag.v1", `bearer.${token}`] : []);

const ask = async (path, parameters = {}, sent = null) => {
  const query = new URLSearchParams(Object.entries(parameters).filter(([, value]) => value !== null && value !== undefined));
  const address = `${API}${path}${query.size ? `?${query}` : ""}`;
  const headers = { accept: "application/json", ...(token ? { authorization: `Bearer ${token}` } : {}) };
  let answer;
  try {
    if (sent !== null) headers["content-type"] = "text/csv";
    answer = await fetch(address, { method: sent === null ? "GET" : "POST", body: sent, headers, cache: "no-store", credentials: "same-origin", signal: AbortSignal.timeout(15_000) });
  } catch {
    throw new ApiError(0, "the server does not answer");
  }
  const body = await answer.json().catch(() => null);
  if (!answer.ok) throw new ApiError(answer.status, reasonIn(body) || `the server answered ${answer.status}`);
  if (body === null) throw new ApiError(answer.status, "the server answered with no JSON");
  return body;
};

const reasonIn = (body) => {
  const found = body && (body.error ?? body.detail);
  return typeof found === "string" ? found.slice(0, 300) : "";
};

const ours = () => ({ source: source || null });
export const latest = () => ask("/measure/latest", ours());
export const measureAt = (at) => ask("/measure", { at, ...ours() });
// The same snapshot under other assumptions; what is null stays as the server has it.
export const whatIf = (assumptions, at) => ask("/whatif", { ...assumptions, at, ...ours() });
export const ownBook = (text, at) => ask("/book", { at, ...ours() }, text);
export const alerts = () => ask("/alerts");
export const sources = () => ask("/sources");

const MOST_POINTS = 1500;
const MOST_PAGES = 12;
const pointsOf = (answer) => (Array.isArray(answer.points) ? answer.points.filter((point) => point && Number.isFinite(Date.parse(point.as_of))) : []);
// The time of the first measurement at or after a moment (of the very first, where none is given), null where there is none.
export const firstAfter = async (from = null) => pointsOf(await ask("/history", { field: "spot_usd", from, limit: 1, ...ours() }))[0]?.as_of ?? null;
// The points of a field in a span: no more than a screen has room for, no spike lost.
export const history = async (field, from, to) => {
  const answer = await ask("/history", { field, from, to, most: MOST_POINTS, ...ours() });
  const every = answer.thinned?.every_s;
  return Object.assign(pointsOf(answer), { everyMs: Number.isFinite(every) ? 1000 * every : 0 }); // points so far apart may be neighbours
};

// The days of the index, page after page.
export const dailyIndex = async (currency) => {
  const [days, found] = [[], { definition: {} }];
  for (let [from, asked] = [null, 0]; asked < MOST_PAGES; asked += 1) {
    const answer = await ask("/index", { currency, from, ...ours() });
    found.definition = answer.definition ?? {};
    days.push(...(Array.isArray(answer.days) ? answer.days.filter((day) => day && typeof day === "object") : []));
    if (typeof answer.next !== "string" || answer.next === from) break;
    from = answer.next;
  }
  return { ...found, days };
};
