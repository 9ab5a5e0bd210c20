package page

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/audit/witness"
)

// verdictOfGo says of one file, and a checkpoint that was kept, what package audit says.
func verdictOfGo(file, kept []byte, vkey, policyText string) bool {
	origin, key, err := audit.ParseKey(vkey)
	if err != nil {
		return false
	}
	verifier, err := audit.NewVerifier(origin, key)
	if err != nil {
		return false
	}
	check := func(signed []byte) (audit.Checkpoint, bool) {
		if strings.TrimSpace(policyText) == "" {
			c, err := audit.OpenCheckpoint(signed, verifier)
			return c, err == nil
		}
		policy, err := witness.ParsePolicy([]byte(policyText))
		if err != nil {
			return audit.Checkpoint{}, false
		}
		cosigned, err := policy.Check(signed, verifier)
		return cosigned.Checkpoint, err == nil && cosigned.Quorum
	}
	switch {
	case bytes.HasPrefix(file, []byte("c2sp.org/tlog-proof@")):
		proof, err := audit.ParseProof(file)
		if err != nil {
			return false
		}
		_, err = proof.Verify(verifier)
		_, ok := check(proof.Checkpoint)
		return err == nil && ok
	case bytes.HasPrefix(file, []byte("old ")):
		old, path, signed, err := witness.ParseRequest(file)
		if err != nil {
			return false
		}
		after, ok := check(signed)
		before, known := check(kept)
		if !ok || !known || before.Size != old {
			return false
		}
		return tlog.CheckTree(path, int64(after.Size), after.Root, int64(old), before.Root) == nil
	}
	_, ok := check(file)
	return ok
}

// The page and the programs of this house say the same of every file, of thousands that
// somebody changed, and under policies of every kind.
func TestVerdictsAreThoseOfGo(t *testing.T) {
	t.Parallel()
	h, other := newHouse(t, 70, "one"), newHouse(t, 70, "another")
	var questions []question
	var names []string
	add := func(name string, file, kept []byte, key, policy string) {
		files := [][]byte{file}
		if kept != nil {
			files = append(files, kept)
		}
		questions, names = append(questions, question{files, key, policy}), append(names, name)
	}
	policies := map[string]string{
		"no policy": "", "any": h.policy("any"), "all": h.policy("all"), "one of two": h.policy("1"), "two of two": h.policy("2"),
		"three of two": h.policy("3"), "none of two": h.policy("0"), "01 of two": h.policy("01"), "none": h.policy("none"),
		"no quorum": strings.Replace(h.policy("any"), "quorum both\n", "", 1), "two quorums": h.policy("any") + "quorum both\n",
		"a word that is none": h.policy("any") + "quorums both\n", "a quorum of one": strings.Replace(h.policy("any"), "quorum both", "quorum w2", 1),
		"an unknown quorum": strings.Replace(h.policy("any"), "quorum both", "quorum w3", 1),
		"toString":          strings.Replace(h.policy("any"), "any", "toString", 1), "constructor": strings.Replace(h.policy("any"), "quorum both", "quorum constructor", 1),
		"a member twice": strings.Replace(h.policy("any"), "any w1 w2", "any w1 w1", 1), "a member of two groups": strings.Replace(h.policy("any"), "quorum", "group two any w1\nquorum", 1),
		"none in a group": strings.Replace(h.policy("any"), "any w1 w2", "any w1 none", 1), "tabs": strings.ReplaceAll(h.policy("any"), " ", "\t \t"),
		"windows": strings.ReplaceAll(h.policy("any"), "\n", "\r\n"), "no end of line": strings.TrimSuffix(h.policy("any"), "\n"),
		"a url": strings.Replace(h.policy("any"), "=\nwitness", "= https://w1.example/\nwitness", 1), "the log": "log " + h.vkey + "\n" + h.policy("all"),
		"the log twice": "log " + h.vkey + "\nlog " + h.vkey + "\n" + h.policy("all"), "a witness twice": strings.Replace(h.policy("any"), "group", strings.Replace(strings.Split(h.policy("any"), "\n")[1], "w1 ", "w3 ", 1)+"\ngroup", 1),
		"a witness's key changed": strings.Replace(h.policy("any"), "w1.example+", "w9.example+", 1),
		"nested":                  strings.Replace(h.policy("any"), "quorum both", "group outer all both\nquorum outer", 1), "only a comment": "# nothing\n",
		"a null": h.policy("any") + "#\x00\n", "del": h.policy("any") + "#\x7f\n",
	}
	for name, policy := range policies {
		for witnesses := range 3 {
			add(fmt.Sprintf("%s, %d witnesses", name, witnesses), h.checkpoint(64, witnesses), nil, h.vkey, policy)
			add(fmt.Sprintf("%s, %d witnesses, a proof", name, witnesses), h.proof(5, 64, h.checkpoint(64, witnesses)), nil, h.vkey, policy)
		}
	}
	// Signatures: twice, in another order, by a stranger, false beside a true one.
	bare := h.checkpoint(64, 0)
	mine := string(bare[bytes.LastIndex(bare, []byte("— ")):])
	w1, w2 := h.cosign(0, bare, 77), h.cosign(1, bare, 78)
	false1 := h.cosign(0, h.checkpoint(63, 0), 77)
	stranger := "— elsewhere.example AAAAAAAAAAAA\n"
	text := string(bare[:len(bare)-len(mine)])
	for i, lines := range []string{
		mine + mine, w1 + mine + w2, w2 + w1 + mine, stranger + mine, mine + stranger + stranger, mine + w1 + false1, mine + false1 + w1,
		mine + false1, w1 + w2, stranger, "", mine + "\n", mine + "x\n", strings.TrimSuffix(mine, "\n"), mine + "— \u00a0x AAAAAAAA\n",
		mine + "— a+b AAAAAAAA\n", mine + "— a AAAA\n", mine + "— a AAAAAAA=\n", mine + "—a AAAAAAAA\n", mine + "- a AAAAAAAA\n",
		mine + strings.Repeat(stranger, 99), mine + strings.Repeat(stranger, 100), mine + "— a AAAAAA==\n",
	} {
		for _, policy := range []string{"", h.policy("any"), h.policy("all")} {
			add(fmt.Sprintf("signatures %d", i), []byte(text+lines), nil, h.vkey, policy)
		}
	}
	for i, notes := range []string{
		origin + "\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n", origin + "\n-1\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n",
		origin + "\n9223372036854775807\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n", origin + "\n9223372036854775808\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n",
		origin + "\n01\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n", origin + "\n1\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFV=\n",
		origin + "\n1\n47DEQpj8HBSa\n", origin + "\n1\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\nextension\n", origin + "\n1\n", "\n1\n\n",
		"other.example\n1\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n", origin + " \n1\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n",
	} {
		add(fmt.Sprintf("text %d", i), h.sign(notes), nil, h.vkey, "")
	}
	latest, old := h.checkpoint(64, 2), h.checkpoint(37, 2)
	for name, good := range map[string][]byte{"proof": h.proof(11, 64, latest), "checkpoint": latest, "growth": h.growth(37, 64, latest)} {
		for i, changed := range changes(good) {
			if i%3 != 0 && i%9 != 1 || testing.Short() && i%8 != 0 { // 9 changes of each byte
				continue
			}
			if name == "growth" {
				add("changed growth", changed, old, h.vkey, h.policy("all"))
			} else {
				add("changed "+name, changed, nil, h.vkey, h.policy("all"))
			}
		}
	}
	// Without a policy nobody looks at the lines of witnesses, except at their form.
	for i, changed := range changes(h.proof(3, 64, latest)) {
		if i%7 == 0 && (i%77 == 0 || !testing.Short()) {
			add("changed proof without policy", changed, nil, h.vkey, "")
		}
	}
	for _, size := range []int{1, 2, 3, 5, 8, 31, 32, 33, 63, 64} {
		for before := 1; before <= size; before += 1 + before/3 {
			add("growth", h.growth(before, size, h.checkpoint(size, 0)), h.checkpoint(before, 0), h.vkey, "")
			add("growth of another", h.growth(before, size, h.checkpoint(size, 0)), other.checkpoint(before, 0), h.vkey, "")
		}
		for index := 0; index < size; index += 1 + index/2 {
			add("proof", h.proof(index, size, h.checkpoint(size, 0)), nil, h.vkey, "")
			add("proof of another", other.proof(index, size, h.checkpoint(size, 0)), nil, h.vkey, "")
		}
	}
	for size := 1; size <= 9; size++ {
		for index := range size {
			proof := string(h.proof(index, size, h.checkpoint(size, 0)))
			for other := range size + 1 {
				moved := strings.Replace(proof, fmt.Sprintf("\nindex %d\n", index), fmt.Sprintf("\nindex %d\n", other), 1)
				add("proof at another place", []byte(moved), nil, h.vkey, "")
			}
		}
	}
	tab := open(t)
	good := 0
	for i, v := range ask(t, tab, questions) {
		q := questions[i]
		var kept []byte
		if len(q.Files) > 1 {
			kept = q.Files[1]
		}
		want := verdictOfGo(q.Files[0], kept, q.Keys, q.Policy)
		if got := v.Codes[0] == ""; got != want {
			t.Errorf("%s: page %t (%q), Go %t:\n%q\npolicy %q", names[i], got, v.Codes, want, q.Files[0], q.Policy)
		}
		if v.Codes[0] == "failed" {
			t.Errorf("%s: the page broke", names[i])
		}
		if want {
			good++
		}
	}
	t.Logf("%d verdicts, %d of them good", len(questions), good)
	if good < 100 {
		t.Errorf("only %d good files", good)
	}
}
