// What the server pushes: a WebSocket that reconnects by itself, and says when a frame was missed.

import { streamAddress, streamProtocols } from "./api.js";

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15_000;
const LONGEST_SILENCE_MS = 15_000;
const LARGEST_FRAME = 2_000_000;

const readFrame = (data) => {
  if (typeof data !== "string" || data.length > LARGEST_FRAME) return null;
  try {
    const frame = JSON.parse(data);
    return frame && typeof frame === "object" && typeof frame.type === "string" ? frame : null;
  } catch {
    return null;
  }
};

// handlers: frame(frame, { missed }), opened({ again }), closed(). Returns how to try again at once and how to end.
export const openFeed = (handlers) => {
  let socket = null;
  let wait = FIRST_WAIT_MS;
  const lastSeq = new Map();
  let opened = 0;
  let silence = 0;
  let retry = 0;
  let ended = false;

  const listen = () => {
    clearTimeout(silence);
    silence = setTimeout(() => socket && socket.close(4000, "silent"), LONGEST_SILENCE_MS);
  };
  const reconnect = () => {
    clearTimeout(silence);
    clearTimeout(retry);
    handlers.closed();
    // a little chance in the waiting time, so that a thousand pages do not come back at once
    if (!ended) retry = setTimeout(connect, wait * (0.7 + 0.6 * Math.random()));
    wait = Math.min(LONGEST_WAIT_MS, wait * 2);
  };
  const receive = (event) => {
    listen();
    const frame = readFrame(event.data);
    if (!frame) return;
    wait = FIRST_WAIT_MS;
    const seq = Number.isSafeInteger(frame.seq) ? frame.seq : null;
    const last = lastSeq.get(frame.source);
    // a heartbeat or an alert may only repeat the last number; a measurement may also be the next one
    const missed = seq !== null && last !== undefined && seq !== last && !(frame.type === "measure" && seq === last + 1);
    if (seq !== null) lastSeq.set(frame.source, seq);
    handlers.frame(frame, { missed });
  };
  const connect = () => {
    let here;
    try {
      here = new WebSocket(streamAddress(), streamProtocols());
    } catch {
      reconnect();
      return;
    }
    socket = here;
    listen();
    here.addEventListener("open", () => { opened += 1; handlers.opened({ again: opened > 1 }); });
    here.addEventListener("message", receive);
    here.addEventListener("close", () => { if (socket === here) { socket = null; reconnect(); } });
  };

  connect();
  const again = () => { if (!socket && !ended) { clearTimeout(retry); wait = FIRST_WAIT_MS; connect(); } };
  addEventListener("online", again);
  return { again, end: () => { ended = true; clearTimeout(retry); if (socket) socket.close(1000, "done"); } };
};
