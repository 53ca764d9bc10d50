// Numbers of the page, as the step qc wrote them.

export const numbers = JSON.parse(document.getElementById("numbers").textContent);

/** Return {rows, columns, row(number)} of coded numbers; NaN where there is none. */
export function levels(coded) {
  const [rows, columns] = coded.shape;
  const bytes = Uint8Array.from(atob(coded.steps), (letter) => letter.charCodeAt(0));
  const steps = coded.bits === 8 ? bytes : new Uint16Array(bytes.buffer);
  const most = 2 ** coded.bits - 2;
  const row = (number) => {
    const low = coded.low[number];
    const each = (coded.high[number] - low) / most;
    const values = new Float64Array(columns);
    for (let place = 0; place < columns; place += 1) {
      const step = steps[number * columns + place];
      values[place] = step > most ? NaN : low + each * step;
    }
    return values;
  };
  return { rows, columns, row };
}

/** Return a quantile of the finite values; NaN where there is none. */
export function quantile(values, share) {
  const finite = Array.from(values).filter((value) => value !== null && Number.isFinite(value));
  finite.sort((one, other) => one - other);
  return finite.length ? finite[Math.round(share * (finite.length - 1))] : NaN;
}

/** Write a number in so many significant digits. */
export function written(value, digits = 3) {
  if (value === null || !Number.isFinite(value)) return "none";
  return String(Number(value.toPrecision(digits)));
}

/** Name a site as masks do. */
export function siteName(site) {
  return `${numbers.sites.rows[site]},${numbers.sites.columns[site]}`;
}
