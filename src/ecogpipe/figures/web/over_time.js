// The whole recording: triggers, RMS of all sites, and the extremes of the mirror.

import { levels, numbers, siteName, written } from "./decode.js";
import { colourTable, onColoursChange, pageColour } from "./colours.js";
import { choose, chosenSite, onChoiceSoon } from "./selection.js";
import { addChart } from "./charts.js";

const { timeline, over_time: own, sites } = numbers;
const order = sites.rows.map((_, site) => site);
order.sort((one, other) => sites.rows[one] - sites.rows[other] || sites.columns[one] - sites.columns[other]);
const rankOf = [];
order.forEach((site, rank) => {
  rankOf[site] = rank;
});
const LEFT = 64;
const TICKS = 9;
const rowHeight = Math.min(8, Math.max(420, Math.min(600, order.length)) / order.length);

/** Return a canvas of coded numbers, a pixel each; `place` gives where a number of a row is, [x, y]. */
function picture(coded, width, height, place) {
  const table = colourTable("inferno");
  const values = levels(coded);
  const image = new ImageData(width, height);
  const [low, high] = [coded.low[0], coded.high[0]];
  for (let row = 0; row < values.rows; row += 1) {
    values.row(row).forEach((value, column) => {
      const share = Math.min(1, Math.max(0, (value - low) / (high - low || 1)));
      const [x, y] = place(row, column);
      image.data.set([...(Number.isFinite(value) ? table[Math.round(share * 255)] : [128, 128, 128]), 255], 4 * (y * width + x));
    });
  }
  const held = document.createElement("canvas");
  [held.width, held.height] = [width, height];
  held.getContext("2d").putImageData(image, 0, 0);
  return held;
}

function niceStep(length) {
  const power = 10 ** Math.floor(Math.log10(length / 6));
  return [1, 2, 5, 10].map((each) => each * power).find((each) => length / each <= 8);
}

function prepared(canvas, height) {
  const width = canvas.parentElement.clientWidth || 900;
  const ratio = devicePixelRatio || 1;
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.font = "11px system-ui, sans-serif";
  context.textBaseline = "middle";
  return { context, width };
}

function drawLines(context, top, place, isNamed) {
  timeline.lines.forEach((line, number) => {
    const y = top + number * (TICKS + 3);
    context.fillStyle = pageColour("quiet");
    if (isNamed) {
      context.textAlign = "right";
      context.fillText(`line ${line.column}`, LEFT - 6, y + TICKS / 2);
    }
    if (!line.rising?.length) {
      context.textAlign = "left";
      context.fillText(line.note, LEFT + 6, y + TICKS / 2);
      return;
    }
    context.fillStyle = ["#009e73", "#56b4e9", "#cc79a7"][number % 3];
    for (const edge of line.rising) context.fillRect(place(edge) - 0.5, y, 1, TICKS);
  });
}

function drawTimeAxis(context, y, place) {
  const step = niceStep(timeline.seconds || 1);
  context.fillStyle = pageColour("ink");
  context.textAlign = "center";
  for (let when = 0; when <= timeline.seconds; when += step) {
    context.fillRect(place(when), y, 1, 4);
    context.fillText(written(when, 6), place(when), y + 11);
  }
  context.fillText("time in the recording (s)", place(timeline.seconds / 2), y + 26);
}

function drawParts(context, top, height, place) {
  context.strokeStyle = pageColour("ink");
  context.setLineDash([6, 4]);
  for (const [begin] of timeline.parts.slice(1)) {
    context.beginPath();
    context.moveTo(place(begin), top);
    context.lineTo(place(begin), top + height);
    context.stroke();
  }
  context.setLineDash([]);
}

const timeListeners = [];

/** Call `listener` with the time, in seconds, of each click on the whole recording. */
export function onTime(listener) {
  timeListeners.push(listener);
}

/** Draw the RMS of all sites over time, with triggers above. */
export function addHeatMap(parent, buttons) {
  const canvas = document.createElement("canvas");
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", "RMS of all sites over the whole recording");
  const told = document.createElement("p");
  told.className = "quiet";
  parent.append(canvas, told);
  const pictures = {};
  let kind = "rms";
  const top = timeline.lines.length * (TICKS + 3) + 4;
  const height = rowHeight * order.length;
  const draw = () => {
    const { context, width } = prepared(canvas, top + height + 36);
    const place = (when) => LEFT + (when / (timeline.seconds || 1)) * (width - LEFT - 8);
    context.clearRect(0, 0, width, top + height + 36);
    drawLines(context, 0, place, true);
    context.imageSmoothingEnabled = rowHeight < 1; // several sites in a pixel: their mean
    pictures[kind] ??= picture(own[kind], own.starts.length, order.length, (site, bin) => [bin, rankOf[site]]);
    const held = pictures[kind];
    own.starts.forEach((begin, bin) => {
      const [x, next] = [place(begin), place(own.starts[bin + 1] ?? timeline.seconds)];
      context.drawImage(held, bin, 0, 1, held.height, x, top, next - x + 0.5, height);
    });
    context.fillStyle = pageColour("quiet");
    context.textAlign = "right";
    const step = Math.ceil(14 / rowHeight);
    for (let row = 0; row < order.length; row += step) context.fillText(siteName(order[row]), LEFT - 6, top + (row + 0.5) * rowHeight);
    drawParts(context, top, height, place);
    drawTimeAxis(context, top + height, place);
    if (chosenSite() !== null) {
      context.strokeStyle = pageColour("chosen");
      context.lineWidth = 2;
      context.strokeRect(LEFT, top + rankOf[chosenSite()] * rowHeight - 1, width - LEFT - 8, Math.max(2, rowHeight + 2));
    }
    const [low, high] = [own[kind].low[0], own[kind].high[0]].map((end) => written(10 ** end));
    told.textContent = `Colours span an RMS of ${low} µV (dark) to ${high} µV (bright); sites in order of rows and columns.`;
  };
  for (const [name, label] of [["rms", "median window"], ["largest_rms", "largest window"]]) {
    const button = document.createElement("button");
    button.textContent = label;
    button.addEventListener("click", () => {
      kind = name;
      draw();
    });
    buttons.append(button);
  }
  canvas.addEventListener("click", (event) => {
    const row = Math.floor((event.clientY - canvas.getBoundingClientRect().top - top) / rowHeight);
    if (row >= 0 && row < order.length) choose(order[row]);
    const box = canvas.getBoundingClientRect();
    const when = ((event.clientX - box.left - LEFT) / (box.width - LEFT - 8)) * timeline.seconds;
    if (when >= 0 && when <= timeline.seconds) for (const listener of timeListeners) listener(when);
  });
  for (const listen of [onChoiceSoon, onColoursChange]) listen(draw);
  addEventListener("resize", draw);
  draw();
}

/** Draw the least and the largest values of the mirror, of the chosen site. */
export function addEnvelope(parent) {
  const first = numbers.shown_sites.find((site) => sites.keep[site]) ?? numbers.shown_sites[0];
  const [lowest, highest] = [levels(own.lowest), levels(own.highest)];
  addChart(parent, 230, () => {
    const site = chosenSite() ?? first;
    if (site === undefined) return null;
    const seconds = Array.from({ length: lowest.columns }, (_, bin) => (bin + 0.5) * own.bin_seconds);
    const ends = [highest, lowest].map((each) => Array.from(each.row(site), (value) => (Number.isFinite(value) ? value : null)));
    const colour = chosenSite() === null ? "#0072b2" : pageColour("chosen");
    const grid = { stroke: pageColour("line"), width: 1 };
    const options = {
      title: `Mirror of site ${siteName(site)}: least and largest value of every ${written(own.bin_seconds)} s`,
      series: [{ label: "time (s)" }, { label: "largest (µV)", stroke: colour, width: 1 }, { label: "least (µV)", stroke: colour, width: 1 }],
      bands: [{ series: [1, 2], fill: `${colour}66` }],
      scales: { x: { time: false, range: [0, timeline.seconds || 1] } },
      axes: [
        { label: "time in the recording (s)", stroke: pageColour("ink"), grid, ticks: grid },
        { label: "µV", size: LEFT, stroke: pageColour("ink"), grid, ticks: grid },
      ],
    };
    return { options, data: [seconds, ...ends] };
  });
}

/** Draw the power of the mirror over time, where there is any. */
export function addSpectrogram(parent) {
  const { spectrogram } = numbers;
  if (!spectrogram) return;
  const canvas = document.createElement("canvas");
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", "Power of the mirror over time");
  const told = document.createElement("p");
  told.className = "quiet";
  parent.append(canvas, told);
  const height = 200;
  const { seconds, frequencies, decibels } = spectrogram;
  const [low, high] = [decibels.low[0], decibels.high[0]];
  const held = picture(decibels, seconds.length, frequencies.length, (time, place) => [time, frequencies.length - 1 - place]);
  const [first, last] = [frequencies[0], frequencies[frequencies.length - 1]];
  const draw = () => {
    const { context, width } = prepared(canvas, height + 36);
    const place = (when) => LEFT + (when / (timeline.seconds || 1)) * (width - LEFT - 8);
    context.clearRect(0, 0, width, height + 36);
    context.imageSmoothingEnabled = false;
    seconds.forEach((middle, time) => {
      const begin = time ? (seconds[time - 1] + middle) / 2 : 0;
      const end = time + 1 < seconds.length ? (middle + seconds[time + 1]) / 2 : timeline.seconds;
      context.drawImage(held, time, 0, 1, held.height, place(begin), 0, place(end) - place(begin) + 0.5, height);
    });
    context.fillStyle = pageColour("quiet");
    context.textAlign = "right";
    for (let power = Math.ceil(Math.log10(first)); 10 ** power <= last; power += 1) {
      const y = height * (1 - (power - Math.log10(first)) / (Math.log10(last) - Math.log10(first) || 1));
      context.fillText(`${written(10 ** power)} Hz`, LEFT - 6, Math.max(6, y));
    }
    drawParts(context, 0, height, place);
    drawTimeAxis(context, height, place);
    told.textContent = `Mirror, median of ${spectrogram.n_sites} kept sites: ${written(low)} dB (dark) to ${written(high)} dB (bright) about 1 µV²/Hz.`;
  };
  onColoursChange(draw);
  addEventListener("resize", draw);
  draw();
}

/** Draw the rising edges of all lines. */
export function addTriggers(parent) {
  const canvas = document.createElement("canvas");
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", "Rising edges over the recording");
  parent.append(canvas);
  const height = timeline.lines.length * (TICKS + 3) + 4;
  const draw = () => {
    const { context, width } = prepared(canvas, height + 36);
    const place = (when) => LEFT + (when / (timeline.seconds || 1)) * (width - LEFT - 8);
    context.clearRect(0, 0, width, height + 36);
    context.fillStyle = "#e69f0038";
    for (const [begin, end] of timeline.settling) context.fillRect(place(begin), 0, place(end) - place(begin), height);
    drawLines(context, 0, place, true);
    drawParts(context, 0, height, place);
    drawTimeAxis(context, height, place);
  };
  onColoursChange(draw);
  addEventListener("resize", draw);
  draw();
}
