// The structure of the open protein. It is coloured by the probability of the chosen ion; sites and calls are sticks.
//
// The page holds atoms of each protein packed: a line of JSON, which has what the structure calls the residue of each
// position, then a text in PDB format. A scene (MolViewSpec) is made of it, which Mol* draws and a reader can save. Mol* is
// unpacked when the first structure is opened.
"use strict";

class StructureView {
  static WITHOUT = "#bdbdbd"; // a residue without probability

  /**
   * @param root the part of the page that holds structures and viewer
   * @param residueOf what the page says of the residue of a position, null where it says nothing
   * @param choose called with the position of a residue that was clicked
   */
  constructor(root, residueOf, choose) {
    const values = root.querySelector("script.structures");
    this.data = values ? JSON.parse(values.textContent) : { entries: {} };
    this.packed = { script: root.querySelector("script.viewer"), style: root.querySelector("script.viewer-style") };
    this.residueOf = residueOf;
    this.choose = choose;
    this.isShown = false;
    this.drawing = Promise.resolve();
    this.host = element("div", "scene");
    this.host.setAttribute("role", "group");
    this.status = element("p", "small");
    this.status.setAttribute("role", "status");
  }

  /** The part of the page that shows the structure of a protein; null where there is none. */
  async open(index, name) {
    const entry = this.data.entries[index];
    this.entry = null;
    if (!entry) return null;
    const text = new TextDecoder().decode(await unpack(entry.atoms));
    const end = text.indexOf("\n");
    this.entry = { index, name, names: JSON.parse(text.slice(0, end)), atoms: text.slice(end + 1) };
    const part = element("div", "structure");
    const bar = element("div", "controls");
    if (this.packed.script && !this.isShown) {
      const show = button("Show the structure", () => {
        this.isShown = true;
        show.remove();
        part.prepend(this.host);
        this.draw();
      });
      bar.append(show);
    }
    bar.append(button("Scene for Mol* (.mvsj)", () => saveFile(`${name}.mvsj`, JSON.stringify(this.scene()), "application/json")));
    this.status.textContent = `Chain ${entry.chain} of ${entry.file}. Grey to orange: probability from 0 to 1. Sticks: sites and calls.`;
    this.host.setAttribute("aria-label", `Structure of ${name}; a click on a residue chooses it`);
    if (this.isShown) part.append(this.host);
    part.append(bar, this.status);
    if (this.isShown) this.draw();
    return part;
  }

  /** What the structure calls the residue of a position; empty where it does not show it. */
  nameOf(position) {
    return (this.entry && this.entry.names[position]) || "";
  }

  /** Draw the scene again, after ion or threshold have changed. */
  draw() {
    if (!this.isShown || !this.entry) return;
    const { entry } = this;
    clearTimeout(this.waiting); // a slider that moves asks many times
    this.waiting = setTimeout(() => {
      this.drawing = this.drawing.then(() => this.load(entry)).catch((error) => {
        this.status.textContent = `The browser cannot draw the structure: ${error.message || error}`;
      });
    }, this.viewer ? 150 : 0);
  }

  async load(entry) {
    if (entry !== this.entry) return; // another protein was opened meanwhile
    if (!this.viewer) await this.start();
    const keepCamera = this.drawn === entry.index;
    const options = { replaceExisting: true, keepCamera, sanityChecks: false };
    const paper = getComputedStyle(document.documentElement).getPropertyValue("--paper").trim();
    await this.viewer.loadMvsData(JSON.stringify(this.scene(paper)), "mvsj", options);
    this.drawn = entry.index;
    this.host.dataset.drawn = entry.name;
  }

  async start() {
    const text = async (packed) => new TextDecoder().decode(await unpack(packed.textContent));
    const style = element("style", "", await text(this.packed.style));
    const script = element("script", "", await text(this.packed.script));
    document.head.append(style, script);
    const hidden = ["layoutIsExpanded", "layoutShowControls", "layoutShowRemoteState", "layoutShowSequence", "layoutShowLog",
      "layoutShowLeftPanel", "viewportShowExpand", "viewportShowControls", "viewportShowSettings",
      "viewportShowSelectionMode", "viewportShowAnimation", "viewportShowTrajectoryControls", "viewportShowReset",
      "viewportShowScreenshotControls", "viewportShowToggleFullscreen"];
    this.viewer = await globalThis.molstar.Viewer.create(this.host, Object.fromEntries(hidden.map((name) => [name, false])));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
    const { StructureElement, StructureProperties } = globalThis.molstar.lib.structure;
    this.viewer.plugin.behaviors.interaction.click.subscribe(({ current }) => {
      if (!StructureElement.Loci.is(current.loci) || StructureElement.Loci.isEmpty(current.loci)) return;
      const location = StructureElement.Loci.getFirstLocation(current.loci);
      if (StructureProperties.chain.auth_asym_id(location) !== this.data.chain) return; // an ion or a ligand
      const position = StructureProperties.residue.auth_seq_id(location);
      this.host.dataset.residue = position;
      this.choose(position);
    });
  }

  /** Show a residue that was chosen elsewhere. */
  async focus(position) {
    await this.drawing;
    if (!this.viewer || !this.nameOf(position)) return;
    this.host.dataset.residue = position;
    const elements = { auth_asym_id: this.data.chain, auth_seq_id: position };
    this.viewer.structureInteractivity({ action: "select" }); // nothing is selected any more
    this.viewer.structureInteractivity({ elements, action: ["select", "focus"] });
  }

  /** The scene, in MolViewSpec, on a ground of a colour; without one, the program that opens it chooses. */
  scene(ground) {
    const { chain, others, colours } = this.data;
    const selector = (position) => ({ auth_asym_id: chain, auth_seq_id: position });
    const byColour = new Map();
    const sticks = [];
    for (const position of Object.keys(this.entry.names).map(Number)) {
      const residue = this.residueOf(position);
      const colour = residue && residue.isKnown ? colours[Math.round(residue.share * (colours.length - 1))] : StructureView.WITHOUT;
      if (!byColour.has(colour)) byColour.set(colour, []);
      byColour.get(colour).push(selector(position));
      if (residue && residue.kind && residue.isKnown) sticks.push(selector(position));
    }
    const node = (kind, params, children) => ({ kind, params, ...(children && children.length ? { children } : {}) });
    const look = (part, type, ofColours) => node("component", { selector: part }, [node("representation", { type }, ofColours)]);
    const shades = [...byColour].map(([color, own]) => node("color", { color, selector: own }));
    const parts = [look({ auth_asym_id: chain }, "cartoon", shades)];
    if (sticks.length) parts.push(look(sticks, "ball_and_stick", shades));
    if (this.entry.atoms.includes("HETATM")) {
      parts.push(look({ auth_asym_id: others }, "spacefill", [node("color", { color: "#6a51a3" })]));
    }
    const url = `data:text/plain;base64,${btoa(this.entry.atoms)}`;
    const model = node("structure", { type: "model" }, parts);
    const root = node("download", { url }, [node("parse", { format: "pdb" }, [model])]);
    const canvas = ground ? [node("canvas", { background_color: ground })] : [];
    return { metadata: { version: "1", title: this.entry.name }, root: { kind: "root", children: [root, ...canvas] } };
  }
}
