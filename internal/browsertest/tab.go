package browsertest

import (
	"encoding/json"
	"slices"
	"sync"
	"testing"
	"time"
)

// Tab is one page of a browser.
type Tab struct {
	browser *Browser
	session string

	mu       sync.Mutex
	requests []string
	troubles []string
}

// Open opens a page and waits until it has loaded.
func (b *Browser) Open(tb testing.TB, url string) *Tab {
	tb.Helper()
	var created struct {
		TargetID string `json:"targetId"`
	}
	var attached struct {
		SessionID string `json:"sessionId"`
	}
	must(tb, b.call("", "Target.createTarget", map[string]any{"url": "about:blank"}, &created))
	must(tb, b.call("", "Target.attachToTarget", map[string]any{"targetId": created.TargetID, "flatten": true}, &attached))
	t := &Tab{browser: b, session: attached.SessionID}
	b.mu.Lock()
	b.tabs[t.session] = t
	b.mu.Unlock()
	for _, domain := range []string{"Page", "Runtime", "Network", "Log", "DOM"} {
		must(tb, b.call(t.session, domain+".enable", struct{}{}, nil))
	}
	var navigated struct {
		ErrorText string `json:"errorText"`
	}
	must(tb, b.call(t.session, "Page.navigate", map[string]any{"url": url}, &navigated))
	if navigated.ErrorText != "" {
		tb.Fatalf("opening %s: %s", url, navigated.ErrorText)
	}
	t.Wait(tb, `document.readyState === "complete" && location.href !== "about:blank"`)
	return t
}

// note keeps what a page asks of the network, and what goes wrong in it.
func (t *Tab) note(method string, params json.RawMessage) {
	var p struct {
		Request struct {
			URL string `json:"url"`
		} `json:"request"`
		Type  string `json:"type"`
		Entry struct {
			Level string `json:"level"`
			Text  string `json:"text"`
		} `json:"entry"`
		ExceptionDetails exception `json:"exceptionDetails"`
	}
	if json.Unmarshal(params, &p) != nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case method == "Network.requestWillBeSent":
		t.requests = append(t.requests, p.Request.URL)
	case method == "Runtime.exceptionThrown":
		t.troubles = append(t.troubles, p.ExceptionDetails.String())
	case method == "Runtime.consoleAPICalled" && p.Type == "error":
		t.troubles = append(t.troubles, string(params))
	case method == "Log.entryAdded" && (p.Entry.Level == "error" || p.Entry.Level == "warning"):
		t.troubles = append(t.troubles, p.Entry.Text)
	}
}

type exception struct {
	Text      string `json:"text"`
	Exception struct {
		Description string `json:"description"`
	} `json:"exception"`
}

// String is what the exception says.
func (e exception) String() string { return e.Text + " " + e.Exception.Description }

// Requests are the addresses that the page has asked for, its own first.
func (t *Tab) Requests() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.requests)
}

// Troubles are exceptions, errors of the console, and what a policy of the page forbade.
func (t *Tab) Troubles() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.troubles)
}

// Eval evaluates an expression, waits for it if it is a promise, and decodes its value
// into result, which may be nil.
func (t *Tab) Eval(tb testing.TB, expression string, result any) {
	tb.Helper()
	var answer struct {
		Result struct {
			Value json.RawMessage `json:"value"`
		} `json:"result"`
		ExceptionDetails *exception `json:"exceptionDetails"`
	}
	must(tb, t.browser.call(t.session, "Runtime.evaluate", map[string]any{
		"expression": expression, "awaitPromise": true, "returnByValue": true, "userGesture": true,
	}, &answer))
	if answer.ExceptionDetails != nil {
		tb.Fatalf("evaluating %.200s: %s", expression, answer.ExceptionDetails)
	}
	if result != nil {
		must(tb, json.Unmarshal(answer.Result.Value, result))
	}
}

// Wait waits until an expression is true.
func (t *Tab) Wait(tb testing.TB, expression string) {
	tb.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		var holds bool
		t.Eval(tb, "!!("+expression+")", &holds)
		if holds {
			return
		}
		if time.Now().After(deadline) {
			tb.Fatalf("never true: %s", expression)
		}
	}
}

// SetFiles chooses files in the input that the selector names, as a person would.
func (t *Tab) SetFiles(tb testing.TB, selector string, paths ...string) {
	tb.Helper()
	var found struct {
		Result struct {
			ObjectID string `json:"objectId"`
		} `json:"result"`
	}
	quoted, _ := json.Marshal(selector)
	must(tb, t.browser.call(t.session, "Runtime.evaluate", map[string]any{
		"expression": "document.querySelector(" + string(quoted) + ")",
	}, &found))
	if found.Result.ObjectID == "" {
		tb.Fatalf("nothing in the page is %s", selector)
	}
	must(tb, t.browser.call(t.session, "DOM.setFileInputFiles", map[string]any{
		"files": paths, "objectId": found.Result.ObjectID,
	}, nil))
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}
