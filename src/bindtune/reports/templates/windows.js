// All evaluated windows of a run: a table that sorts, filters and searches. Losses come in thousandths of a nat for each masked
// token, -1 where nothing was masked. Names are only ever written as text.
"use strict";

class WindowTable {
  static COLUMNS = [
    ["names", "Window"], ["all_masked", "Masked tokens"], ["all_loss", "Loss"], ["peaks_masked", "Masked in peaks"],
    ["peaks_loss", "Loss in peaks"], ["flanks_masked", "Masked in flanks"], ["flanks_loss", "Loss in flanks"],
  ];

  constructor(root) {
    this.data = JSON.parse(root.querySelector("script").textContent);
    this.host = root.querySelector(".window-table");
    this.state = { query: "", kind: "", column: "", falling: false, page: 0 };
    const search = element("input");
    search.type = "search";
    search.placeholder = "part of a name";
    search.addEventListener("input", () => this.change({ query: search.value.trim().toLowerCase() }));
    const kinds = choice([["", "all"], ["peaks", "with masked tokens in peaks"], ["none", "without masked tokens in peaks"]],
      (kind) => this.change({ kind }));
    root.querySelector(".controls").append(labelled("Search", search), labelled("Windows", kinds));
    this.show();
  }

  change(parts) {
    Object.assign(this.state, { page: 0 }, parts);
    this.show();
  }

  chosen() {
    const { query, kind, column, falling } = this.state;
    const rows = [];
    this.data.names.forEach((name, index) => {
      const inPeaks = this.data.peaks_masked[index] > 0;
      if (kind && inPeaks !== (kind === "peaks")) return;
      if (!query || name.toLowerCase().includes(query)) rows.push(index);
    });
    if (column) {
      const values = this.data[column];
      const compare = column === "names" ? (a, b) => (values[a] < values[b] ? -1 : 1) : (a, b) => values[a] - values[b];
      rows.sort((a, b) => (falling ? -1 : 1) * compare(a, b) || a - b);
    }
    return rows;
  }

  shown(column, index) {
    const value = this.data[column][index];
    if (!column.endsWith("_loss")) return String(value);
    return value < 0 ? "\u2013" : (value / 1000).toFixed(3);
  }

  show() {
    const rows = this.chosen();
    const body = element("tbody");
    for (const index of pageRows(rows, this.state)) {
      const row = element("tr");
      for (const [column] of WindowTable.COLUMNS) {
        const cell = element(column === "names" ? "th" : "td", column === "names" ? "code" : "number", this.shown(column, index));
        if (column === "names") cell.scope = "row";
        row.append(cell);
      }
      body.append(row);
    }
    const head = sortingHead(WindowTable.COLUMNS, this.state, (parts) => this.change(parts), this.host);
    const caption = "Losses in nats, the mean over the window's masked tokens.";
    this.host.replaceChildren(...pagedTable({
      caption, head, body, rows, state: this.state, noun: "windows", more: `, ${this.pooled(rows)}`, show: () => this.show(),
      save: () => this.save(rows),
    }));
  }

  /** Loss of the chosen windows together, beside the masked tokens that it rests on. */
  pooled(rows) {
    let tokens = 0;
    let loss = 0;
    for (const index of rows) {
      const masked = this.data.all_masked[index];
      if (masked) {
        tokens += masked;
        loss += (masked * this.data.all_loss[index]) / 1000;
      }
    }
    if (!tokens) return "no masked tokens";
    return `loss ${(loss / tokens).toFixed(3)} over ${tokens} masked tokens${tokens < 100 ? "; fewer than 100, so it is uncertain" : ""}`;
  }

  save(rows) {
    const heads = WindowTable.COLUMNS.map(([, name]) => name.toLowerCase());
    const cells = rows.map((index) => WindowTable.COLUMNS.map(([column]) => this.shown(column, index)));
    saveFile("windows.csv", csvText([heads, ...cells]), "text/csv");
  }
}

for (const root of document.querySelectorAll(".window-browser")) new WindowTable(root);
