"use strict";
// Everything here only rearranges what the page says already: without it a reader misses nothing.

// One metric at a time, chosen from a list, in place of one folded table for each.
for (const choice of document.querySelectorAll("[data-metrics]")) {
  const tables = [...choice.parentElement.querySelectorAll("details[data-metric]")];
  const select = choice.querySelector("select");
  const show = () => {
    for (const table of tables) {
      table.hidden = table.dataset.metric !== select.value;
      table.open = true;
    }
  };
  select.addEventListener("change", show);
  choice.hidden = false;
  show();
}
