package page

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/mahrem/mahrem/internal/browsertest"
)

// verdict is what the page says of files.
type verdict struct {
	Good  bool     `json:"good"`
	Codes []string `json:"codes"`
}

// question is one set of files to be checked together.
type question struct {
	Files  [][]byte `json:"files"`
	Keys   string   `json:"keys"`
	Policy string   `json:"policy"`
}

// ask has the page check many sets of files, by the functions that its buttons call.
func ask(t *testing.T, tab *browsertest.Tab, questions []question) []verdict {
	t.Helper()
	var all []verdict
	for part := range chunks(questions, 500) {
		encoded, err := json.Marshal(part)
		if err != nil {
			t.Fatal(err)
		}
		var verdicts []verdict
		tab.Eval(t, `(async (questions) => {
			const bytes = (s) => Uint8Array.from(atob(s), (c) => c.charCodeAt(0));
			const verdicts = [];
			for (const q of questions) {
				const files = q.files.map((f, i) => ({ name: "file " + i, bytes: bytes(f) }));
				const r = await checkAll(files, q.keys, q.policy);
				verdicts.push({ good: r.good, codes: r.results.map((x) => x.good ? "" : x.code) });
			}
			return verdicts;
		})(`+string(encoded)+`)`, &verdicts)
		all = append(all, verdicts...)
	}
	return all
}

func chunks[T any](list []T, size int) func(yield func([]T) bool) {
	return func(yield func([]T) bool) {
		for len(list) > 0 {
			n := min(size, len(list))
			if !yield(list[:n]) {
				return
			}
			list = list[n:]
		}
	}
}

// open writes the page to the disk and opens it from there.
func open(t *testing.T) *browsertest.Tab {
	t.Helper()
	file := filepath.Join(t.TempDir(), "verify.html")
	if err := os.WriteFile(file, Verifier(), 0o600); err != nil {
		t.Fatal(err)
	}
	tab := browsertest.Start(t).Open(t, browsertest.URL(t, file))
	tab.Wait(t, `document.getElementById("verdict").dataset.turn !== "0"`)
	return tab
}

// isQuiet fails the test if the page asked for anything or something went wrong in it.
func isQuiet(t *testing.T, tab *browsertest.Tab) {
	t.Helper()
	if got := tab.Requests(); len(got) != 1 {
		t.Errorf("the page asked for %q", got)
	}
	if got := tab.Troubles(); len(got) != 0 {
		t.Errorf("troubles of the page: %q", got)
	}
}

// One file, no address but those of its own, no place for anything foreign to run.
func TestPageStandsAlone(t *testing.T) {
	t.Parallel()
	page := string(Verifier())
	for _, once := range []string{"<script", "</script", "<style", "</style", "default-src 'none'; script-src 'sha256-", "'; base-uri 'none'; form-action 'none'"} {
		if n := strings.Count(page, once); n != 1 {
			t.Errorf("%q stands %d times in the page", once, n)
		}
	}
	for _, never := range []string{"http:", "https:", "//cdn", "import ", "import(", "fetch(", "XMLHttpRequest", "WebSocket", "innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval(", "Function(", "unsafe", "localStorage", "document.cookie", "{{", "src="} {
		if strings.Contains(page, never) {
			t.Errorf("the page contains %q", never)
		}
	}
	if found := regexp.MustCompile(`\son[a-z]+=`).FindString(page); found != "" {
		t.Errorf("the page has a handler in its markup: %q", found)
	}
	if !bytes.Equal(Verifier(), []byte(page)) {
		t.Error("the page is not the same each time")
	}
	if len(page) > 100_000 {
		t.Errorf("the page has %d bytes", len(page))
	}
}

// Every text is there in every language, every code that can be refused has words, and
// there are no words for anything else.
func TestPageHasWords(t *testing.T) {
	t.Parallel()
	var words map[string][3]string
	if err := json.Unmarshal(texts, &words); err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{"no_script": true}
	script := string(coreJS) + string(policyJS) + string(entryJS) + string(checkJS) + string(viewJS)
	for _, match := range regexp.MustCompile(`(?:refuse|Refusal|readTrust|from[A-Za-z0-9]+)\([^;]*?"([a-z_]+)"`).FindAllStringSubmatch(script, -1) {
		if _, ok := words["bad_"+match[1]]; ok {
			used["bad_"+match[1]] = true
		}
	}
	for _, match := range regexp.MustCompile(`refuse\("([a-z_]+)"`).FindAllStringSubmatch(script, -1) {
		used["bad_"+match[1]] = true
	}
	for _, match := range regexp.MustCompile(`say\("([a-z_]+)"\)|data-text="([a-z_]+)"`).FindAllStringSubmatch(script+string(skeleton), -1) {
		used[match[1]+match[2]] = true
	}
	for _, name := range []string{"good_proof", "good_checkpoint", "good_growth", "all_none", "all_good", "all_bad", "bad_fork", "bad_failed", "quorum_none", "quorum_reached", "bad_browser", "bad_key"} {
		used[name] = true
	}
	for name := range used {
		for i, text := range words[name] {
			if strings.TrimSpace(text) == "" {
				t.Errorf("%s has no words in language %d", name, i)
			}
		}
		if _, ok := words[name]; !ok {
			t.Errorf("%s has no words", name)
		}
	}
	for name := range words {
		if !used[name] {
			t.Errorf("nothing says %s", name)
		}
	}
}

// A person gives the page a key and files, and reads what it says, in three languages.
func TestPageInTheHandsOfAPerson(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 40, "one")
	dir := t.TempDir()
	write := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	old, latest := h.checkpoint(20, 2), h.checkpoint(40, 2)
	proof := h.proof(11, 40, latest)
	key := write("log.vkey", []byte(h.vkey+"\n"))
	policy := write("witnesses.policy", []byte(h.policy("all")))
	tab := open(t)
	// The page checks in its own time: what it should say is waited for.
	expect := func(class string, parts ...string) {
		t.Helper()
		tab.Wait(t, `document.getElementById("verdict").classList.contains("`+class+`")`)
		for _, part := range parts {
			quoted, err := json.Marshal(part)
			if err != nil {
				t.Fatal(err)
			}
			tab.Wait(t, `document.body.innerText.includes(`+string(quoted)+`)`)
		}
		tab.Wait(t, `document.getElementById("verdict").classList.contains("`+class+`")`)
	}
	expect("none", "No file yet")
	tab.SetFiles(t, "#files", write("entry.tlog-proof", proof))
	expect("bad", "Something does not hold", "There is no key to check it with.")
	tab.SetFiles(t, "#key-file", key)
	expect("good", "Everything holds", "This entry is in the log, exactly as it stands here.",
		"question about a person answered", "recommendation.products", "affinity, segment", "2026-11-22T05:23:20.134Z",
		"not checked: no policy was given", "signatures by others, not checked")
	tab.SetFiles(t, "#policy-file", policy)
	expect("good", "reached", "w1", "w2", "2026-11-22T05:25:00.000Z")
	tab.SetFiles(t, "#files", write("checkpoint-20", old))
	tab.SetFiles(t, "#files", write("growth", h.growth(20, 40, latest)))
	expect("good", "The log only grew")
	tab.Eval(t, `document.querySelector('[data-language="tr"]').click()`, nil)
	expect("good", "Her şey doğrulandı", "bir kişi hakkındaki soru yanıtlandı", "Kayıt yalnızca büyüdü")
	tab.Eval(t, `document.querySelector('[data-language="cs"]').click()`, nil)
	expect("good", "Vše souhlasí", "dotaz na osobu zodpovězen", "Záznam jen rostl")
	tab.Eval(t, `document.querySelector('[data-language="en"]').click()`, nil)
	// What a file holds is shown as text, whatever it is.
	tab.SetFiles(t, "#files", write(`<img src=x onerror=document.title=1>`, []byte("<script>document.title=1</script>")))
	expect("bad", "This is neither a proof nor a signed checkpoint.", "<img src=x onerror=document.title=1>")
	var images int
	if tab.Eval(t, `document.images.length + document.querySelectorAll("main script").length`, &images); images != 0 {
		t.Error("a file's name became a part of the page")
	}
	tab.Eval(t, `document.getElementById("clear").click()`, nil)
	expect("none")
	// The same checkpoint with one digit more is red, and its neighbour stays green.
	forged := bytes.Replace(old, []byte("\n20\n"), []byte("\n21\n"), 1)
	tab.SetFiles(t, "#files", write("forged", forged), write("checkpoint-40", latest))
	expect("bad", "The signature of the log does not fit: something was changed.", "The log's key signed this checkpoint.")
	isQuiet(t, tab)
}
