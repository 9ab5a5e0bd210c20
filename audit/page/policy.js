// The C2SP tlog-policy: whose signature counts, and how many witnesses are enough.

const maxPolicy = 1 << 16;
const maxOfKind = 48; // logs, witnesses, groups: below the 100 signatures of a note

async function readPolicy(bytes) {
  if (bytes.length > maxPolicy) refuse("policy");
  for (const b of bytes) if (b < 0x20 ? b !== 9 && b !== 10 : b === 0x7f) refuse("policy");
  const logs = [];
  const witnesses = [];
  const named = new Map(); // name -> how it is reached
  const taken = new Set(); // members of some group
  let groups = 0;
  let quorum = null;
  const lines = textOf(bytes).split("\n");
  for (const [i, line] of lines.entries()) {
    const words = line.split(/[ \t]+/).filter((w) => w !== "");
    if (words.length === 0 || words[0].startsWith("#")) continue;
    const bad = () => refuse("policy", `${i + 1}`);
    const unused = (list, key) => list.some((k) => same(k.raw, key.raw)) && bad();
    const define = (name, rule) => {
      if (name === "none" || named.has(name)) bad();
      named.set(name, rule);
    };
    switch (words[0]) {
      case "log": {
        if (words.length < 2 || words.length > 3) bad();
        if (logs.length === maxOfKind) bad();
        const key = await readKey(words[1], logKey);
        unused(logs, key);
        logs.push(key);
        break;
      }
      case "witness": {
        if (words.length < 3 || words.length > 4) bad();
        if (witnesses.length === maxOfKind) bad();
        const key = await readKey(words[2], witnessKey);
        unused(witnesses.map((w) => w.key), key);
        define(words[1], { k: 1, members: null });
        witnesses.push({ name: words[1], key });
        break;
      }
      case "group": {
        const members = words.slice(3);
        if (members.length === 0 || groups++ === maxOfKind) bad();
        for (const m of members) {
          if (!named.has(m) || taken.has(m)) bad();
          taken.add(m);
        }
        const k = words[2] === "any" ? 1 : words[2] === "all" ? members.length
          : /^[1-9][0-9]{0,5}$/.test(words[2]) ? Number(words[2]) : 0;
        if (k < 1 || k > members.length) bad();
        define(words[1], { k, members });
        break;
      }
      case "quorum":
        if (words.length !== 2 || quorum !== null || (words[1] !== "none" && !named.has(words[1]))) bad();
        quorum = words[1];
        break;
      default:
        bad();
    }
  }
  if (quorum === null) refuse("policy");
  return { logs, witnesses, named, quorum };
}

// reaches reports whether the quorum is there if these witnesses have signed.
function reaches(policy, signed) {
  if (policy.quorum === "none") return true;
  const holds = (name) => {
    const rule = policy.named.get(name);
    if (rule.members === null) return signed.includes(name);
    return rule.members.filter(holds).length >= rule.k;
  };
  return holds(policy.quorum);
}
