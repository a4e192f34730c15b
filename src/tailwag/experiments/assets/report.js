"use strict";
(() => {
  const swap = JSON.parse(document.getElementById("palette").textContent);
  const darkScreen = matchMedia("(prefers-color-scheme: dark)");
  const narrow = matchMedia("(max-width: 700px)");
  const printWidths = { 12: 990, 6: 485, 4: 315 };
  const config = { displaylogo: false, responsive: true, modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"], displayModeBar: "hover" };

  // a drawing names light colours only; on a dark screen each is exchanged for its partner
  const dressed = (part) => {
    if (typeof part === "string") return swap[part] || part;
    if (Array.isArray(part)) return part.map(dressed);
    if (part && typeof part === "object") return Object.fromEntries(Object.entries(part).map(([key, value]) => [key, dressed(value)]));
    return part;
  };

  const draw = (place, { print = false } = {}) => {
    const drawing = JSON.parse(document.getElementById(`data-${place.id}`).textContent);
    const { data, layout } = !print && darkScreen.matches ? dressed(drawing) : drawing;
    if (narrow.matches && !print) {
      layout.dragmode = false; // a finger that scrolls the page must not zoom the figure
      layout.font.size = 12;
      if (layout.meta?.narrow_range) layout.xaxis.range = layout.meta.narrow_range;
    }
    if (print) Object.assign(layout, { width: printWidths[place.dataset.span], autosize: false });
    Plotly.react(place, data, layout, config);
    place.dataset.drawn = "yes";
  };

  const places = [...document.querySelectorAll(".figure")];
  const drawn = () => places.filter((place) => place.dataset.drawn);
  const near = new IntersectionObserver((entries) => {
    for (const entry of entries.filter((seen) => seen.isIntersecting && !seen.target.dataset.drawn)) draw(entry.target);
  }, { rootMargin: "800px" });
  places.forEach((place) => near.observe(place));

  // what is near the screen comes first; the rest follows whenever the browser has nothing to do
  const idle = window.requestIdleCallback || ((work) => setTimeout(work, 50));
  const drawNext = () => {
    const next = places.find((place) => !place.dataset.drawn && place.clientWidth > 0);
    if (!next) return;
    draw(next);
    idle(drawNext);
  };
  idle(drawNext);

  const openForPrint = [];
  addEventListener("beforeprint", () => {
    document.querySelectorAll("details.section:not([open])").forEach((fold) => { fold.open = true; openForPrint.push(fold); });
    places.forEach((place) => draw(place, { print: true }));
  });
  addEventListener("afterprint", () => {
    openForPrint.splice(0).forEach((fold) => { fold.open = false; });
    drawn().forEach((place) => { Plotly.purge(place); draw(place); });
  });
  darkScreen.addEventListener("change", () => drawn().forEach((place) => draw(place)));
})();
