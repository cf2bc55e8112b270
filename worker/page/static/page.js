// Draws what the worker says of itself, once a second: GET state.json, POST classify. Texts from outside are only ever
// set as text, never as markup.
import { words } from "./words.js";

const EVERY_MILLISECONDS = 1000;
const PATIENCE_MILLISECONDS = 5000; // then the worker does not answer: one that hangs ends no connection by itself
const PALETTE = ["#4269d0", "#efb118", "#ff725c", "#6cc5b0", "#3ca951", "#ff8ab7", "#a463f2", "#97bbf5", "#9c6b4e", "#9498a0"];
const WHYS = ["waiting", "leaving", "checking", "stoodStill"];
const $ = (id) => document.getElementById(id);

// A browser that keeps nothing may refuse to be asked: then the page starts in the browser's language each time.
function remembered() {
  try {
    return localStorage.getItem("language");
  } catch {
    return null;
  }
}

function remember(chosen) {
  try {
    localStorage.setItem("language", chosen);
  } catch {
    // For this visit alone.
  }
}

let language = remembered() ?? (navigator.language.startsWith("zh") ? "zh" : "en");
let labels = [];
let lastTroubles = [];
let plots = null;
let loadingCard = false;

class NoAnswer extends Error {}

// An answer that says no is an error with what it said. Browsers have words of their own for none: they are not shown.
async function ask(path, options = {}) {
  const asked = fetch(path, { ...options, signal: AbortSignal.timeout(PATIENCE_MILLISECONDS) });
  const answer = await asked.catch(() => { throw new NoAnswer(); });
  if (answer.ok) return answer;
  const said = await answer.text();
  const isJson = answer.headers.get("Content-Type")?.startsWith("application/json");
  throw new Error(isJson ? JSON.parse(said).error : said.trim() || answer.statusText);
}

const isGone = (error) => error instanceof NoAnswer || error.name === "TimeoutError"; // the body may be what does not come
const why = (error) => (isGone(error) ? say("gone") : error.message);

function element(tag, text = "", kind = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

function colour(label) {
  const place = Math.max(0, labels.indexOf(label));
  return PALETTE[place] ?? `hsl(${(place * 137.5) % 360} 55% 55%)`;
}

function ofLabel(made, label) {
  made.style.setProperty("--of-label", colour(label));
  return made;
}

const say = (key) => words[language][key];
const number = (value, digits = 0) =>
  value == null ? "–" : value.toLocaleString(language, { minimumFractionDigits: digits, maximumFractionDigits: digits });
const percent = (share) => number(100 * share, 1) + " %";
const milliseconds = (value) => (value == null ? "–" : number(value, value < 10 ? 1 : 0) + " ms");
const clock = (seconds) => new Date(seconds * 1000).toLocaleTimeString(language, { hour12: false });

function translate() {
  document.documentElement.lang = language;
  for (const made of document.querySelectorAll("[data-text]")) made.textContent = say(made.dataset.text);
  $("language").textContent = say("other");
  $("title").placeholder = "央行下调存款准备金率0.5个百分点";
}

// Bands are drawn from the top of the stack down, so that each covers the foot of the one above it.
function stacked(rows) {
  const sums = rows[0] ? rows[0].map(() => 0) : [];
  return rows.map((row) => row.map((value, i) => (sums[i] += value ?? 0))).reverse();
}

function plot(target, series, data) {
  const style = getComputedStyle(document.body);
  const axis = { stroke: style.color, grid: { stroke: "#8884", width: 1 }, ticks: { stroke: "#8884", width: 1 } };
  const values = (_plot, ticks) => ticks.map((tick) => number(tick, tick % 1 ? 1 : 0));
  const made = new uPlot(
    {
      width: target.clientWidth, height: 180, cursor: { show: false }, legend: { show: false },
      scales: { x: { time: true }, y: { range: (_plot, _low, high) => [0, Math.max(1, (high ?? 0) * 1.1)] } },
      axes: [{ ...axis, values: (_plot, ticks) => ticks.map(clock), space: 80 }, { ...axis, size: 60, values }],
      series: [{}, ...series],
    },
    data,
    target,
  );
  const observer = new ResizeObserver(() => made.setSize({ width: target.clientWidth, height: 180 }));
  observer.observe(target);
  return { made, observer };
}

function line(colour, fill) {
  return { stroke: colour, width: 2, fill, points: { show: false } };
}

function draw(history) {
  const { at, per_second, p50_ms, p99_ms, by_label } = history;
  const data = [[at, per_second], [at, p50_ms, p99_ms], [at, ...stacked(by_label)]];
  if (plots === null) {
    const bands = [...labels].reverse().map((label) => line(colour(label), colour(label)));
    plots = [
      plot($("rate-plot"), [line(PALETTE[0], PALETTE[0] + "33")], data[0]),
      plot($("latency-plot"), [line(PALETTE[0]), line(PALETTE[2])], data[1]),
      plot($("mix-plot"), bands, data[2]),
    ];
  } else plots.forEach(({ made }, i) => made.setData(data[i]));
}

function forget() {
  for (const { made, observer } of plots ?? []) {
    observer.disconnect();
    made.destroy();
  }
  plots = null;
}

function listed(target, items) {
  $(target).replaceChildren(...(items.length ? items : [element("li", say("none"), "empty")]));
}

function headline(event) {
  const made = element("li", "", event.abstained ? "abstained" : "");
  made.append(
    element("time", clock(event.at)),
    ofLabel(element("span", event.label, "chip"), event.label),
    element("span", event.title, "said"),
    element("span", percent(event.confidence), "share"),
  );
  return made;
}

function deadLetter(letter) {
  const made = element("li");
  const where = element("span", ` ${letter.topic}[${letter.partition}]@${letter.offset} `, "faint");
  made.append(element("b", letter.reason), where, element("span", letter.message));
  return made;
}

// A worker says in English why it is not ready (worker/observability/health.py); what words.js does not know stays so.
function notReady(said) {
  const figure = said.match(/\d+/)?.[0] ?? "";
  const known = WHYS.find((key) => words.en[key].replace("{}", figure) === said);
  return known ? say(known).replace("{}", figure) : said;
}

function trouble({ kind, figure, in_a_row, said }) {
  const dead = in_a_row ? say("inARow").replace("{}", number(in_a_row)) : say("ofTheLast").replace("{}", percent(figure));
  const shown = kind === "brokersAway" ? `${number(figure)} s` : dead;
  return [say(kind).replace("{}", shown), said].filter(Boolean).join(" · ");
}

function facts({ worker, model }) {
  const rows = [
    [say("model"), model.id], [say("engine"), worker.engine], [say("reads"), worker.input],
    [say("writes"), `${worker.output}, ${worker.dead_letters}`], [say("group"), worker.group],
    [say("version"), worker.version], [say("since"), new Date(worker.started_at * 1000).toLocaleString(language, { hour12: false })],
    [say("threshold"), percent(model.confidence_threshold)], [say("drift"), number(model.drift, 3)],
    [say("refused"), number(model.refused)],
    ...Object.entries(model.metrics).map(([name, value]) => [name, number(value, 4)]),
  ];
  $("facts").replaceChildren(...rows.flatMap(([name, value]) => [element("dt", name), element("dd", String(value))]));
}

// Of a worker that is gone the last ones stay: they may be why.
function troubles(found, areLast = false) {
  // Only where they are others: a screen reader reads out what is replaced.
  const told = JSON.stringify([language, found, areLast]);
  if ($("troubles").dataset.told === told) return;
  $("troubles").dataset.told = told;
  const shown = (one) => (areLast ? say("lastSaid").replace("{}", trouble(one)) : trouble(one));
  $("troubles").replaceChildren(...found.map((one) => element("li", shown(one), one.kind)));
}

function show(state) {
  if (labels.join("\n") !== state.model.labels.join("\n")) {
    labels = state.model.labels;
    forget();
    $("legend").replaceChildren(...labels.map((label) => ofLabel(element("li", label), label)));
  }
  if (state.model.id && $("card").dataset.model !== state.model.id) loadCard(state.model.id);
  $("state").textContent = state.ready ? say("ready") : notReady(state.why);
  $("state").className = state.ready ? "ready" : "";
  document.body.classList.remove("gone");
  lastTroubles = state.troubles;
  troubles(lastTroubles);
  $("model").textContent = `${say("model")} ${state.model.id.slice(0, 16)} · ${state.worker.engine}`;
  const { now } = state;
  $("rate").textContent = number(now.per_second, now.per_second < 10 ? 1 : 0);
  $("p50").textContent = milliseconds(now.p50_ms);
  $("p99").textContent = milliseconds(now.p99_ms);
  for (const id of ["lag", "labelled", "abstained", "dead"]) $(id).textContent = number(now[id]);
  draw(state.history);
  listed("headlines", state.headlines.map(headline));
  listed("dead-letters", state.dead_letters.map(deadLetter));
  $("reasons").replaceChildren(
    ...Object.entries(state.dead_by_reason).map(([reason, count]) => element("li", `${reason} ${number(count)}`)),
  );
  facts(state);
}

// Taken for loaded once it is; until then the next turn asks again.
async function loadCard(model) {
  if (loadingCard) return;
  loadingCard = true;
  try {
    const answer = await ask("model-card");
    $("card").textContent = await answer.text();
    $("card").dataset.model = model;
  } catch (error) {
    $("card").textContent = why(error);
    delete $("card").dataset.model;
  }
  loadingCard = false;
}

function bar([label, share]) {
  const made = ofLabel(element("li"), label);
  const filled = element("div", "", "bar");
  filled.style.width = 100 * share + "%";
  made.append(element("span", label, "chip"), filled, element("span", percent(share), "share"));
  return made;
}

async function tryHeadline(submitted) {
  submitted.preventDefault();
  try {
    const answer = await ask("classify", {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ title: $("title").value }),
    });
    const said = await answer.json();
    $("verdict").textContent = said.label === null ? say("nothingLeft") : `${said.label} · ${say("sure")} ${percent(said.confidence)}`;
    const scores = said.label === null ? [] : Object.entries(said.scores).sort((one, other) => other[1] - one[1]);
    $("bars").replaceChildren(...scores.map(bar));
  } catch (error) {
    $("verdict").textContent = why(error);
    $("bars").replaceChildren();
  }
}

async function turn() {
  try {
    const answer = await ask("state.json");
    show(await answer.json());
  } catch (error) {
    $("state").textContent = isGone(error) ? say("gone") : `${say("gone")}: ${error.message}`;
    $("state").className = "";
    document.body.classList.add("gone");
    troubles(lastTroubles, true);
  }
  setTimeout(turn, EVERY_MILLISECONDS);
}

$("language").addEventListener("click", () => {
  language = language === "zh" ? "en" : "zh";
  remember(language);
  translate();
  forget();
});
$("try").addEventListener("submit", tryHeadline);
translate();
turn();
