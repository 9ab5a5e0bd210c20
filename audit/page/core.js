// What is checked, and how: bytes, base64, hashes, trees and notes. Nothing in here
// touches the page, and nothing is believed that was not recomputed.

// Refusal is a check that did not hold. Its code has words in three languages.
class Refusal extends Error {
  constructor(code, detail = "") {
    super(code);
    this.code = code;
    this.detail = detail;
  }
}

function refuse(code, detail) {
  throw new Refusal(code, detail);
}

const maxFile = 1 << 20; // a proof has a few thousand bytes
const maxSize = 2n ** 63n;

function joined(...parts) {
  const all = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const p of parts) {
    all.set(p, at);
    at += p.length;
  }
  return all;
}

function same(a, b) {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

function hex(bytes) {
  return Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
}

function bytesOf(text) {
  return new TextEncoder().encode(text);
}

// textOf decodes UTF-8, and refuses whatever is not: replacing a wrong byte would show
// another text than the one that was signed.
function textOf(bytes) {
  if (bytes.length > maxFile) refuse("too_long");
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return refuse("not_text");
  }
}

// fromBase64 reads standard base64 with padding, in its one spelling: several texts
// decode to the same bytes, and only the one that they encode to is taken.
function fromBase64(text, code) {
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(text) || text.length % 4 !== 0) refuse(code);
  let raw;
  try {
    raw = atob(text);
  } catch {
    refuse(code);
  }
  if (btoa(raw) !== text) refuse(code);
  return Uint8Array.from(raw, (c) => c.charCodeAt(0));
}

// fromBase64URL reads base64url without padding that stands for exactly length bytes.
function fromBase64URL(text, length, code) {
  if (!/^[A-Za-z0-9_-]*$/.test(text)) refuse(code);
  const standard = text.replaceAll("-", "+").replaceAll("_", "/");
  const bytes = fromBase64(standard + "=".repeat((4 - (standard.length % 4)) % 4), code);
  if (bytes.length !== length) refuse(code);
  return bytes;
}

// fromDecimal reads a number below 2^63 without sign and without leading zeros.
function fromDecimal(text, code) {
  if (!/^(0|[1-9][0-9]{0,18})$/.test(text)) refuse(code);
  const n = BigInt(text);
  if (n >= maxSize) refuse(code);
  return n;
}

async function sha256(...parts) {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", joined(...parts)));
}

// The hashes of RFC 6962 section 2.1.
const leafHash = (leaf) => sha256(Uint8Array.of(0), leaf);
const nodeHash = (left, right) => sha256(Uint8Array.of(1), left, right);

// checkInclusion recomputes the root from a leaf hash (RFC 9162 section 2.1.3.2).
async function checkInclusion(path, size, root, index, leaf) {
  if (index >= size) refuse("index_beyond", `${index} >= ${size}`);
  let fn = index;
  let sn = size - 1n;
  let hash = leaf;
  for (const p of path) {
    if (sn === 0n) refuse("inclusion");
    if ((fn & 1n) === 1n || fn === sn) {
      hash = await nodeHash(p, hash);
      while ((fn & 1n) === 0n && fn !== 0n) {
        fn >>= 1n;
        sn >>= 1n;
      }
    } else {
      hash = await nodeHash(hash, p);
    }
    fn >>= 1n;
    sn >>= 1n;
  }
  if (sn !== 0n || !same(hash, root)) refuse("inclusion");
}

// checkGrowth recomputes both roots from the path (RFC 9162 section 2.1.4.2).
async function checkGrowth(path, size, root, oldSize, oldRoot) {
  if (oldSize === 0n || oldSize > size) refuse("old_size", `${oldSize}, ${size}`);
  if (oldSize === size) {
    if (!same(root, oldRoot)) refuse("fork");
    if (path.length !== 0) refuse("growth");
    return;
  }
  const hashes = (oldSize & (oldSize - 1n)) === 0n ? [oldRoot, ...path] : [...path];
  if (hashes.length === 0) refuse("growth");
  let fn = oldSize - 1n;
  let sn = size - 1n;
  while ((fn & 1n) === 1n) {
    fn >>= 1n;
    sn >>= 1n;
  }
  let fr = hashes[0];
  let sr = hashes[0];
  for (const c of hashes.slice(1)) {
    if (sn === 0n) refuse("growth");
    if ((fn & 1n) === 1n || fn === sn) {
      fr = await nodeHash(c, fr);
      sr = await nodeHash(c, sr);
      while ((fn & 1n) === 0n && fn !== 0n) {
        fn >>= 1n;
        sn >>= 1n;
      }
    } else {
      sr = await nodeHash(sr, c);
    }
    fn >>= 1n;
    sn >>= 1n;
  }
  if (sn !== 0n || !same(fr, oldRoot) || !same(sr, root)) refuse("growth");
}

// Key names: neither empty, nor with a + or a space of Unicode.
const badName = /[+\t\n\v\f\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]/;

const logKey = 1; // Ed25519 over the text
const witnessKey = 4; // Ed25519 over the time and the text

// readKey reads a C2SP verifier key, name+id+key, of one kind.
async function readKey(text, kind) {
  const plus = text.indexOf("+");
  const second = text.indexOf("+", plus + 1);
  if (plus < 1 || second < 0) refuse("key");
  const name = text.slice(0, plus);
  const id = text.slice(plus + 1, second);
  const raw = fromBase64(text.slice(second + 1), "key");
  if (badName.test(name) || raw.length !== 33 || raw[0] !== kind) refuse("key");
  const sum = await sha256(bytesOf(name + "\n"), raw);
  if (id !== hex(sum.slice(0, 4))) refuse("key");
  let key;
  try {
    key = await crypto.subtle.importKey("raw", raw.slice(1), { name: "Ed25519" }, false, ["verify"]);
  } catch {
    refuse(await hasEd25519() ? "key" : "browser");
  }
  return { name, id, kind, key, raw: raw.slice(1) };
}

// hasEd25519 tells a key that is none from a browser that knows no such keys.
let ed25519 = null;

function hasEd25519() {
  ed25519 ??= crypto.subtle.generateKey({ name: "Ed25519" }, false, ["sign", "verify"]).then(() => true, () => false);
  return ed25519;
}

function isSigned(key, signature, message) {
  return crypto.subtle.verify({ name: "Ed25519" }, key.key, signature, message);
}

// splitNote takes a C2SP signed note apart, without believing anything in it.
function splitNote(note) {
  for (const c of note) if (c < " " && c !== "\n") refuse("note");
  const at = note.lastIndexOf("\n\n");
  if (at < 0 || at + 2 === note.length || !note.endsWith("\n")) refuse("note");
  const lines = note.slice(at + 2, -1).split("\n");
  if (lines.length > 100) refuse("note");
  const signatures = lines.map((line) => {
    if (!line.startsWith("\u2014 ")) refuse("note");
    const space = line.indexOf(" ", 2);
    if (space < 0) refuse("note");
    const name = line.slice(2, space);
    const raw = fromBase64(line.slice(space + 1), "note");
    if (name === "" || badName.test(name) || raw.length < 5) refuse("note");
    return { name, id: hex(raw.slice(0, 4)), raw: raw.slice(4) };
  });
  return { text: note.slice(0, at + 1), signatures };
}

// readCheckpoint reads the three lines of a checkpoint.
function readCheckpoint(text) {
  const lines = text.split("\n");
  if (lines.length !== 4 || lines[3] !== "" || lines[0] === "") refuse("checkpoint");
  const size = fromDecimal(lines[1], "checkpoint");
  const root = fromBase64(lines[2], "checkpoint");
  if (root.length !== 32) refuse("checkpoint");
  return { origin: lines[0], size, root };
}

// openCheckpoint checks a checkpoint under one of the keys of logs, and the lines of the
// witnesses that the policy knows. A line by a known key that is wrong is refused even if
// others are right; one by an unknown key counts for nothing.
async function openCheckpoint(note, trust) {
  if (trust.logs.length === 0) refuse("no_key");
  const { text, signatures } = splitNote(note);
  const message = bytesOf(text);
  const seen = new Set();
  let signer = null;
  const witnesses = [];
  for (const s of signatures) {
    const of = (k) => k.name === s.name && k.id === s.id;
    const log = trust.logs.find(of);
    const witness = trust.policy?.witnesses.find((w) => of(w.key));
    const key = log ?? witness?.key;
    if (!key || seen.has(key)) continue;
    seen.add(key);
    if (log) {
      if (s.raw.length !== 64 || !(await isSigned(key, s.raw, message))) refuse("signature", s.name);
      signer ??= log;
      continue;
    }
    if (s.raw.length !== 72) refuse("cosignature", s.name);
    const time = new DataView(s.raw.buffer, s.raw.byteOffset).getBigUint64(0);
    const cosigned = joined(bytesOf(`cosignature/v1\ntime ${time}\n`), message);
    if (time === 0n || time >= maxSize || !(await isSigned(key, s.raw.slice(8), cosigned))) refuse("cosignature", s.name);
    witnesses.push({ name: witness.name, time });
  }
  if (!signer) refuse("unknown_key");
  const checkpoint = readCheckpoint(text);
  if (checkpoint.origin !== signer.name) refuse("origin");
  const quorum = trust.policy ? reaches(trust.policy, witnesses.map((w) => w.name)) : null;
  if (quorum === false) refuse("quorum", witnesses.map((w) => w.name).join(", "));
  return { ...checkpoint, witnesses, quorum, unknown: signatures.length - seen.size };
}
