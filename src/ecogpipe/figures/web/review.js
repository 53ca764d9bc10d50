// In `ecogpipe review`: saving decisions, going to the next recording, starting a run.

import { numbers } from "./decode.js";
import { chosenSite } from "./selection.js";
import { asReason, forget, plannedRows } from "./decisions.js";
import { addStretch } from "./charts.js";
import { onTime } from "./over_time.js";

const element = document.getElementById("review");
const review = element && JSON.parse(element.textContent);
const REFRESH = 1500;

async function ask(path, value) {
  const request = value === undefined ? {} : { method: "POST", body: JSON.stringify(value) };
  const answer = await fetch(path, { ...request, credentials: "same-origin" });
  const text = await answer.text();
  const isJson = answer.headers.get("Content-Type") === "application/json";
  return { isOk: answer.ok, ...(isJson ? JSON.parse(text) : { told: text }) };
}

function button(label, parent, onClick) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = label;
  made.addEventListener("click", onClick);
  parent.append(made);
  return made;
}

function goTo(address) {
  if (address && (!plannedRows().length || confirm("Leave without saving?"))) location.assign(address);
}

function addRun(panel, said) {
  const start = button("Run now", panel, async () => {
    start.disabled = true;
    let state = await ask("/run", {});
    while (state.isOk && state.running) {
      said.textContent = state.said.trim().split("\n").slice(-6).join("\n");
      await new Promise((done) => {
        setTimeout(done, REFRESH);
      });
      state = await ask("/run");
    }
    start.disabled = false;
    if (state.status === 0) {
      said.textContent = "The run has ended; the page is loaded again.";
      forget();
      location.reload();
    } else said.textContent = state.told ?? state.said.trim().split("\n").slice(-6).join("\n");
  });
}

const WINDOW_SECONDS = 2;

async function showWindow(when, draw, said) {
  const chosen = chosenSite();
  const sites = [...new Set([...numbers.shown_sites, ...(chosen === null ? [] : [chosen])])];
  const query = new URLSearchParams({
    address: review.address, first: Math.max(0, when - WINDOW_SECONDS / 2), seconds: WINDOW_SECONDS, sites: sites.join(","),
  });
  const answer = await ask(`/samples?${query}`);
  if (!answer.isOk) {
    said.textContent = answer.told;
    return;
  }
  draw(answer);
  said.textContent = `${answer.title} is shown first among the traces.`;
}

/** Add what a page in review has; returns whether the page is in review. */
export function addReview(panel, reason) {
  if (!review) return false;
  const buttons = document.createElement("div");
  buttons.className = "buttons";
  const said = document.createElement("p");
  said.className = "quiet said";
  said.id = "review-said";
  panel.append(buttons, said);
  const save = button("Save", buttons, async () => {
    save.disabled = true;
    const rows = plannedRows().map(([word, what]) => [word, what]);
    const { address, version } = review;
    try {
      const answer = await ask("/save", { address, version, rows, reason: asReason(reason.value) });
      said.textContent = answer.told;
      if (answer.isOk) {
        review.version = answer.version;
        forget();
        said.textContent = answer.told;
      }
    } catch {
      said.textContent = "The server does not answer: `ecogpipe review` has ended. Nothing was saved.";
    }
    save.disabled = false;
  });
  save.id = "save";
  const who = document.createElement("input");
  [who.id, who.value, who.placeholder] = ["who", review.who, "your name"];
  button("Looked at", buttons, async () => {
    const answer = await ask("/look", { address: review.address, who: who.value });
    said.textContent = answer.told;
  });
  buttons.append(who);
  addRun(buttons, said);
  button("Previous", buttons, () => goTo(review.previous)).disabled = !review.previous;
  button("Next", buttons, () => goTo(review.next)).disabled = !review.next;
  button("All recordings", buttons, () => goTo("/report.html"));
  document.addEventListener("keydown", (event) => {
    if (["INPUT", "TEXTAREA", "SELECT"].includes(event.target.tagName) || event.ctrlKey || event.metaKey) return;
    if (event.key === "n") goTo(review.next);
    if (event.key === "p") goTo(review.previous);
  });
  addEventListener("beforeunload", (event) => {
    if (plannedRows().length) event.preventDefault();
  });
  const place = document.createElement("div");
  place.className = "asked";
  document.querySelector("#traces .charts").prepend(place);
  const draw = addStretch(place);
  onTime((when) => showWindow(when, draw, said));
  const looked = review.look ? `Looked at: ${review.look}.` : "Nobody has looked at this mirror yet.";
  said.textContent = `${looked} Saved rows go to ${review.mask}; n and p lead to the next and the previous page.`;
  return true;
}
