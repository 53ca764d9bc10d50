// The one site that is chosen, in every figure.

import { numbers } from "./decode.js";

const listeners = [];
const laterListeners = [];
let chosen = null;
let timer = 0;

/** Return the chosen site, or null. */
export function chosenSite() {
  return chosen;
}

/** Choose a site everywhere: what is at hand at once, the other figures one after the other, so that a click is quick. */
export function choose(site) {
  chosen = site;
  for (const listener of listeners) listener(site);
  const waiting = [...laterListeners];
  clearTimeout(timer);
  const next = () => {
    waiting.shift()?.(site);
    if (waiting.length) timer = setTimeout(next);
  };
  timer = setTimeout(next);
}

/** Call `listener` with each site that is chosen. */
export function onChoice(listener) {
  listeners.push(listener);
}

/** Call `listener` with the site that was chosen last, soon. */
export function onChoiceSoon(listener) {
  laterListeners.push(listener);
}

const places = new Map(numbers.sites.rows.map((row, site) => [`${row},${numbers.sites.columns[site]}`, site]));

/** Return the site at a place of the array; undefined where there is none. */
export function siteAt(row, column) {
  return places.get(`${row},${column}`);
}

/** Choose the next site in a direction, across places without a channel. */
export function chooseNext(rows, columns) {
  if (chosen === null) {
    choose(numbers.shown_sites.find((site) => numbers.sites.keep[site]) ?? 0);
    return;
  }
  const [nRows, nColumns] = numbers.sites.grid;
  let row = numbers.sites.rows[chosen] + rows;
  let column = numbers.sites.columns[chosen] + columns;
  while (row >= 0 && row < nRows && column >= 0 && column < nColumns) {
    const site = siteAt(row, column);
    if (site !== undefined) {
      choose(site);
      return;
    }
    row += rows;
    column += columns;
  }
}
