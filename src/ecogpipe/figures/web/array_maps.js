// Maps of the array: a square for each site, all maps marked alike.

import { numbers, quantile, siteName, written } from "./decode.js";
import { colourOf, colourTable, onColoursChange, pageColour } from "./colours.js";
import { choose, chooseNext, chosenSite, onChoice, siteAt } from "./selection.js";
import { onPlan, plannedFor, toggle, toggleAll, undo } from "./decisions.js";

const { rows, columns, keep, kinds, origins, grid, pitch_mm: pitch } = numbers.sites;
const MARGIN = { left: 30, top: 18, right: 4, bottom: 20 };
const KEPT = "#cfe0ec";
const [nRows, nColumns] = grid;
const cellWidth = Math.max(5, Math.min(30, Math.floor(270 / Math.max(nRows, nColumns))));
const cellHeight = pitch ? Math.max(5, Math.round((cellWidth * pitch[0]) / pitch[1])) : cellWidth;
const width = MARGIN.left + nColumns * cellWidth + MARGIN.right;
const height = MARGIN.top + nRows * cellHeight + MARGIN.bottom;
const maps = [];

function cellAt(event, canvas) {
  const box = canvas.getBoundingClientRect();
  const column = Math.floor((event.clientX - box.left - MARGIN.left) / cellWidth);
  const row = Math.floor((event.clientY - box.top - MARGIN.top) / cellHeight);
  return { row, column };
}

function corner(site) {
  return [MARGIN.left + columns[site] * cellWidth, MARGIN.top + rows[site] * cellHeight];
}

function cross(context, x, y, colour) {
  const inset = Math.min(cellWidth, cellHeight) / 4;
  for (const [ink, line] of [["#ffffff", 3], [colour, 1.4]]) {
    context.strokeStyle = ink;
    context.lineWidth = Math.min(line, cellWidth / 5);
    context.beginPath();
    context.moveTo(x + inset, y + inset);
    context.lineTo(x + cellWidth - inset, y + cellHeight - inset);
    context.moveTo(x + cellWidth - inset, y + inset);
    context.lineTo(x + inset, y + cellHeight - inset);
    context.stroke();
  }
}

function drawAxes(context) {
  context.fillStyle = pageColour("quiet");
  context.font = "10px system-ui, sans-serif";
  context.textBaseline = "middle";
  const columnStep = Math.ceil(18 / cellWidth);
  const rowStep = Math.ceil(12 / cellHeight);
  context.textAlign = "center";
  for (let column = 0; column < nColumns; column += columnStep) {
    context.fillText(column, MARGIN.left + (column + 0.5) * cellWidth, MARGIN.top - 8);
  }
  context.textAlign = "right";
  for (let row = 0; row < nRows; row += rowStep) {
    context.fillText(row, MARGIN.left - 5, MARGIN.top + (row + 0.5) * cellHeight);
  }
  if (!pitch) return;
  const room = (nColumns * pitch[1]) / 2;
  const power = 10 ** Math.floor(Math.log10(room));
  const length = [5, 2, 1].map((each) => each * power).find((each) => each <= room) ?? power;
  const y = MARGIN.top + nRows * cellHeight + 9;
  const long = (length / pitch[1]) * cellWidth;
  context.fillRect(MARGIN.left, y, long, 2);
  context.textAlign = "left";
  context.fillText(`${written(length)} mm`, MARGIN.left + long + 5, y + 1);
}

function drawMarks(context) {
  for (let site = 0; site < rows.length; site += 1) {
    const [x, y] = corner(site);
    const plan = plannedFor(site);
    if (plan === "drop") cross(context, x, y, "#d10f8a");
    else if (!keep[site] && plan !== "keep") cross(context, x, y, "#1f2428");
    if (plan === "keep" || (keep[site] && origins[site] === "manual")) {
      context.strokeStyle = plan === "keep" ? "#d10f8a" : "#0072b2";
      context.lineWidth = 2;
      context.beginPath();
      context.arc(x + cellWidth / 2, y + cellHeight / 2, Math.min(cellWidth, cellHeight) / 4, 0, 2 * Math.PI);
      context.stroke();
    }
  }
  const chosen = chosenSite();
  if (chosen === null) return;
  const [x, y] = corner(chosen);
  context.strokeStyle = "#ffffff";
  context.lineWidth = 4;
  context.strokeRect(x + 0.5, y + 0.5, cellWidth - 1, cellHeight - 1);
  context.strokeStyle = pageColour("chosen");
  context.lineWidth = 2;
  context.strokeRect(x + 0.5, y + 0.5, cellWidth - 1, cellHeight - 1);
}

function prepared(canvas, ratio) {
  if (canvas.width !== Math.round(width * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}

function drawSites(canvas, ratio, colourOfSite) {
  const context = prepared(canvas, ratio);
  context.strokeStyle = pageColour("line");
  context.lineWidth = 1;
  context.strokeRect(MARGIN.left - 0.5, MARGIN.top - 0.5, nColumns * cellWidth + 1, nRows * cellHeight + 1);
  const gap = cellWidth > 8 ? 1 : 0;
  for (let site = 0; site < rows.length; site += 1) {
    const [x, y] = corner(site);
    context.fillStyle = colourOfSite(site);
    context.fillRect(x, y, cellWidth - gap, cellHeight - gap);
  }
  drawAxes(context);
}

function draw(map) {
  const ratio = window.devicePixelRatio || 1;
  const look = `${ratio} ${pageColour("ink")}`;
  if (map.look !== look) {
    drawSites(map.sites, ratio, map.colourOfSite);
    map.look = look;
  }
  const context = prepared(map.canvas, ratio);
  context.drawImage(map.sites, 0, 0, width, height);
  drawMarks(context);
}

/** Draw all maps again: what changes, upon what was drawn once. */
export function drawMaps() {
  maps.forEach(draw);
}

function onDrag(canvas) {
  let from = null;
  canvas.addEventListener("pointerdown", (event) => {
    from = cellAt(event, canvas);
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointerup", (event) => {
    if (!from) return;
    const to = cellAt(event, canvas);
    const inside = rows.flatMap((row, site) => {
      const between = (place, one, other) => place >= Math.min(one, other) && place <= Math.max(one, other);
      if (from.column < 0) return row === from.row ? [site] : [];
      if (from.row < 0) return columns[site] === from.column ? [site] : [];
      return between(row, from.row, to.row) && between(columns[site], from.column, to.column) ? [site] : [];
    });
    const isClick = from.row === to.row && from.column === to.column && from.row >= 0 && from.column >= 0;
    from = null;
    if (!inside.length) return;
    if (isClick) {
      if (chosenSite() === inside[0]) toggle(inside[0]);
      else choose(inside[0]);
    } else toggleAll(inside);
  });
}

function onKey(event) {
  const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  if (["INPUT", "TEXTAREA", "SELECT"].includes(event.target.tagName)) return;
  if (event.key in moves) chooseNext(...moves[event.key]);
  else if ((event.key === " " || event.key === "Enter") && chosenSite() !== null && event.target.tagName !== "BUTTON") {
    toggle(chosenSite());
  } else if (event.key === "u") undo();
  else return;
  event.preventDefault();
}

function addMap(parent, title, below, colourOfSite, told) {
  const box = document.createElement("div");
  box.className = "map";
  const canvas = document.createElement("canvas");
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", title);
  const name = document.createElement("b");
  name.textContent = title;
  box.append(name, canvas, below);
  parent.append(box);
  canvas.addEventListener("pointermove", (event) => {
    const { row, column } = cellAt(event, canvas);
    const site = siteAt(row, column);
    canvas.title = site === undefined ? "" : `site ${siteName(site)}: ${told(site)}`;
  });
  onDrag(canvas);
  maps.push({ canvas, colourOfSite, sites: document.createElement("canvas"), look: "" });
}

function colourBar(shown, table) {
  const below = document.createElement("span");
  const bar = document.createElement("canvas");
  [bar.width, bar.height] = [256, 1];
  bar.style.cssText = `width: ${Math.max(120, width - MARGIN.left - MARGIN.right)}px; height: 9px`;
  const context = bar.getContext("2d");
  table.forEach((colour, step) => {
    context.fillStyle = `rgb(${colour.join(",")})`;
    context.fillRect(step, 0, 1, 1);
  });
  const kept = shown.values.filter((_, site) => keep[site]);
  const [low, high] = shown.limits;
  const spread = [0.5, 0.1, 0.9].map((share) => written(quantile(kept, share)));
  const ends = document.createElement("span");
  if (kept.every((value) => value === null)) {
    ends.textContent = `${shown.label}: no kept site has a value`;
    below.append(ends);
    return below;
  }
  ends.textContent = `${shown.label}: ${written(low)} to ${written(high)}`;
  const median = document.createElement("span");
  median.textContent = `kept sites: median ${spread[0]}, 10 to 90 %: ${spread[1]} to ${spread[2]}`;
  below.append(bar, ends, median);
  return below;
}

function maskKey() {
  const counts = new Map();
  kinds.forEach((kind, site) => {
    if (!keep[site]) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  });
  const key = document.createElement("span");
  key.className = "key";
  const entries = [["kept", KEPT, keep.filter(Boolean).length]];
  for (const [kind, count] of counts) entries.push([kind, numbers.sites.colours[kind], count]);
  for (const [name, colour, count] of entries) {
    const entry = document.createElement("span");
    const patch = document.createElement("i");
    patch.style.background = colour;
    entry.append(patch, `${name} (${count})`);
    key.append(entry);
  }
  return key;
}

/** Draw a map for each number of the sites, and the mask. */
export function addMaps(parent) {
  for (const shown of numbers.maps) {
    const table = colourTable(shown.colours);
    const colours = shown.values.map((value) => colourOf(table, value, ...shown.limits));
    addMap(parent, shown.title, colourBar(shown, table), (site) => colours[site], (site) => written(shown.values[site], 4));
  }
  const nKept = keep.filter(Boolean).length;
  const colourOfSite = (site) => (keep[site] ? KEPT : numbers.sites.colours[kinds[site]]);
  const told = (site) => (keep[site] ? "kept" : kinds[site]);
  addMap(parent, `Mask: ${nKept} of ${keep.length} sites kept`, maskKey(), colourOfSite, told);
  document.addEventListener("keydown", onKey);
  for (const listen of [onChoice, onPlan, onColoursChange]) listen(drawMaps);
  drawMaps();
}
