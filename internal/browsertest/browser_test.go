package browsertest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const sample = `<!doctype html><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'unsafe-inline'">
<input type="file" id="f"><p id="p"></p>
<script>document.getElementById("f").addEventListener("change", async (e) => {
  document.getElementById("p").textContent = await e.target.files[0].text();
});</script>`

// What the tests of pages rest on: a value comes back, a file arrives, and a request that
// the policy forbids is seen.
func TestTab(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	page, file := filepath.Join(dir, "a page.html"), filepath.Join(dir, "some.txt")
	for path, content := range map[string]string{page: sample, file: "some text"} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tab := Start(t).Open(t, URL(t, page))
	var sum int
	if tab.Eval(t, "Promise.resolve(40 + 2)", &sum); sum != 42 {
		t.Errorf("40 + 2 is %d", sum)
	}
	tab.SetFiles(t, "#f", file)
	tab.Wait(t, `document.getElementById("p").textContent === "some text"`)
	if got := tab.Requests(); len(got) != 1 || !strings.HasPrefix(got[0], "file://") {
		t.Errorf("requests: %q", got)
	}
	if got := tab.Troubles(); len(got) != 0 {
		t.Errorf("troubles: %q", got)
	}
	tab.Eval(t, `fetch("https://elsewhere.example/").catch(() => 0)`, nil)
	tab.Eval(t, "new Promise((done) => setTimeout(done, 200))", nil)
	if got := tab.Troubles(); len(got) == 0 || !strings.Contains(got[0], "Content Security Policy") {
		t.Errorf("a forbidden request left no trace: %q", got)
	}
}
