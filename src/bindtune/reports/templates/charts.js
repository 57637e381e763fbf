// Charts: values under the pointer, zoom, and files. The drawing stands in the page, and its values beside it as JSON.
"use strict";

const SVG = "http://www.w3.org/2000/svg";

/** A drawing with a tip under the pointer, and buttons that save it. */
class Drawing {
  constructor(figure) {
    this.figure = figure;
    this.drawing = figure.querySelector(".drawing");
    this.svg = figure.querySelector("svg");
    this.values = JSON.parse(this.drawing.querySelector("script").textContent);
    this.title = figure.querySelector("figcaption").textContent;
    this.tip = element("div", "tip");
    this.tip.hidden = true;
    this.drawing.append(this.tip);
  }

  /** Place of the pointer in units of the drawing. */
  pointer(event) {
    const box = this.svg.getBoundingClientRect();
    const scale = this.svg.viewBox.baseVal.width / box.width;
    return [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
  }

  /** Show a name and a text below a place of the drawing. */
  showTip(name, text, [x, y]) {
    const { width, height } = this.svg.viewBox.baseVal;
    this.tip.replaceChildren(element("b", "", name), element("span", "", text));
    this.tip.hidden = false;
    this.tip.style.left = `${Math.min(62, (100 * x) / width)}%`;
    this.tip.style.top = `${(100 * (y + 12)) / height}%`;
  }

  hideTip() {
    this.tip.hidden = true;
  }

  /** A row of buttons below the drawing: those given, and those that save it. */
  addButtons(...first) {
    const title = this.title;
    const bar = element("div", "tools");
    bar.append(
      ...first,
      button("SVG", () => saveFile(title + ".svg", this.standalone(), "image/svg+xml"), `Save as SVG: ${title}`),
      button("PNG", () => this.savePng(), `Save as PNG: ${title}`),
      button("CSV", () => saveFile(title + ".csv", csvText(this.rows()), "text/csv"), `Save the values as CSV: ${title}`),
    );
    this.figure.append(bar);
  }

  /** The drawing as a file of its own: colours in place of the page's variables, a title and a text. */
  standalone() {
    const copy = this.svg.cloneNode(true);
    const page = getComputedStyle(document.documentElement);
    const colour = (text) => text.replace(/var\((--[a-z0-9-]+)\)/g, (_, name) => page.getPropertyValue(name).trim());
    for (const node of copy.querySelectorAll("*")) {
      for (const attribute of node.attributes) attribute.value = colour(attribute.value);
    }
    const style = svgNode("style", {}, colour(
      "text { font: 12px sans-serif; fill: var(--soft); } .point-note { font-size: 10.5px; } .grid path { stroke: var(--grid); }" +
      " .heat-map text { font-size: 8px; } .frame-line { fill: none; stroke: var(--soft); } .zoomed .point-note, .mark-point, .zoom-frame { display: none; }"));
    const { width, height } = this.svg.viewBox.baseVal;
    const ground = svgNode("rect", { width, height, fill: page.getPropertyValue("--paper").trim() });
    const text = this.drawing.getAttribute("aria-label") || this.title;
    copy.prepend(svgNode("title", {}, this.title), svgNode("desc", {}, text), style, ground);
    copy.setAttribute("width", width);
    copy.setAttribute("height", height);
    copy.setAttribute("role", "img");
    return new XMLSerializer().serializeToString(copy);
  }

  savePng() {
    const { width, height } = this.svg.viewBox.baseVal;
    const image = new Image();
    image.onload = () => {
      const canvas = document.createElement("canvas");
      canvas.width = width * 3;
      canvas.height = height * 3;
      canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
      canvas.toBlob((blob) => saveFile(this.title + ".png", blob, "image/png"));
    };
    image.src = "data:image/svg+xml;charset=utf-8," + encodeURIComponent(this.standalone());
  }
}

/**
 * Curves, points or spans. Data attributes of the drawing say where the plot lies (box: left top right bottom) and which
 * values its edges have (limits: x low, x high, y low, y high).
 */
class PlotChart extends Drawing {
  constructor(figure) {
    super(figure);
    [this.left, this.top, this.right, this.bottom] = this.svg.dataset.box.split(" ").map(Number);
    this.whole = this.svg.dataset.limits.split(" ").map(Number);
    this.limits = [...this.whole];
    this.curves = this.svg.querySelector(".curves");
    this.grid = this.svg.querySelector(".grid");
    this.firstGrid = [...this.grid.childNodes].map((node) => node.cloneNode(true));
    this.mark = svgNode("circle", { r: "5", class: "mark-point", style: "display: none" });
    this.frame = svgNode("rect", { class: "zoom-frame", style: "display: none" });
    this.svg.append(this.mark, this.frame);
    this.addPointer();
    this.addButtons(
      button("+", () => this.zoomBy(0.5), `Zoom in: ${this.title}`),
      button("\u2212", () => this.zoomBy(2), `Zoom out: ${this.title}`),
      button("Whole", () => this.zoom(this.whole), `Show the whole chart: ${this.title}`),
    );
  }

  /** Place of a value in the drawing. */
  place(x, y) {
    const [xLow, xHigh, yLow, yHigh] = this.limits;
    return [
      this.left + ((x - xLow) / (xHigh - xLow)) * (this.right - this.left),
      this.bottom - ((y - yLow) / (yHigh - yLow)) * (this.bottom - this.top),
    ];
  }

  /** Value at a place of the drawing. */
  valueAt([px, py]) {
    const [xLow, xHigh, yLow, yHigh] = this.limits;
    return [
      xLow + ((px - this.left) / (this.right - this.left)) * (xHigh - xLow),
      yLow + ((this.bottom - py) / (this.bottom - this.top)) * (yHigh - yLow),
    ];
  }

  /** Place of the pointer, inside the plot. */
  pointer(event) {
    const [x, y] = super.pointer(event);
    return [Math.min(this.right, Math.max(this.left, x)), Math.min(this.bottom, Math.max(this.top, y))];
  }

  addPointer() {
    let start = null;
    this.svg.addEventListener("pointermove", (event) => {
      const here = this.pointer(event);
      if (start) this.drawFrame(start, here);
      else this.showNearest(here);
    });
    this.svg.addEventListener("pointerleave", () => {
      if (!start) this.hideTip();
    });
    this.svg.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || event.pointerType === "touch") return; // a finger scrolls the page
      start = this.pointer(event);
      this.svg.setPointerCapture(event.pointerId);
      event.preventDefault();
    });
    this.svg.addEventListener("pointerup", (event) => {
      if (!start) return;
      const end = this.pointer(event);
      if (Math.abs(end[0] - start[0]) > 8 && Math.abs(end[1] - start[1]) > 8) {
        const [a, b] = [this.valueAt(start), this.valueAt(end)];
        this.zoom([Math.min(a[0], b[0]), Math.max(a[0], b[0]), Math.min(a[1], b[1]), Math.max(a[1], b[1])]);
      }
      start = null;
      this.frame.style.display = "none";
    });
    this.svg.addEventListener("dblclick", () => this.zoom(this.whole));
  }

  drawFrame(one, other) {
    this.hideTip();
    this.frame.style.display = "";
    this.frame.setAttribute("x", Math.min(one[0], other[0]));
    this.frame.setAttribute("y", Math.min(one[1], other[1]));
    this.frame.setAttribute("width", Math.abs(one[0] - other[0]));
    this.frame.setAttribute("height", Math.abs(one[1] - other[1]));
  }

  showNearest(here) {
    let best = null;
    for (const curve of this.values.curves) {
      curve.x.forEach((x, index) => {
        if (x === null || curve.y[index] === null) return;
        const place = this.place(x, curve.y[index]);
        const inside = place[0] >= this.left - 1 && place[0] <= this.right + 1 &&
          place[1] >= this.top - 1 && place[1] <= this.bottom + 1;
        const distance = Math.hypot(place[0] - here[0], place[1] - here[1]);
        if (inside && (!best || distance < best.distance)) best = { distance, place, curve, index };
      });
    }
    if (!best || best.distance > 40) return this.hideTip();
    const { curve, index } = best;
    const number = (value) => Number(value.toPrecision(4)).toLocaleString("en-US", { maximumFractionDigits: 6 });
    const parts = [`${this.values.x}: ${number(curve.x[index])}`];
    if (this.values.y) parts.push(`${this.values.y}: ${number(curve.y[index])}`);
    if (curve.ends) parts.push(`interval ${curve.ends.map(number).join(" to ")}`);
    if (curve.notes && curve.notes[index]) parts.push(curve.notes[index]);
    this.showTip(curve.name, parts.join(", "), best.place);
    this.mark.style.display = "";
    this.mark.setAttribute("cx", best.place[0]);
    this.mark.setAttribute("cy", best.place[1]);
  }

  hideTip() {
    super.hideTip();
    this.mark.style.display = "none";
  }

  /** Show other limits: the curves are moved and stretched, lines and points keep their width. */
  zoom(limits) {
    if (!(limits[1] - limits[0] > 1e-9) || !(limits[3] - limits[2] > 1e-9)) return;
    this.limits = [...this.whole];
    const [x0, y0] = this.place(limits[0], limits[2]);
    const [x1, y1] = this.place(limits[1], limits[3]);
    const sx = (this.right - this.left) / (x1 - x0);
    const sy = (this.bottom - this.top) / (y0 - y1);
    this.limits = [...limits];
    const isWhole = limits.every((value, index) => value === this.whole[index]);
    this.curves.setAttribute("transform",
      isWhole ? "" : `matrix(${sx} 0 0 ${sy} ${this.left - sx * x0} ${this.bottom - sy * y0})`);
    this.curves.classList.toggle("zoomed", !isWhole);
    if (isWhole) this.grid.replaceChildren(...this.firstGrid.map((node) => node.cloneNode(true)));
    else this.drawTicks();
    this.hideTip();
  }

  drawTicks() {
    const [xLow, xHigh, yLow, yHigh] = this.limits;
    const nodes = [];
    for (const value of roundValues(xLow, xHigh)) {
      const [x] = this.place(value.number, yLow);
      nodes.push(svgNode("path", { d: `M ${x} ${this.bottom} V ${this.top}` }));
      nodes.push(svgNode("text", { x, y: this.bottom + 16, "text-anchor": "middle" }, value.text));
    }
    for (const value of this.svg.dataset.ticks === "1" ? roundValues(yLow, yHigh) : []) {
      const [, y] = this.place(xLow, value.number);
      nodes.push(svgNode("path", { d: `M ${this.left} ${y} H ${this.right}` }));
      nodes.push(svgNode("text", { x: this.left - 6, y: y + 4, "text-anchor": "end" }, value.text));
    }
    this.grid.replaceChildren(...nodes);
  }

  /** Zoom about the middle of what is shown. */
  zoomBy(factor) {
    const [xLow, xHigh, yLow, yHigh] = this.limits;
    const [xMiddle, yMiddle] = [(xLow + xHigh) / 2, (yLow + yHigh) / 2];
    const [x, y] = [((xHigh - xLow) / 2) * factor, ((yHigh - yLow) / 2) * factor];
    const next = [xMiddle - x, xMiddle + x, yMiddle - y, yMiddle + y];
    const outside = next[1] - next[0] >= this.whole[1] - this.whole[0];
    this.zoom(outside ? this.whole : next);
  }

  /** The values as rows of a table. */
  rows() {
    const { x, y, curves } = this.values;
    const hasNotes = curves.some((curve) => curve.notes);
    const hasEnds = curves.some((curve) => curve.ends);
    if (hasEnds) return [["name", x, "low", "high"], ...curves.map((curve) => [curve.name, curve.x[0], ...curve.ends])];
    const rows = [["curve", x, y, ...(hasNotes ? ["note"] : [])]];
    for (const curve of curves) {
      curve.x.forEach((value, index) =>
        rows.push([curve.name, value, curve.y[index], ...(hasNotes ? [(curve.notes || [])[index]] : [])]));
    }
    return rows;
  }
}

/** Changes by residue and substitution: the values lay out the cells from the left and top edge, all of one size. */
class HeatMap extends Drawing {
  constructor(figure) {
    super(figure);
    this.svg.addEventListener("pointermove", (event) => this.showCell(this.pointer(event)));
    this.svg.addEventListener("pointerleave", () => this.hideTip());
    this.addButtons();
  }

  showCell([x, y]) {
    const { left, top, cell, first, letters, substitutions, changes } = this.values;
    const column = Math.floor((x - left) / cell);
    const row = Math.floor((y - top) / cell);
    const residue = letters[column];
    const substitution = substitutions[row];
    if (!residue || !substitution) return this.hideTip();
    const place = [left + (column + 0.5) * cell, top + (row + 0.5) * cell];
    const change = changes[column][row];
    if (change !== null) {
      const number = (change < 0 ? "\u2212" : "+") + Math.abs(change).toFixed(4);
      this.showTip(`${residue}${first + column}${substitution}`, `change of the probability: ${number}`, place);
    } else if (residue === substitution) this.showTip(`${residue}${first + column}`, "the protein's own residue", place);
    else this.hideTip();
  }

  /** The values as rows of a table. */
  rows() {
    const { first, letters, substitutions, changes } = this.values;
    const cells = changes.flatMap((column, index) =>
      column.map((change, row) => [first + index, letters[index], substitutions[row], change]));
    return [["position", "residue", "substitution", "change"], ...cells.filter((cell) => cell[3] !== null)];
  }
}

function svgNode(name, attributes, text) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  return node;
}

/** About five round values in a range, with their texts. */
function roundValues(low, high) {
  const rough = (high - low) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough / 1.6);
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const values = [];
  for (let index = Math.ceil(low / step - 1e-9); index * step <= high + step * 1e-9; index += 1) {
    const number = index * step;
    values.push({ number, text: digits > 4 ? number.toExponential(1) : number.toFixed(digits) });
  }
  return values;
}

for (const figure of document.querySelectorAll("figure.chart")) {
  if (figure.querySelector("svg.heat-map")) new HeatMap(figure);
  else new PlotChart(figure);
}
