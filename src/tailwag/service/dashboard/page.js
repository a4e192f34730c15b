// Building the page: elements and tables made of text nodes only, so that no text of a venue can become markup.

import { plainText } from "./words.js";

export const byId = (id) => document.getElementById(id);

export const element = (name, { className = "", text = null, ...attributes } = {}, children = []) => {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== null) made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) if (value !== null && value !== undefined) made.setAttribute(key, value);
  made.append(...children.filter(Boolean));
  return made;
};

// Text that has not changed is not touched: screen readers and selections stay undisturbed.
export const setText = (place, text) => {
  if (place && place.textContent !== text) place.textContent = text;
};
export const show = (place, visible) => {
  if (place.hidden === visible) place.hidden = !visible;
};

// Looking things up in a document that may lack anything.
export const part = (document, ...path) => {
  let here = document;
  for (const key of path) here = here && typeof here === "object" ? here[key] : undefined;
  return here && typeof here === "object" && !Array.isArray(here) ? here : {};
};
export const records = (document, ...path) => {
  const rows = part(document, ...path.slice(0, -1))[path.at(-1)];
  return Array.isArray(rows) ? rows.filter((row) => row && typeof row === "object") : [];
};
export const sentences = (document, key) => {
  const rows = part(document)[key];
  return Array.isArray(rows) ? rows.filter((row) => typeof row === "string" && row) : [];
};

// A table with a caption, scrollable by keyboard; a column is { name, number }.
export const table = ({ caption, columns, rows, most = 400, unseen = false }) => {
  if (!rows.length) return element("p", { className: "none", text: "No numbers yet." });
  const head = element("tr", {}, columns.map(({ name, number }) => element("th", { scope: "col", className: number ? "number" : "", text: name })));
  const body = rows.slice(0, most).map((cells) =>
    element("tr", {}, cells.map((cell, rank) => {
      const className = columns[rank]?.number ? "number" : "";
      return rank === 0 ? element("th", { scope: "row", className, text: plainText(cell) }) : element("td", { className, text: plainText(cell) });
    })));
  const cut = rows.length > most ? ` (the first ${most} of ${rows.length})` : "";
  const made = element("table", {}, [element("caption", {}, [element("span", { className: unseen ? "unseen" : "", text: `${caption}${cut}` })]), element("thead", {}, [head]), element("tbody", {}, body)]);
  return element("div", { className: "scroll", tabindex: "0", role: "region", "aria-label": caption }, [made]);
};
