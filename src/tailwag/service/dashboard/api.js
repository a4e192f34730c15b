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

const ask = async (path, parameters = {}) => {
  const query = new URLSearchParams(Object.entries(parameters).filter(([, value]) => value !== null && value !== undefined));
  const address = `${API}${path}${query.size ? `?${query}` : ""}`;
  const headers = { accept: "application/json", ...(token ? { authorization: `Bearer ${token}` } : {}) };
  let answer;
  try {
    answer = await fetch(address, { headers, cache: "no-store", credentials: "same-origin", signal: AbortSignal.timeout(15_000) });
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
export const alerts = () => ask("/alerts");
export const sources = () => ask("/sources");

// Every point of a field, page after page.
export const history = async (field, from, to) => {
  const points = [];
  let start = from;
  for (let page = 0; page < 20 && start; page += 1) {
    const answer = await ask("/history", { field, from: start, to, ...ours() });
    const found = Array.isArray(answer.points) ? answer.points.filter((point) => point && typeof point.as_of === "string") : [];
    points.push(...found.filter((point) => !points.length || point.as_of > points.at(-1).as_of));
    start = typeof answer.next === "string" && answer.next > start ? answer.next : null;
  }
  return points;
};
