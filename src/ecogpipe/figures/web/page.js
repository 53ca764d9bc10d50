// The page: its figures, the card of the chosen site, and what is to be decided.

import { numbers, siteName, written } from "./decode.js";
import { choose, chosenSite, onChoice, siteAt } from "./selection.js";
import { asReason, canUndo, command, onPlan, plannedFor, plannedRows, toggle, undo } from "./decisions.js";
import { addMaps } from "./array_maps.js";
import { addIntervals, addResponse, addSpectra, addTraces, drawCharts } from "./charts.js";
import { addReview } from "./review.js";
import { addEnvelope, addHeatMap, addSpectrogram, addTriggers } from "./over_time.js";

const TITLES = {
  maps: "The array",
  over_time: "The whole recording",
  spectra: "Spectra before and after",
  traces: "Traces before and after",
  response: "Response to triggers",
  triggers: "Triggers",
};

function element(name, text, parent) {
  const made = document.createElement(name);
  if (text) made.textContent = text;
  parent?.append(made);
  return made;
}

function button(label, parent, onClick) {
  const made = element("button", label, parent);
  made.type = "button";
  made.addEventListener("click", onClick);
  return made;
}

function savePicture(figure, name) {
  const box = figure.getBoundingClientRect();
  const ratio = 2;
  const whole = document.createElement("canvas");
  [whole.width, whole.height] = [box.width * ratio, box.height * ratio];
  const context = whole.getContext("2d");
  context.scale(ratio, ratio);
  context.fillStyle = getComputedStyle(document.body).backgroundColor;
  context.fillRect(0, 0, box.width, box.height);
  for (const canvas of figure.querySelectorAll("canvas")) {
    const own = canvas.getBoundingClientRect();
    context.drawImage(canvas, own.left - box.left, own.top - box.top, own.width, own.height);
  }
  context.textBaseline = "top";
  for (const text of figure.querySelectorAll("h2, .u-title, .map b, .map span:not(:has(span))")) {
    const own = text.getBoundingClientRect();
    const style = getComputedStyle(text);
    context.font = `${style.fontWeight} ${style.fontSize} ${style.fontFamily}`;
    context.fillStyle = style.color;
    const inset = style.textAlign === "center" ? (own.width - context.measureText(text.textContent).width) / 2 : 0;
    context.fillText(text.textContent, own.left - box.left + inset, own.top - box.top);
  }
  const link = document.createElement("a");
  link.download = `${numbers.recording.replaceAll("/", "_")}_${numbers.mirror}_${name}.png`;
  link.href = whole.toDataURL("image/png");
  link.click();
}

function addFigure(name, fill) {
  const figure = element("figure", "", document.getElementById("figures"));
  figure.id = name;
  const head = element("div", "", figure);
  head.className = "head";
  element("h2", TITLES[name], head);
  const buttons = element("span", "", head);
  button("save as PNG", head, () => savePicture(figure, name));
  const body = element("div", "", figure);
  fill(body, buttons);
  element("figcaption", numbers.captions[name], figure);
  return body;
}

function describe(list, entries) {
  for (const [name, text] of entries) {
    element("dt", name, list);
    element("dd", text, list);
  }
}

function whyOf(site) {
  const { keep, reasons, origins } = numbers.sites;
  const who = { manual: "by a person", automatic: "by the automatic rule" }[origins[site]] ?? "";
  const word = keep[site] ? "kept" : "masked";
  return [word, who, reasons[site] && `(${reasons[site]})`].filter(Boolean).join(" ");
}

function showCard(site) {
  const card = document.getElementById("site");
  const { sites } = numbers;
  card.replaceChildren();
  element("h2", `Site ${siteName(site)}`, card);
  const list = element("dl", "", card);
  describe(list, [
    ["channel", `${sites.channels[site]}`],
    ["DAQ", `row ${sites.daq_rows[site]}, column ${sites.daq_columns[site]}`],
    ["mask", whyOf(site)],
    ["planned", plannedFor(site) ?? "no change"],
    ...numbers.maps.map((map) => [map.title, `${written(map.values[site], 4)}${map.label.includes("µV") ? " µV" : ""}`]),
    ...Object.entries(sites.numbers).map(([name, values]) => [name.replaceAll("_", " "), written(values[site], 4)]),
  ]);
  const isHeld = numbers.traces.slice(1).some((own) => own.sites.includes(site));
  if (!isHeld) element("p", "This page holds no traces of this site: of an array of so many, only some are held.", card).className = "quiet";
  button(plannedFor(site) ? "Leave as it is" : sites.keep[site] ? "Drop" : "Keep", card, () => toggle(site)).id = "toggle";
}

function addDecisions() {
  const panel = document.getElementById("decide");
  panel.replaceChildren();
  panel.classList.add("decide");
  element("h2", "Decide", panel);
  element(
    "p",
    "Click a chosen site again, or press space, to turn it over; drag a rectangle, or click the number of a row or a column, to drop all of it.",
    panel,
  ).className = "quiet";
  const label = element("label", "Reason ", panel);
  const reason = element("input", "", label);
  reason.id = "reason";
  reason.placeholder = "needed to drop";
  const list = element("ul", "", panel);
  const text = element("textarea", "", panel);
  [text.id, text.readOnly, text.spellcheck] = ["command", true, false];
  text.setAttribute("aria-label", "The command that writes this down");
  const buttons = element("div", "", panel);
  buttons.className = "buttons";
  addReview(panel, reason);
  const said = element("p", "", panel);
  said.className = "quiet";
  const copy = button("Copy the command", buttons, async () => {
    text.select();
    try {
      await navigator.clipboard.writeText(text.value);
      said.textContent = "Copied. Run it in the study's folder, then `ecogpipe run`.";
    } catch {
      said.textContent = document.execCommand("copy") ? "Copied." : "Select the text and copy it.";
    }
  });
  const back = button("Undo", buttons, undo);
  const show = () => {
    const rows = plannedRows();
    list.replaceChildren();
    for (const [word, what] of rows) element("li", `${word} ${what}`, list);
    if (!rows.length) element("li", "nothing is changed", list);
    const isReady = rows.length && (asReason(reason.value) || rows.every(([word]) => word === "keep"));
    text.value = isReady ? command(reason.value) : "";
    text.placeholder = rows.length ? "Write a reason: the command needs one with --drop." : "The command is written here.";
    copy.disabled = !isReady;
    back.disabled = !canUndo();
    said.textContent = "";
    if (chosenSite() !== null) showCard(chosenSite());
  };
  reason.addEventListener("input", show);
  onPlan(show);
  show();
}

function addMasked() {
  const { keep, reasons, origins, channels } = numbers.sites;
  const section = document.getElementById("masked");
  const told = keep.flatMap((kept, site) => (!kept || origins[site] === "manual" ? [site] : []));
  element("h2", `Masked sites, and sites kept by a person: ${told.length}`, section);
  if (!told.length) return;
  const table = element("table", "", section);
  table.className = "masked";
  const head = element("tr", "", element("thead", "", table));
  for (const name of ["Site (row, column)", "Channel", "Mask", "Reason", "Decided"]) element("th", name, head);
  const body = element("tbody", "", table);
  for (const site of told) {
    const row = element("tr", "", body);
    const link = element("a", siteName(site), element("td", "", row));
    link.href = "#maps";
    link.addEventListener("click", () => choose(site));
    for (const text of [`${channels[site]}`, keep[site] ? "kept" : "masked", reasons[site], origins[site]]) element("td", text, row);
  }
}

addFigure("maps", addMaps).classList.add("maps");
addFigure("over_time", (body, buttons) => {
  addHeatMap(element("div", "", body), buttons);
  addEnvelope(element("div", "", body));
});
addFigure("spectra", (body) => {
  addSpectra(element("div", "", body));
  addSpectrogram(element("div", "", body));
});
addFigure("traces", addTraces).classList.add("charts");
if (numbers.response) addFigure("response", addResponse);
addFigure("triggers", (body) => {
  addTriggers(element("div", "", body));
  const charts = element("div", "", body);
  charts.className = "charts";
  addIntervals(charts);
});
addDecisions();
addMasked();
onChoice(showCard);
drawCharts();

const wanted = /^#site=(\d+),(\d+)$/.exec(location.hash);
if (wanted) {
  const site = siteAt(Number(wanted[1]), Number(wanted[2]));
  if (site !== undefined) choose(site);
}
