// Entries: one spelling, as in docs/spec/entry.md, and nothing else.

const buckets = ["1", "2-10", "11-100", "101-1000", "1001-10000", "10001-100000", "100001-1000000", "1000001-"];
const word = /^[A-Za-z0-9._\-:/*]{1,128}$/;

// readEntry reads a leaf and returns its fields in order, as [name, value].
function readEntry(leaf) {
  if (leaf.length > 65535) refuse("entry", "length");
  let rest = "";
  for (const b of leaf) {
    if (b < 0x20 || b > 0x7e) refuse("entry", "bytes");
    rest += String.fromCharCode(b);
  }
  const fields = [];
  const skip = (literal) => {
    if (!rest.startsWith(literal)) return false;
    rest = rest.slice(literal.length);
    return true;
  };
  const text = (name) => {
    const end = rest.indexOf('"');
    if (end < 0) refuse("entry", name);
    const t = rest.slice(0, end);
    rest = rest.slice(end + 1);
    return t;
  };
  const need = (name, holds) => holds || refuse("entry", name);
  const digest = (name, length) => {
    const t = text(name);
    const bytes = fromBase64URL(t, length, "entry");
    fields.push([name, hex(bytes)]);
    return bytes;
  };
  const optional = (name, holds) => {
    if (!skip(`,"${name}":"`)) return "";
    const t = text(name);
    need(name, word.test(t) && holds(t));
    fields.push([name, t]);
    return t;
  };
  const list = (name, limit) => {
    if (!skip(`,"${name}":["`)) return;
    const words = [];
    do words.push(text(name)); while (skip(',"'));
    need(name, skip("]") && words.length <= limit);
    need(name, words.every((w, i) => word.test(w) && (i === 0 || words[i - 1] < w)));
    fields.push([name, words.join(", ")]);
  };
  const nonzero = (name, length) => {
    if (skip(`,"${name}":"`)) need(name, digest(name, length).some((b) => b !== 0));
  };

  need("v", skip('{"v":1,"id":"'));
  digest("id", 16);
  need("t", skip(',"t":'));
  const time = /^-?[0-9]+/.exec(rest)?.[0] ?? "";
  need("t", /^(0|-?[1-9][0-9]{0,18})$/.test(time) && BigInt.asIntN(64, BigInt(time)) === BigInt(time));
  rest = rest.slice(time.length);
  fields.push(["t", time]);
  const kind = optional("k", (t) => Object.hasOwn(titles.kinds, t));
  need("k", kind !== "");
  need("d", optional("d", (t) => Object.hasOwn(titles.outcomes, t)) !== "");
  const isRole = (t) => Object.hasOwn(titles.roles, t);
  const role = optional("role", isRole);
  const named = skip(',"a":"');
  if (named) digest("a", 16);
  need("a", named === (role !== ""));
  const recipient = optional("r", () => true);
  need("r", named || recipient === "");
  optional("to", () => true);
  const minted = optional("as", isRole);
  need("as", minted === "" || kind === "token.minted");
  optional("p", () => true);
  optional("ch", () => true);
  nonzero("s", 32);
  list("checks", 64);
  list("attrs", 128);
  nonzero("pol", 32);
  nonzero("facts", 32);
  nonzero("list", 32);
  optional("n", (t) => buckets.includes(t));
  need("end", rest === "}");
  return fields;
}
