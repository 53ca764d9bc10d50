// Curves: spectra, traces, the response to triggers, and intervals between them.

import { levels, numbers, quantile, siteName, written } from "./decode.js";
import { onColoursChange, pageColour } from "./colours.js";
import { chosenSite, onChoiceSoon } from "./selection.js";

const RAW = "#d55e00";
const MIRROR = "#0072b2";
const MASKED = "#d55e00";
const charts = [];

function axis(label, more = {}) {
  const grid = { stroke: pageColour("line"), width: 1 };
  return { label, stroke: pageColour("ink"), grid, ticks: grid, font: "11px system-ui", labelFont: "12px system-ui", ...more };
}

/** Draw a chart, and again after each choice; `content` returns its options and its data, or null. Returns the drawing. */
export function addChart(parent, height, content) {
  const box = document.createElement("div");
  parent.append(box);
  let plot = null;
  const redraw = () => {
    plot?.destroy();
    box.replaceChildren();
    const made = content();
    if (!made) return;
    const { options, data } = made;
    // eslint-disable-next-line no-undef
    plot = new uPlot({ width: Math.max(320, box.clientWidth), height, ...options }, data, box);
  };
  charts.push(redraw);
  onChoiceSoon(redraw);
  return redraw;
}

/** Draw all charts: once the page has its width, and when that or the colours change. */
export function drawCharts() {
  for (const redraw of charts) redraw();
}

let waiting = 0;
addEventListener("resize", () => {
  clearTimeout(waiting);
  waiting = setTimeout(drawCharts, 150);
});
onColoursChange(drawCharts);

function verticals(lines) {
  return (plot) => {
    const { ctx } = plot;
    const { left, width, top, height } = plot.bbox;
    ctx.save();
    for (const { at, to, dash, colour } of lines) {
      const x = plot.valToPos(at, "x", true);
      if (to !== undefined) {
        const first = Math.max(left, x);
        const last = Math.min(left + width, plot.valToPos(to, "x", true));
        ctx.fillStyle = colour;
        if (last > first) ctx.fillRect(first, top, last - first, height);
      } else if (x >= left && x <= left + width) {
        ctx.strokeStyle = colour;
        ctx.lineWidth = devicePixelRatio;
        ctx.setLineDash(dash ?? []);
        ctx.beginPath();
        ctx.moveTo(x, top);
        ctx.lineTo(x, top + height);
        ctx.stroke();
      }
    }
    ctx.restore();
  };
}

const positive = (values) => Array.from(values, (value) => (value > 0 ? value : null));

function joined(tables) {
  const ascending = tables.map(([frequencies, ...columns]) => {
    const shown = frequencies.flatMap((frequency, place) => (frequency > 0 ? [place] : []));
    return [frequencies, ...columns].map((column) => shown.map((place) => column[place]));
  });
  // eslint-disable-next-line no-undef
  return uPlot.join(ascending);
}

function spectra() {
  const { spectra: own } = numbers;
  const chosen = chosenSite();
  const tables = [own.before, own.after].map((each) => [
    each.frequencies, positive(each.median), positive(each.low), positive(each.high),
  ]);
  const series = [{ label: "frequency (Hz)" }];
  for (const [name, colour] of [["raw", RAW], ["mirror", MIRROR]]) {
    series.push({ label: `${name}, median of kept sites`, stroke: colour, width: 1.5, spanGaps: true });
    series.push({ label: `${name}, 10 %`, class: "unnamed", stroke: `${colour}00`, spanGaps: true });
    series.push({ label: `${name}, 90 %`, class: "unnamed", stroke: `${colour}00`, spanGaps: true });
  }
  if (chosen !== null) {
    const power = [own.of_sites_before, own.of_sites_after].map((coded) =>
      positive(levels(coded).row(chosen).map((decibels) => 10 ** (decibels / 10))),
    );
    tables.push([own.frequencies_of_sites, ...power]);
    series.push({ label: `site ${siteName(chosen)}, raw`, stroke: pageColour("chosen"), width: 1.5, dash: [5, 4], spanGaps: true });
    series.push({ label: `site ${siteName(chosen)}, mirror`, stroke: pageColour("chosen"), width: 2, spanGaps: true });
  }
  const data = joined(tables);
  const lowest = Math.min(...[...own.before.low, ...own.before.median].filter((value) => value > 0));
  if (!Number.isFinite(lowest)) return null;
  const highest = Math.max(...data.slice(1).flat().filter((value) => value > 0));
  const lines = own.band.filter((corner) => corner !== null).map((at) => ({ at, dash: [6, 4], colour: pageColour("ink") }));
  lines.push({ at: own.nyquist_after, dash: [2, 3], colour: MIRROR });
  for (const at of own.notches) lines.push({ at, dash: [1, 3], colour: RAW });
  const options = {
    title: "Power density",
    series,
    bands: [{ series: [3, 2], fill: `${RAW}33` }, { series: [6, 5], fill: `${MIRROR}33` }],
    scales: {
      x: { time: false, distr: 3, range: () => [data[0][0], own.nyquist_before] },
      y: { distr: 3, range: () => [lowest / 10, highest * 2] },
    },
    axes: [axis("frequency (Hz)"), axis("µV² / Hz", { size: 64, values: (_, splits) => splits.map((value) => (value === null ? "" : value.toPrecision(1))) })],
    hooks: { drawClear: [verticals(lines)] },
    legend: { live: true },
  };
  return { options, data };
}

function rowsOf(own) {
  const chosen = chosenSite();
  const shown = numbers.shown_sites.filter((site) => own.sites.includes(site));
  return chosen !== null && !shown.includes(chosen) && own.sites.includes(chosen) ? [...shown, chosen] : shown;
}

function traces(own) {
  const coded = levels(own.microvolts);
  const seconds = Array.from({ length: coded.columns }, (_, place) => own.first_second + place * own.seconds_each);
  const sites = rowsOf(own);
  const about = sites.map((site) => {
    const values = coded.row(own.sites.indexOf(site));
    const middle = quantile(values.length > 4000 ? values.filter((_, place) => place % 8 === 0) : values, 0.5);
    return values.map((value) => value - middle);
  });
  const swings = about.map((values) => values.reduce((most, value) => Math.max(most, Math.abs(value) || 0), 0));
  const kept = swings.filter((_, place) => numbers.sites.keep[sites[place]]);
  const each = 2 * (quantile(kept.length ? kept : swings, 0.75) || 1);
  const shrunk = swings.map((swing) => (2 * swing > each * 1.5 ? (2 * swing) / each : 1));
  const data = [seconds, ...about.map((values, place) => Array.from(values, (value) => (Number.isFinite(value) ? value / shrunk[place] - place * each : null)))];
  const colourAt = (site) => {
    if (site === chosenSite()) return pageColour("chosen");
    return numbers.sites.keep[site] ? pageColour("ink") : MASKED;
  };
  const label = (place) => `${siteName(sites[place])}${shrunk[place] > 1 ? ` ÷${written(shrunk[place], 2)}` : ""}`;
  const series = sites.map((site, place) => ({
    label: `site ${label(place)}`, stroke: colourAt(site), width: site === chosenSite() ? 2 : 1, points: { show: false },
  }));
  const lines = [
    ...own.settling.map(([at, to]) => ({ at, to, colour: "#e69f0038" })),
    ...own.rising.map((at) => ({ at, colour: "#009e73" })),
    ...own.falling.map((at) => ({ at, dash: [2, 4], colour: "#009e73" })),
    ...own.gaps.map((at) => ({ at, dash: [6, 4], colour: pageColour("ink") })),
  ];
  const options = {
    title: `${own.title} (between two traces: ${written(each)} µV)`,
    series: [{ label: "time (s)" }, ...series],
    scales: { x: { time: false }, y: { range: () => [-(sites.length - 0.3) * each, 0.7 * each] } },
    axes: [
      axis("time in the recording (s)"),
      axis("site (row, column)", {
        size: 74, splits: () => sites.map((_, place) => -place * each), values: () => sites.map((_, place) => label(place)),
        grid: { show: false },
      }),
    ],
    hooks: { drawClear: [verticals(lines)] },
    legend: { show: false },
    cursor: { y: false },
  };
  return { options, data };
}

function response() {
  const own = numbers.response;
  const coded = levels(own.microvolts);
  const every = numbers.sites.keep.flatMap((kept, site) => (kept ? [coded.row(site)] : []));
  const over = (share) => own.seconds.map((_, place) => quantile(every.map((values) => values[place]), share));
  const data = [own.seconds, over(0.5), over(0.1), over(0.9)];
  const series = [
    { label: "time after the edge (s)" },
    { label: "median of kept sites", stroke: MIRROR, width: 1.5 },
    { label: "10 %", class: "unnamed", stroke: `${MIRROR}00` },
    { label: "90 %", class: "unnamed", stroke: `${MIRROR}00` },
  ];
  const chosen = chosenSite();
  if (chosen !== null) {
    data.push(Array.from(coded.row(chosen)));
    series.push({ label: `site ${siteName(chosen)}`, stroke: pageColour("chosen"), width: 2 });
  }
  const options = {
    title: `Average of ${own.n_averaged} of ${own.n_edges} rising edges of line ${own.column}`,
    series,
    bands: [{ series: [3, 2], fill: `${MIRROR}33` }],
    scales: { x: { time: false } },
    axes: [axis("time after the edge (s)"), axis("mirror (µV)", { size: 60 })],
    hooks: { drawClear: [verticals([{ at: 0, colour: "#009e73" }])] },
  };
  return { options, data };
}

function intervals(line) {
  const between = line.rising.slice(1).map((edge, place) => edge - line.rising[place]);
  const [low, high] = [Math.min(...between), Math.max(...between)];
  const room = Math.max(0.05 * high, (high - low) / 20);
  const first = Math.max(0, low - room);
  const step = (high + room - first) / 24;
  const counts = Array.from({ length: 24 }, () => 0);
  for (const each of between) counts[Math.min(23, Math.floor((each - first) / step))] += 1;
  const options = {
    title: `Intervals of line ${line.column}: median ${written(quantile(between, 0.5), 4)} s`,
    // eslint-disable-next-line no-undef
    series: [{ label: "interval (s)" }, { label: "count", stroke: "#009e73", fill: "#009e7388", paths: uPlot.paths.bars({ size: [0.9] }) }],
    scales: { x: { time: false }, y: { range: (_, least, most) => [0, Math.max(1, most * 1.1)] } },
    axes: [axis("interval (s)"), axis("count", { size: 50 })],
    legend: { show: false },
  };
  return { options, data: [counts.map((_, place) => first + (place + 0.5) * step), counts] };
}

/** Draw the spectra of the kept sites, and of the one that is chosen. */
export function addSpectra(parent) {
  addChart(parent, 380, spectra);
}

const tracesHeight = 90 + 26 * (numbers.shown_sites.length + 1);

/** Make room for a stretch of traces; returns what draws one there, in place of the one before. */
export function addStretch(parent) {
  let shown = null;
  const redraw = addChart(parent, tracesHeight, () => shown && traces(shown));
  return (own) => {
    shown = own;
    redraw();
  };
}

/** Draw each stretch of traces. */
export function addTraces(parent) {
  for (const own of numbers.traces) addChart(parent, tracesHeight, () => traces(own));
}

/** Draw the average around triggers. */
export function addResponse(parent) {
  if (numbers.response) addChart(parent, 300, response);
}

/** Draw the intervals of each line that has any. */
export function addIntervals(parent) {
  for (const line of numbers.timeline.lines) {
    if (line.rising && line.rising.length > 1) addChart(parent, 220, () => intervals(line));
  }
}
