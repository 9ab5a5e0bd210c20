// The page. Whatever comes from a file is put there as text, never as markup.

const languages = ["en", "tr", "cs"];
let language = 0;
let files = [];
let turn = 0;

const $ = (id) => document.getElementById(id);
const say = (of) => texts[of]?.[language] ?? of;

function element(tag, className, ...content) {
  const e = document.createElement(tag);
  if (className) e.className = className;
  e.append(...content);
  return e;
}

function row(body, name, value, aside = "") {
  const th = element("th", "", name);
  th.scope = "row";
  const td = element("td", "", value);
  if (aside) td.append(element("small", "", " " + aside));
  body.append(element("tr", "", th, td));
}

function moment(ms) {
  const date = new Date(Number(ms));
  return Number.isNaN(date.getTime()) ? `${ms} ms` : date.toISOString();
}

// told is a value of an entry in words.
function told(name, value) {
  const titled = { k: titles.kinds, d: titles.outcomes, role: titles.roles, as: titles.roles }[name];
  if (titled) return [titled[value][language], value];
  if (name === "t") return [moment(value), ""];
  return [value, ""];
}

function detailsOf(r) {
  const body = element("tbody");
  if (r.kind === "proof") {
    row(body, say("index"), `${r.index}`);
    for (const [name, value] of r.fields) row(body, titles.fields[name][language], ...told(name, value));
  }
  if (r.kind === "growth") row(body, say("old"), `${r.old.size}`, hexOf(r.old.root));
  row(body, say("origin"), r.checkpoint.origin);
  row(body, say("size"), `${r.checkpoint.size}`);
  row(body, say("root"), hexOf(r.checkpoint.root));
  for (const w of r.checkpoint.witnesses) row(body, say("witness"), w.name, moment(w.time * 1000n));
  if (r.checkpoint.quorum === null) row(body, say("witnesses"), say("no_policy"));
  else row(body, say("quorum"), r.checkpoint.witnesses.length === 0 ? say("quorum_none") : say("quorum_reached"));
  if (r.checkpoint.unknown > 0) row(body, say("unknown"), `${r.checkpoint.unknown}`);
  return element("table", "", body);
}

const hexOf = hex;

function card(r) {
  const c = element("section", r.good ? "card good" : "card bad");
  c.append(element("h3", "", r.name));
  c.append(element("p", "verdict", r.good ? say(`good_${r.kind}`) : say(`bad_${r.code}`)));
  if (!r.good && r.detail) c.append(element("p", "detail", say("detail") + " " + r.detail));
  if (r.good) c.append(detailsOf(r));
  return c;
}

async function show() {
  const mine = ++turn;
  document.documentElement.lang = languages[language];
  for (const e of document.querySelectorAll("[data-text]")) e.textContent = say(e.dataset.text);
  for (const b of document.querySelectorAll("[data-language]")) {
    b.setAttribute("aria-pressed", `${b.dataset.language === languages[language]}`);
  }
  const checked = await checkAll(files, $("key").value, $("policy").value);
  if (mine !== turn) return; // something was changed meanwhile
  const state = files.length === 0 ? "none" : checked.good ? "good" : "bad";
  const banner = $("verdict");
  banner.className = `banner ${state}`;
  banner.textContent = say(`all_${state}`);
  $("trust").textContent = checked.trust && (files.length > 0 || checked.trust.code !== "no_key")
    ? [say(`bad_${checked.trust.code}`), checked.trust.detail].join(" ").trim() : "";
  $("results").replaceChildren(...checked.results.map(card));
  banner.dataset.turn = `${mine}`;
}

async function take(list) {
  const taken = await Promise.all(Array.from(list, async (f) => ({
    name: f.name,
    bytes: f.size > maxFile ? new Uint8Array(maxFile + 1) : new Uint8Array(await f.arrayBuffer()),
  })));
  files = [...files, ...taken];
  await show();
}

function wire() {
  const preferred = languages.indexOf(navigator.language.slice(0, 2));
  language = Math.max(0, preferred);
  for (const b of document.querySelectorAll("[data-language]")) {
    b.addEventListener("click", () => {
      language = languages.indexOf(b.dataset.language);
      show();
    });
  }
  for (const id of ["key", "policy"]) {
    $(id).addEventListener("input", show);
    $(`${id}-file`).addEventListener("change", async (event) => {
      const file = event.target.files[0];
      if (file) $(id).value = file.size > maxFile ? "?" : await file.text();
      show();
    });
  }
  $("files").addEventListener("change", async (event) => {
    await take(event.target.files);
    event.target.value = "";
  });
  $("clear").addEventListener("click", () => {
    files = [];
    show();
  });
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    take(event.dataTransfer.files);
  });
  show();
}

wire();
