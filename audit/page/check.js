// Files: what each one is, and whether it holds.

const maxPath = 63;

// splitProof takes a file of hashes and a checkpoint apart: lines, an empty line, a note.
function splitProof(text) {
  const at = text.indexOf("\n\n");
  if (at < 0) refuse("proof");
  return { lines: text.slice(0, at).split("\n"), note: text.slice(at + 2) };
}

function readPath(lines) {
  if (lines.length > maxPath) refuse("proof");
  return lines.map((line) => {
    const hash = fromBase64(line, "proof");
    if (hash.length !== 32) refuse("proof");
    return hash;
  });
}

// checkProof checks a C2SP tlog-proof whose extra data is the entry.
async function checkProof(text, trust) {
  const { lines, note } = splitProof(text);
  if (lines.shift() !== "c2sp.org/tlog-proof@v1") refuse("proof");
  if (!lines[0]?.startsWith("extra ")) refuse("no_entry");
  const leaf = fromBase64(lines.shift().slice("extra ".length), "proof");
  if (leaf.length === 0 || leaf.length > 65535) refuse("proof");
  if (!lines[0]?.startsWith("index ")) refuse("proof");
  const index = fromDecimal(lines.shift().slice("index ".length), "proof");
  const path = readPath(lines);
  const checkpoint = await openCheckpoint(note, trust);
  await checkInclusion(path, checkpoint.size, checkpoint.root, index, await leafHash(leaf));
  return { kind: "proof", index, checkpoint, fields: readEntry(leaf) };
}

// checkGrowthFile checks that a log grew out of a checkpoint that somebody kept: the body
// that C2SP tlog-witness sends, the old size, hashes, and the new checkpoint.
async function checkGrowthFile(text, trust, kept) {
  const { lines, note } = splitProof(text);
  const first = lines.shift();
  if (!first.startsWith("old ")) refuse("proof");
  const oldSize = fromDecimal(first.slice("old ".length), "proof");
  const path = readPath(lines);
  const checkpoint = await openCheckpoint(note, trust);
  const old = kept.filter((k) => k.size === oldSize && k.origin === checkpoint.origin);
  if (old.length === 0) refuse("no_old", `${oldSize}`);
  for (const k of old) await checkGrowth(path, checkpoint.size, checkpoint.root, k.size, k.root);
  return { kind: "growth", old: old[0], checkpoint };
}

// readTrust reads keys of logs, one a line, and a policy. Neither comes from a file that
// is to be checked.
async function readTrust(keys, policyText) {
  if (!globalThis.crypto?.subtle || !(await hasEd25519())) refuse("browser");
  const logs = [];
  const add = (key) => logs.some((k) => k.name === key.name && k.id === key.id) || logs.push(key);
  for (const line of keys.split("\n")) {
    if (line.trim() !== "") add(await readKey(line.trim(), logKey));
  }
  const policy = policyText.trim() === "" ? null : await readPolicy(bytesOf(policyText));
  policy?.logs.forEach(add);
  if (logs.length === 0) refuse("no_key");
  return { logs, policy };
}

function asRefusal(error) {
  if (error instanceof Refusal) return error;
  console.error(error);
  return new Refusal("failed", `${error}`);
}

// checkAll checks files, [{name, bytes}], and returns a verdict on each and on all of
// them together: "good" only if every one is.
async function checkAll(files, keys, policyText) {
  let trust = null;
  let refusal = null;
  try {
    trust = await readTrust(keys, policyText);
  } catch (error) {
    refusal = asRefusal(error);
  }
  const results = files.map((f) => ({ name: f.name, good: false }));
  const each = async (want, check) => {
    for (const [i, f] of files.entries()) {
      const r = results[i];
      try {
        const text = textOf(f.bytes);
        if (want === "growth" ? !text.startsWith("old ") : text.startsWith("old ")) continue;
        if (refusal) throw refusal;
        Object.assign(r, await check(text), { good: true });
      } catch (error) {
        const { code, detail } = asRefusal(error);
        Object.assign(r, { code, detail });
      }
    }
  };
  await each("others", async (text) => {
    if (text.startsWith("c2sp.org/tlog-proof@")) return checkProof(text, trust);
    return { kind: "checkpoint", checkpoint: await openCheckpoint(text, trust) };
  });
  const opened = () => results.filter((r) => r.good);
  const kept = opened().filter((r) => r.kind === "checkpoint").map((r) => r.checkpoint);
  await each("growth", (text) => checkGrowthFile(text, trust, kept));
  // Two checkpoints of one size and two roots: whoever signed them keeps two logs.
  for (const a of opened()) {
    const forked = opened().find((b) => b.checkpoint.origin === a.checkpoint.origin &&
      b.checkpoint.size === a.checkpoint.size && !same(b.checkpoint.root, a.checkpoint.root));
    if (forked) {
      for (const r of [a, forked]) Object.assign(r, { good: false, code: "fork", detail: `${a.checkpoint.size}` });
    }
  }
  return { trust: refusal, results, good: results.length > 0 && results.every((r) => r.good) };
}
