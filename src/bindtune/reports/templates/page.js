// Files that a reader saves from the page. Nothing here asks a network for anything: a file is made in memory.
"use strict";

/** Offer a file for saving. */
function saveFile(name, content, type) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type }));
  link.download = name.replace(/[^A-Za-z0-9._+-]+/g, "_").slice(0, 120);
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

/** Rows of cells as CSV. A cell that a spreadsheet would run gets an apostrophe; numbers stay as they are. */
function csvText(rows) {
  const cell = (value) => {
    let text = value === null || value === undefined ? "" : String(value);
    const isNumber = /^-?[0-9.,]+(e-?[0-9]+)?$/.test(text);
    if (!isNumber && /^'*[=+\-@\t\r\n\uFF1D\uFF0B\uFF0D\uFF20]/.test(text)) text = "'" + text;
    return /[",\r\n]/.test(text) ? '"' + text.replaceAll('"', '""') + '"' : text;
  };
  return rows.map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n";
}

/** A small button. */
function button(label, action, described) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = label;
  made.setAttribute("aria-label", described || label);
  made.addEventListener("click", action);
  return made;
}

/** An element with a class and a text. */
function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

/** A list to choose from: pairs of value and text. */
function choice(options, action) {
  const made = element("select");
  for (const [value, text] of options) {
    const option = element("option", "", text);
    option.value = value;
    made.append(option);
  }
  made.addEventListener("change", () => action(made.value));
  return made;
}

/** A control with its label. */
function labelled(text, control) {
  const label = element("label", "", "");
  label.append(element("span", "small", text), control);
  return label;
}

/** Every table of the page can be saved as CSV. */
function addTableButtons() {
  for (const figure of document.querySelectorAll("figure.table")) {
    const caption = figure.querySelector("figcaption");
    const rows = () =>
      [...figure.querySelectorAll("tr")].map((row) => [...row.cells].map((cell) => cell.textContent.replaceAll("\u00a0", " ")));
    const bar = element("div", "tools");
    bar.append(button("CSV", () => saveFile(caption.textContent + ".csv", csvText(rows()), "text/csv"),
      "Save the table as CSV: " + caption.textContent));
    figure.append(bar);
  }
}

addTableButtons();
