// What the tables of proteins and of windows share: heads that sort, and pages.
"use strict";

const PAGE_ROWS = 25;

/** The head of a table whose columns sort. The first column is a name, all others are numbers. */
function sortingHead(columns, state, change, host) {
  const row = element("tr");
  columns.forEach(([column, name], place) => {
    const cell = element("th", place ? "number" : "");
    cell.scope = "col";
    const isSorted = state.column === column;
    cell.setAttribute("aria-sort", isSorted ? (state.falling ? "descending" : "ascending") : "none");
    const sort = button(name + (isSorted ? (state.falling ? " \u25BC" : " \u25B2") : ""), () => {
      change({ column, falling: isSorted ? !state.falling : place > 0 });
      host.querySelector(`[data-column="${column}"]`).focus();
    }, `Sort by ${name}`);
    sort.dataset.column = column;
    cell.append(sort);
    row.append(cell);
  });
  const head = element("thead");
  head.append(row);
  return head;
}

/** The rows of the page that `state` names; the page is moved to where there are rows. */
function pageRows(rows, state) {
  state.page = Math.min(state.page, Math.max(0, Math.ceil(rows.length / PAGE_ROWS) - 1));
  return rows.slice(state.page * PAGE_ROWS, (state.page + 1) * PAGE_ROWS);
}

/** A table that can be scrolled sideways, with its caption, and what turns its pages and saves it. */
function pagedTable({ caption, head, body, rows, state, noun, more, show, save }) {
  const table = element("table");
  table.append(element("caption", "small", caption), head, body);
  const scroll = element("div", "scroll");
  scroll.tabIndex = 0;
  scroll.setAttribute("role", "region");
  scroll.setAttribute("aria-label", `Table of ${noun}`);
  scroll.append(table);
  const move = (step) => {
    state.page += step;
    show();
  };
  const start = state.page * PAGE_ROWS;
  const end = Math.min(start + PAGE_ROWS, rows.length);
  const back = button("Previous", () => move(-1), `Previous page of ${noun}`);
  const next = button("Next", () => move(1), `Next page of ${noun}`);
  back.disabled = state.page === 0;
  next.disabled = end >= rows.length;
  const count = element("span", "count", `${rows.length ? `${start + 1} to ${end} of ${rows.length}` : "0"} ${noun}${more}`);
  count.setAttribute("role", "status");
  const pager = element("div", "tools");
  pager.append(back, next, count, button("CSV", save, `Save the chosen ${noun} as CSV`));
  return [scroll, pager];
}
