// All proteins of a run: a table that sorts, filters and searches, and the part of one protein with its sequence.
//
// The page holds, for each ion, figures of each protein (columns of equal length) and, for all residues, one byte a residue
// and ion: the level of the probability, the number of levels added where the residue binds, 255 where its label is not known.
// `edges` has the lower end of each level; level 0 stands for a probability of 0, the last one for 1. Residues are packed with zlib in chunks of some proteins: first the letters of
// all proteins of the chunk, then their bytes for the first ion, and so on. Names are only ever written as text.
"use strict";

class ProteinBrowser {
  static ROW = 60;
  static FEW = 100;

  constructor(root) {
    this.root = root;
    this.data = JSON.parse(root.querySelector("script.values").textContent);
    this.state = { ion: 0, query: "", kind: this.data.labelled ? "sites" : "", fold: "", column: "", falling: false, page: 0 };
    this.chunks = new Map();
    this.open = null; // the protein that is shown
    this.tableHost = root.querySelector(".protein-table");
    this.partHost = root.querySelector(".protein-part");
    this.structure = new StructureView(root,
      (position) => (position <= this.cells.length ? this.residue(position - 1) : null),
      (position) => this.choose(position - 1, true));
    this.buildControls();
    this.showTable();
    addEventListener("hashchange", () => this.followLink());
    this.followLink();
  }

  get levelCount() {
    return this.ion.edges.length;
  }

  /** The probability that a level stands for. */
  probability(level) {
    return (level / (this.levelCount - 1)).toFixed(2);
  }

  get ion() {
    return this.data.ions[this.state.ion];
  }

  // The table

  buildControls() {
    const bar = this.root.querySelector(".controls");
    this.search = element("input");
    this.search.type = "search";
    this.search.placeholder = "part of a name";
    this.search.addEventListener("input", () => this.change({ query: this.search.value.trim().toLowerCase() }));
    this.ionChoice = choice(this.data.ions.map((ion, index) => [String(index), ion.name]), (value) => {
      this.change({ ion: Number(value) });
      if (this.open !== null) this.openProtein(this.open);
    });
    const kinds = this.data.labelled
      ? [["sites", "with sites"], ["missed", "with missed sites"], ["false", "with false calls"], ["", "all with labels"]]
      : [["", "all"], ["false", "with calls"]];
    this.kindChoice = choice(kinds, (value) => this.change({ kind: value }));
    const folds = [...new Set(this.data.folds)].sort((a, b) => a - b);
    this.foldChoice = choice([["", "all"], ...folds.map((fold) => [String(fold), String(fold)])],
      (value) => this.change({ fold: value }));
    bar.append(labelled("Ion", this.ionChoice), labelled("Search", this.search), labelled("Proteins", this.kindChoice));
    if (this.data.labelled) bar.append(labelled("Fold", this.foldChoice));
  }

  change(parts) {
    Object.assign(this.state, { page: 0 }, parts);
    this.showTable();
  }

  static COLUMNS = [
    ["name", "Protein"], ["fold", "Fold"], ["residues", "Labelled residues"], ["sites", "Sites"], ["hits", "Sites found"],
    ["false", "False calls"], ["precision", "Average precision"],
  ];

  static UNLABELLED_COLUMNS = [
    ["name", "Protein"], ["residues", "Residues"], ["false", "Called residues"], ["highest", "Highest probability"],
  ];

  get columns() {
    return this.data.labelled ? ProteinBrowser.COLUMNS : ProteinBrowser.UNLABELLED_COLUMNS;
  }

  value(column, index) {
    if (column === "name") return this.data.names[index];
    if (column === "fold") return this.data.folds[index];
    return this.ion.table[column][index];
  }

  chosen() {
    const { query, kind, fold, column, falling } = this.state;
    const table = this.ion.table;
    const rows = [];
    for (let index = 0; index < this.data.names.length; index += 1) {
      if (!table.residues[index]) continue;
      if (kind === "sites" && !table.sites[index]) continue;
      if (kind === "missed" && table.sites[index] <= table.hits[index]) continue;
      if (kind === "false" && !table.false[index]) continue;
      if (fold && String(this.data.folds[index]) !== fold) continue;
      if (query && !this.data.names[index].toLowerCase().includes(query)) continue;
      rows.push(index);
    }
    if (column) {
      const sign = falling ? -1 : 1;
      const compare = column === "name"
        ? (a, b) => (this.data.names[a] < this.data.names[b] ? -1 : 1)
        : (a, b) => this.value(column, a) - this.value(column, b);
      rows.sort((a, b) => sign * compare(a, b) || a - b);
    }
    return rows;
  }

  showTable() {
    const rows = this.chosen();
    const body = element("tbody");
    for (const index of pageRows(rows, this.state)) body.append(this.tableRow(index));
    const caption = this.ion.level === null
      ? `${this.ion.name}: there is no threshold, so nothing is called.`
      : `${this.ion.name}: called from a probability of ${this.ion.threshold} on.`;
    const head = sortingHead(this.columns, this.state, (parts) => this.change(parts), this.tableHost);
    this.tableHost.replaceChildren(...pagedTable({
      caption, head, body, rows, state: this.state, noun: "proteins", more: "", show: () => this.showTable(),
      save: () => this.saveTable(rows),
    }));
  }

  tableRow(index) {
    const row = element("tr", index === this.open ? "open" : "");
    for (const [column] of this.columns) {
      if (column === "name") {
        const cell = element("th");
        cell.scope = "row";
        const link = element("a", "", this.data.names[index]);
        link.href = this.link(index);
        cell.append(link);
        row.append(cell);
      } else {
        row.append(element("td", "number", this.shown(column, index)));
      }
    }
    return row;
  }

  shown(column, index) {
    const value = this.value(column, index);
    if (column === "highest") return (value / 1000).toFixed(3);
    if (column === "precision") return value < 0 ? "\u2013" : (value / 1000).toFixed(3);
    return String(value);
  }

  saveTable(rows) {
    const heads = ["ion", ...this.columns.map(([, name]) => name.toLowerCase())];
    const cells = rows.map((index) => [this.ion.name, ...this.columns.map(([column]) => this.shown(column, index))]);
    saveFile(`proteins_${this.ion.name}.csv`, csvText([heads, ...cells]), "text/csv");
  }

  // Links

  link(index) {
    return "#" + new URLSearchParams({ protein: this.data.names[index], ion: this.ion.name });
  }

  followLink() {
    const link = new URLSearchParams(location.hash.slice(1));
    if (!link.has("protein")) return;
    const ion = this.data.ions.findIndex((each) => each.name === link.get("ion"));
    const protein = this.data.names.indexOf(link.get("protein"));
    if (ion >= 0 && ion !== this.state.ion) {
      this.ionChoice.value = String(ion);
      this.change({ ion });
    }
    if (protein >= 0) this.openProtein(protein, true);
    else this.partHost.replaceChildren(element("p", "notice", `The table has no protein ${link.get("protein")}.`));
  }

  // One protein

  /** Letters and bytes of a protein; null where the page had no room for them. */
  async residues(index) {
    const { first, chunks, lengths } = this.data;
    let chunk = first.findLastIndex((start) => start <= index);
    const end = chunk + 1 < first.length ? first[chunk + 1] : this.data.shown;
    if (chunk < 0 || index >= end) return null;
    if (!this.chunks.has(chunk)) this.chunks.set(chunk, await unpack(chunks[chunk]));
    const bytes = this.chunks.get(chunk);
    let before = 0;
    let total = 0;
    for (let protein = first[chunk]; protein < end; protein += 1) {
      if (protein < index) before += lengths[protein];
      total += lengths[protein];
    }
    const part = (block) => bytes.subarray(block * total + before, block * total + before + lengths[index]);
    return { letters: new TextDecoder("ascii").decode(part(0)), levels: part(1 + this.state.ion) };
  }

  async openProtein(index, scrolls = false) {
    this.open = index;
    const residues = await this.residues(index);
    if (this.open !== index) return; // another one was opened meanwhile
    const heading = element("h3", "", `${this.data.names[index]}: ${this.ion.name}`);
    heading.tabIndex = -1;
    if (!residues) {
      this.partHost.replaceChildren(heading, element("p", "notice", "The page has no room for this protein's residues."));
      return;
    }
    const structure = await this.structure.open(index, this.data.names[index]);
    if (this.open !== index) return;
    this.protein = { index, ...residues };
    const bar = element("div", "controls");
    this.slider = element("input");
    this.slider.type = "range";
    this.slider.min = 0;
    this.slider.max = this.levelCount;
    this.slider.value = this.ion.level === null ? this.levelCount : this.ion.level;
    this.slider.addEventListener("input", () => this.recount());
    const label = labelled("Threshold", this.slider);
    this.thresholdText = element("output", "count");
    label.append(this.thresholdText);
    bar.append(label, button("The run's threshold", () => {
      this.slider.value = this.ion.level === null ? this.levelCount : this.ion.level;
      this.recount();
    }), button("CSV", () => this.saveProtein(), "Save the residues as CSV"));
    this.counts = element("ul", "counts");
    this.counts.setAttribute("aria-live", "polite");
    this.chosenResidue = element("p", "small", "Click a residue, or move with the arrow keys, to read its probability.");
    this.chosenResidue.setAttribute("role", "status");
    this.marks = element("ul", "marks");
    this.partHost.replaceChildren(heading, element("p", "small", this.facts(index)), bar, this.counts, this.legend(),
      this.sequence(), this.chosenResidue, ...(structure ? [structure] : []), this.marks);
    this.recount();
    this.showTable();
    if (scrolls) {
      this.partHost.scrollIntoView({ block: "start" });
      heading.focus({ preventScroll: true });
    }
  }

  facts(index) {
    const table = this.ion.table;
    if (!this.data.labelled) {
      return `${table.residues[index]} residues, ${table.false[index]} called, highest probability ` +
        `${this.shown("highest", index)}. Positions count from 1; probabilities are rounded to ${this.probability(1)}.`;
    }
    return `${table.residues[index]} labelled residues, ${table.sites[index]} sites, fold ${this.data.folds[index]}, ` +
      `average precision ${this.shown("precision", index)}. Positions count from 1; probabilities are rounded to ` +
      `${this.probability(1)}.`;
  }

  legend() {
    const list = element("ul", "legend small");
    const kinds = this.data.labelled
      ? [["hit", "site, called"], ["missed", "site, not called"], ["false", "called, no site"], ["unknown", "label not known"]]
      : [["called", "called"]];
    for (const [kind, text] of kinds) {
      const item = element("li");
      item.append(element("span", `residue ${kind}`, kind === "unknown" ? "?" : "C"), " ", text);
      list.append(item);
    }
    list.append(element("li", "", "The darker the ground, the higher the probability."));
    return list;
  }

  sequence() {
    const host = element("div", "sequence scroll");
    host.tabIndex = 0;
    host.setAttribute("role", "group");
    host.setAttribute("aria-label", "Sequence in rows of 60 residues; arrow keys choose a residue");
    this.cells = [];
    const { letters } = this.protein;
    for (let start = 0; start < letters.length; start += ProteinBrowser.ROW) {
      const line = element("div", "line");
      line.append(element("span", "from", String(start + 1)));
      const end = Math.min(letters.length, start + ProteinBrowser.ROW);
      for (let place = start; place < end; place += 1) {
        const cell = element("span", "residue", letters[place]);
        cell.dataset.place = place;
        this.cells.push(cell);
        line.append(cell);
      }
      line.append(element("span", "to", String(end)));
      host.append(line);
    }
    host.addEventListener("click", (event) => {
      if (event.target.dataset.place !== undefined) this.choose(Number(event.target.dataset.place));
    });
    host.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: ProteinBrowser.ROW, ArrowUp: -ProteinBrowser.ROW }[event.key];
      if (!step) return;
      event.preventDefault();
      const next = this.place === null ? 0 : this.place + step;
      if (next >= 0 && next < this.cells.length) this.choose(next);
    });
    this.place = null;
    return host;
  }

  /** What a residue's byte says. */
  residue(place) {
    const byte = this.protein.levels[place];
    const isKnown = byte !== 255;
    const isSite = isKnown && byte >= this.levelCount;
    const level = isSite ? byte - this.levelCount : byte;
    const isCalled = isKnown && level >= Number(this.slider.value);
    const calledKind = !this.data.labelled ? "called" : isSite ? "hit" : "false";
    const kind = !isKnown ? "unknown" : isCalled ? calledKind : isSite ? "missed" : "";
    const share = level / (this.levelCount - 1);
    return { isKnown, isSite, isCalled, level, share, kind, name: this.protein.letters[place] + (place + 1) };
  }

  /** Show what is known of a residue, here and in the structure. */
  choose(place, isFromStructure = false) {
    if (place >= this.cells.length) return;
    if (this.place !== null) this.cells[this.place].classList.remove("chosen");
    this.place = place;
    this.cells[place].classList.add("chosen");
    this.describeChosen();
    if (isFromStructure) this.cells[place].scrollIntoView({ block: "nearest", inline: "nearest" });
    else this.structure.focus(place + 1);
  }

  describeChosen() {
    const residue = this.residue(this.place);
    const site = this.data.labelled ? `${residue.isSite ? "a site" : "no site"}, ` : "";
    const inStructure = this.structure.nameOf(this.place + 1);
    this.chosenResidue.textContent = (residue.isKnown
      ? `${residue.name}: probability ${this.probability(residue.level)}, ${site}${residue.isCalled ? "called" : "not called"}`
      : `${residue.name}: its label is not known, and it has no probability here`) +
      (inStructure ? `; ${inStructure} in the structure` : "");
  }

  recount() {
    const threshold = Number(this.slider.value);
    const text = threshold >= this.levelCount ? "above 1" : String(Number(this.ion.edges[threshold].toFixed(4)));
    this.thresholdText.textContent = text + (threshold === this.ion.level ? " (the run's)" : "");
    this.slider.setAttribute("aria-valuetext", text);
    const own = { hit: 0, missed: 0, false: 0, called: 0 };
    const marks = [];
    this.cells.forEach((cell, place) => {
      const residue = this.residue(place);
      cell.className = `residue ${residue.kind}${place === this.place ? " chosen" : ""}`;
      if (residue.isKnown) cell.style.setProperty("--share", `${100 * this.probability(residue.level)}%`);
      cell.title = residue.isKnown ? `${residue.name} ${this.probability(residue.level)} ${residue.kind}` : `${residue.name}: not known`;
      if (residue.kind && residue.isKnown) {
        own[residue.kind] += 1;
        if (marks.length < 200) marks.push([residue.kind, residue.name, this.probability(residue.level)]);
      }
    });
    const sum = (values) => values.slice(threshold).reduce((total, value) => total + value, 0);
    const all = { hit: sum(this.ion.sites), false: sum(this.ion.others) };
    all.missed = this.ion.sites.reduce((total, value) => total + value, 0) - all.hit;
    if (this.data.labelled) {
      this.counts.replaceChildren(
        element("li", "", `This protein: ${rates(own)}`),
        element("li", "", `All proteins of the run, ${this.ion.name}: ${rates(all)}`));
    } else {
      const residues = this.ion.others.reduce((total, value) => total + value, 0);
      this.counts.replaceChildren(
        element("li", "", `This protein: ${own.called} of ${this.cells.length} residues called`),
        element("li", "", `All proteins of the page, ${this.ion.name}: ${all.false} of ${residues} residues called`));
    }
    this.marks.replaceChildren(...marks.map(([kind, name, probability]) => {
      const item = element("li", kind);
      item.append(element("b", "", name), ` ${probability} `, element("i", "", kind));
      return item;
    }));
    if (this.place !== null) this.describeChosen();
    this.structure.draw();
  }

  saveProtein() {
    const { labelled } = this.data;
    const rows = [["protein", "ion", "position", "residue", ...(labelled ? ["label"] : []), "probability", "called"]];
    this.cells.forEach((_, place) => {
      const residue = this.residue(place);
      const figures = residue.isKnown
        ? [...(labelled ? [Number(residue.isSite)] : []), this.probability(residue.level), Number(residue.isCalled)]
        : [...(labelled ? ["?"] : []), "", ""];
      rows.push([this.data.names[this.protein.index], this.ion.name, place + 1, this.protein.letters[place], ...figures]);
    });
    saveFile(`${this.data.names[this.protein.index]}_${this.ion.name}.csv`, csvText(rows), "text/csv");
  }
}

/** Precision and recall with the counts that they rest on. */
function rates({ hit, missed, false: wrong }) {
  const rate = (part, whole) => (whole ? `${(part / whole).toFixed(2)} (${part} of ${whole})` : "not defined (0 of 0)");
  const few = Math.min(hit + wrong, hit + missed) < ProteinBrowser.FEW ? "; fewer than 100, so it is uncertain" : "";
  return `precision ${rate(hit, hit + wrong)}, recall ${rate(hit, hit + missed)}${few}`;
}

/** Bytes of a chunk: base64, then zlib. */
async function unpack(text) {
  const packed = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

for (const root of document.querySelectorAll(".protein-browser")) new ProteinBrowser(root);
