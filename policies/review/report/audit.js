"use strict";
// Search over all rows: each word must stand in the row, in any order. Without this script, everything is shown.
(() => {
  const field = document.getElementById("search");
  const said = document.getElementById("found");
  const rows = [...document.querySelectorAll("tbody tr:not(.heading)")].map((row) => ({
    row,
    text: `${row.dataset.text || ""} ${row.textContent}`.toLowerCase(),
  }));
  const blocks = [...document.querySelectorAll("[data-block], tbody:has(.heading)")].map((block) => ({
    block,
    rows: [...block.querySelectorAll("tbody tr:not(.heading)")],
    nothing: block.querySelector(":scope > .nothing"),
  }));

  const show = () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const { row, text } of rows) {
      row.hidden = !words.every((word) => text.includes(word));
      count += row.hidden ? 0 : 1;
    }
    for (const { block, rows: own, nothing } of blocks) {
      const isEmpty = words.length > 0 && own.every((row) => row.hidden);
      if (nothing) nothing.hidden = !isEmpty;
      else block.hidden = isEmpty;
    }
    said.className = words.length ? "filtered" : "";
    said.textContent = words.length ? `${count} of ${rows.length} rows have: ${words.join(" ")}` : `${rows.length} rows`;
  };

  field.addEventListener("input", show);
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && document.activeElement !== field) {
      event.preventDefault();
      field.focus();
    } else if (event.key === "Escape" && document.activeElement === field) {
      field.value = "";
      show();
    }
  });
  document.getElementById("searching").hidden = false;
  show();
})();
