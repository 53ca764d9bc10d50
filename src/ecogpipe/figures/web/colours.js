// Colours: of numbers, and of the page in its light and its dark form.

const ANCHORS = {
  viridis: "440154 48186a 472d7b 424086 3b528b 33638d 2c728e 26828e 21918c 1fa088 28ae80 3fbc73 5ec962 84d44b addc30 d8e219 fde725",
  magma: "000004 0a0822 1d1147 36106b 51127c 6a1c81 832681 9c2e7f b73779 d0416f e75263 f56b5c fc8961 fea772 fec488 fde2a3 fcfdbf",
  cividis: "00224e 002e6a 1a386f 32436d 434e6c 535a6d 61656f 6f7073 7d7c78 8c8878 9b9476 aba072 bcae6c cdbb63 dec958 f0d846 fee838",
  inferno: "000004 0b0724 210c4a 3d0965 57106e 71196e 8a226a a32c61 bc3754 d24644 e45a31 f1731d f98e09 fcac11 f9cb35 f2ea69 fcffa4",
};

const tables = new Map();

/** Return 256 colours, [red, green, blue] each, from the lowest to the highest value. */
export function colourTable(name) {
  if (!tables.has(name)) {
    const anchors = ANCHORS[name].split(" ").map((hex) => [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16)));
    const between = (share) => {
      const place = share * (anchors.length - 1);
      const first = Math.min(Math.floor(place), anchors.length - 2);
      return anchors[first].map((value, band) => Math.round(value + (anchors[first + 1][band] - value) * (place - first)));
    };
    tables.set(name, Array.from({ length: 256 }, (_, step) => between(step / 255)));
  }
  return tables.get(name);
}

/** Return the colour of a value between two ends, as CSS; grey where there is no value. */
export function colourOf(table, value, low, high) {
  if (value === null || !Number.isFinite(value)) return pageColour("line");
  const share = Math.min(1, Math.max(0, (value - low) / (high - low || 1)));
  return `rgb(${table[Math.round(share * 255)].join(",")})`;
}

/** Return a colour of the page by its name in the style. */
export function pageColour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/** Call `redraw` when the page turns dark or light. */
export function onColoursChange(redraw) {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
}
