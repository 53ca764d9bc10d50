// Which sites to drop or keep: what a person plans, and the command that writes it down.

import { numbers, siteName } from "./decode.js";

const { rows, columns, keep } = numbers.sites;
const listeners = [];
let planned = new Map();
let history = [];

/** Return "drop", "keep", or undefined where the mask stays as it is. */
export function plannedFor(site) {
  return planned.get(site);
}

/** Call `listener` after each change of the plan. */
export function onPlan(listener) {
  listeners.push(listener);
}

function change(next) {
  history.push(planned);
  planned = next;
  for (const listener of listeners) listener();
}

/** Turn one site over, or back. */
export function toggle(site) {
  const next = new Map(planned);
  if (!next.delete(site)) next.set(site, keep[site] ? "drop" : "keep");
  change(next);
}

/** Drop all of some sites, or take that back where all are planned to be dropped. */
export function toggleAll(sites) {
  const next = new Map(planned);
  const isPlanned = sites.every((site) => planned.get(site) === "drop");
  for (const site of sites) {
    if (isPlanned) next.delete(site);
    else next.set(site, "drop");
  }
  change(next);
}

/** Take the last change back. */
export function undo() {
  if (!history.length) return;
  planned = history.pop();
  for (const listener of listeners) listener();
}

/** Plan nothing any more, as what was planned is saved. */
export function forget() {
  planned = new Map();
  history = [];
  for (const listener of listeners) listener();
}

/** Return whether there is a change to take back. */
export function canUndo() {
  return history.length > 0;
}

/** Return [word, what, sites]: whole columns and rows that are dropped as one, then single sites. */
export function plannedRows() {
  const left = new Map(planned);
  const found = [];
  for (const [name, places] of [["column", columns], ["row", rows]]) {
    for (const place of [...new Set(places)].sort((one, other) => one - other)) {
      const members = places.flatMap((each, site) => (each === place ? [site] : []));
      if (members.length > 1 && members.every((site) => left.get(site) === "drop")) {
        found.push(["drop", `${name} ${place}`, members]);
        for (const site of members) left.delete(site);
      }
    }
  }
  const sites = [...left.keys()].sort((one, other) => one - other);
  return [...found, ...sites.map((site) => [left.get(site), `site ${siteName(site)}`, [site]])];
}

/** Return a text as one word of a shell, whatever is in it. */
export function quoted(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** Return a reason as a table can hold it: on one line, without tabs. */
export function asReason(text) {
  // eslint-disable-next-line no-control-regex
  return text.replace(/[\u0000-\u001f\u007f\s]+/g, " ").trim();
}

/** Return the command that writes the plan into the study's mask. */
export function command(reason) {
  const decisions = plannedRows().map(([word, what]) => `--${word} ${quoted(what)}`);
  if (!decisions.length) return "";
  const why = asReason(reason);
  return ["ecogpipe mask", quoted(numbers.recording), ...decisions, ...(why ? [`--reason=${quoted(why)}`] : [])].join(" ");
}
