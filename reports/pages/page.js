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

// A table of variants: sorted by a column, filtered and grouped by what its rows differ in, copied as Markdown.
for (const table of document.querySelectorAll("table.answers")) {
  const body = table.tBodies[0];
  const pairs = [...body.rows].filter((row) => row.matches(".line")).map((row) => [row, row.nextElementSibling]);
  const facets = table.dataset.facets.split(" ").filter(Boolean);
  const tools = document.createElement("details");
  tools.className = "tools";
  const state = { column: -1, down: false, group: "", only: {} };

  const make = (tag, text, parent = tools) => {
    const made = document.createElement(tag);
    made.textContent = text;
    parent.append(made);
    return made;
  };
  const list = (label, choices, change) => {
    const named = make("label", `${label} `);
    const select = make("select", "", named);
    for (const choice of ["", ...choices]) make("option", choice || "all", select).value = choice;
    select.addEventListener("change", () => change(select.value));
    return select;
  };
  const shows = (row) => facets.every((facet) => !state.only[facet] || row.dataset[facet] === state.only[facet]);
  const key = (row) => {
    const cell = row.cells[state.column];
    if (state.column === 0) return cell.textContent;
    return cell.dataset.key === "" ? NaN : Number(cell.dataset.key);
  };
  const before = (one, other) => {
    const [a, b] = [key(one[0]), key(other[0])];
    if (typeof a === "string") return a.localeCompare(b) * (state.down ? -1 : 1);
    if (isNaN(a) || isNaN(b)) return isNaN(a) - isNaN(b);
    return (a - b) * (state.down ? -1 : 1);
  };
  const draw = () => {
    const rows = state.column < 0 ? [...pairs] : [...pairs].sort(before);
    const groups = state.group ? [...new Set(pairs.map(([row]) => row.dataset[state.group]))] : [""];
    for (const old of body.querySelectorAll(".group")) old.remove();
    for (const group of groups) {
      const inside = rows.filter(([row]) => !state.group || row.dataset[state.group] === group);
      if (state.group && inside.some(([row]) => shows(row))) {
        const head = make("th", group, make("tr", "", body));
        head.parentElement.className = "group";
        head.colSpan = table.tHead.rows[0].cells.length;
        head.scope = "rowgroup";
      }
      for (const [row, more] of inside) {
        row.hidden = more.hidden = !shows(row);
        body.append(row, more);
      }
    }
  };
  [...table.tHead.rows[0].cells].forEach((head, at) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      state.down = state.column === at && !state.down;
      state.column = at;
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", state.down ? "descending" : "ascending");
      draw();
    });
  });
  make("summary", "Filter, group, copy");
  for (const facet of facets) {
    list(facet, [...new Set(pairs.map(([row]) => row.dataset[facet]))], (value) => {
      state.only[facet] = value;
      draw();
    });
  }
  if (facets.length) {
    list("group by", facets, (value) => {
      state.group = value;
      draw();
    }).options[0].textContent = "nothing";
  }
  const plain = (cell) => {
    const copy = cell.cloneNode(true);
    for (const small of copy.querySelectorAll("small")) small.prepend(" ");
    return copy.textContent.replace(/\s+/g, " ").trim().replace(/[\\|`*_<>[\]]/g, "\\$&");
  };
  const copy = make("button", "Copy as Markdown");
  copy.type = "button";
  copy.addEventListener("click", async () => {
    const rows = [table.tHead.rows[0], ...[...body.querySelectorAll(".line")].filter((row) => !row.hidden)];
    const lines = rows.map((row) => `| ${[...row.cells].map(plain).join(" | ")} |`);
    lines.splice(1, 0, `|${" --- |".repeat(rows[0].cells.length)}`);
    await navigator.clipboard.writeText(`${lines.join("\n")}\n`);
    copy.textContent = "Copied";
  });
  table.closest(".scroll").before(tools);
}

// A link to what is folded opens it; whoever prints everything opens all.
const reveal = () => {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (let at = target; at; at = at.parentElement) if (at.matches("details")) at.open = true;
  target?.scrollIntoView();
};
addEventListener("hashchange", reveal);
reveal();
for (const button of document.querySelectorAll("[data-print]")) {
  button.hidden = false;
  button.addEventListener("click", () => {
    for (const section of document.querySelectorAll("details.section")) section.open = true;
    print();
  });
}
