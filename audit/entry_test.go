package audit

import (
	"errors"
	"fmt"
	"go/ast"
	goparser "go/parser"
	"go/token"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/mahrem/mahrem/privacy"
)

func TestParseEntryReadsWhatWasWritten(t *testing.T) {
	t.Parallel()
	event := fullEvent()
	got, err := testEncoder(t).NewEntry(event)
	if err != nil {
		t.Fatal(err)
	}
	id := [16]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
	want := Entry{
		ID: id, Time: time.UnixMilli(1795325000123).UTC(),
		Kind: QueryAnswered, Outcome: Allowed, Role: privacy.RoleService, Actor: testActor(event.Principal),
		Recipient: "shop", Concerning: "ads-partner", Purpose: "recommendations", Channel: "web",
		Person: event.Subject.Blinding.Opening(id).Tag(event.Subject.ID),
		Checks: event.Checks, Attributes: event.Attributes,
		Policy: event.Policy, Facts: event.Facts, List: event.List, Count: "11-100",
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Entry{})); diff != "" {
		t.Error(diff)
	}
}

func TestEventsThatDoNotFit(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*Event){
		"unknown kind":             func(e *Event) { e.Kind = "query.guessed" },
		"no outcome":               func(e *Event) { e.Outcome = "" },
		"no principal":             func(e *Event) { e.Principal.ID = "" },
		"unknown role":             func(e *Event) { e.Principal.Role = "root" },
		"minted role elsewhere":    func(e *Event) { e.Minted = privacy.RoleDPO },
		"unknown minted role":      func(e *Event) { e.Kind, e.Minted = TokenMinted, "root" },
		"recipient without caller": func(e *Event) { e.Principal = privacy.Principal{Recipient: "shop"} },
		"e-mail address":           func(e *Event) { e.Recipient = "jana@example.org" },
		"name and surname":         func(e *Event) { e.Purpose = "Jana Nováková" },
		"quote":                    func(e *Event) { e.Channel = `web"` },
		"long word":                func(e *Event) { e.Purpose = privacy.Purpose(strings.Repeat("a", 129)) },
		"person without a key":     func(e *Event) { e.Subject.Blinding = BlindingKey{} },
		"key without a person":     func(e *Event) { e.Subject.ID = privacy.DataSubjectID{} },
		"unknown but named":        func(e *Event) { e.Subject.Unknown = true },
		"unsorted checks":          func(e *Event) { slices.Reverse(e.Checks) },
		"repeated attribute":       func(e *Event) { e.Attributes = []privacy.AttributeName{"a", "a"} },
		"empty check":              func(e *Event) { e.Checks = []string{""} },
		"too many attributes":      func(e *Event) { e.Attributes = manyAttributes(129) },
	} {
		event := fullEvent()
		spoil(&event)
		if _, err := testEncoder(t).NewEntry(event); !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func manyAttributes(n int) (names []privacy.AttributeName) {
	for i := range n {
		names = append(names, privacy.AttributeName(fmt.Sprintf("%03d", i)+strings.Repeat("x", 125)))
	}
	return names
}

func TestLargestEntryFits(t *testing.T) {
	t.Parallel()
	event := fullEvent()
	event.Attributes, event.Checks = manyAttributes(128), nil
	for _, name := range manyAttributes(64) {
		event.Checks = append(event.Checks, string(name))
	}
	entry, err := testEncoder(t).NewEntry(event)
	if err != nil || len(entry.Leaf()) > MaxLeaf {
		t.Errorf("%d bytes, %v", len(entry.Leaf()), err)
	}
}

func TestParseEntryIsStrict(t *testing.T) {
	t.Parallel()
	entry, err := testEncoder(t).NewEntry(fullEvent())
	if err != nil {
		t.Fatal(err)
	}
	good := string(entry.Leaf())
	replace := func(from, to string) string {
		t.Helper()
		if !strings.Contains(good, from) {
			t.Fatalf("no %q in the entry", from)
		}
		return strings.Replace(good, from, to, 1)
	}
	for name, leaf := range map[string]string{
		"empty":                 "",
		"another version":       replace(`"v":1`, `"v":2`),
		"minted role elsewhere": replace(`,"p":"`, `,"as":"dpo","p":"`),
		"white space":           replace(`,"k"`, `, "k"`),
		"newline at the end":    good + "\n",
		"two documents":         good + good,
		"unknown field":         replace(`,"p":`, `,"name":"Jana","p":`),
		"repeated field":        replace(`,"ch":"web"`, `,"ch":"web","ch":"web"`),
		"reordered fields":      replace(`"p":"recommendations","ch":"web"`, `"ch":"web","p":"recommendations"`),
		"missing kind":          replace(`,"k":"query.answered"`, ``),
		"missing outcome":       replace(`,"d":"allow"`, ``),
		"unknown kind":          replace(`query.answered`, `query.guessed`),
		"unknown outcome":       replace(`"allow"`, `"maybe"`),
		"unknown role":          replace(`"service"`, `"root"`),
		"role without actor":    replace(`,"a":"`+actorText(good), ``),
		"leading zero":          replace(`"t":1795325000123`, `"t":01795325000123`),
		"exponent":              replace(`"t":1795325000123`, `"t":1795325000123e0`),
		"negative zero":         replace(`"t":1795325000123`, `"t":-0`),
		"no time":               replace(`"t":1795325000123`, `"t":`),
		"escaped letter":        replace(`"web"`, `"w\u0065b"`),
		"empty word":            replace(`"ch":"web"`, `"ch":""`),
		"base64 spare bits":     replace(`AAECAwQFBgcICQoLDA0ODw`, `AAECAwQFBgcICQoLDA0ODx`),
		"base64 padding":        replace(`AAECAwQFBgcICQoLDA0ODw`, `AAECAwQFBgcICQoLDA0ODw==`),
		"base64 with newline":   replace(`AAECAwQFBgcICQoLDA0ODw`, "AAECAwQFBgcICQoLDA0OD\n"),
		"zero digest":           replace(`"pol":"AQAA`, `"pol":"AAAA`),
		"unsorted list":         replace(`["inference.health","window.open"]`, `["window.open","inference.health"]`),
		"repeated in list":      replace(`["inference.health","window.open"]`, `["window.open","window.open"]`),
		"empty list":            replace(`["inference.health","window.open"]`, `[]`),
		"exact count":           replace(`"n":"11-100"`, `"n":"17"`),
		"cut":                   good[:len(good)-1],
	} {
		if _, err := ParseEntry([]byte(leaf)); !errors.Is(err, privacy.ErrDamaged) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// actorText is the actor's tag with the quote after it.
func actorText(leaf string) string {
	_, rest, _ := strings.Cut(leaf, `"a":"`)
	return rest[:23]
}

// FuzzParseEntry: what parses is written again as the same bytes.
func FuzzParseEntry(f *testing.F) {
	for _, event := range entryVectors() {
		e, err := NewEncoder(EncoderConfig{Random: new(counting), Actor: testActor})
		if err != nil {
			f.Fatal(err)
		}
		leaf, _, err := e.AppendLeaf(nil, &event)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(leaf)
	}
	f.Fuzz(func(t *testing.T, leaf []byte) {
		entry, err := ParseEntry(leaf)
		noted, checkErr := CheckEntry(leaf)
		if (err == nil) != (checkErr == nil) || noted != (entry.Kind == LogRestored || entry.Kind == ClockSetBack) {
			t.Errorf("read with %v; checked with %v, noted %v", err, checkErr, noted)
		}
		if err != nil {
			if !errors.Is(err, privacy.ErrDamaged) {
				t.Errorf("error of another kind: %v", err)
			}
			return
		}
		if again := rewrite(&entry); string(again) != string(leaf) {
			t.Errorf("read  %s\nwrote %s", leaf, again)
		}
	})
}

// rewrite encodes a parsed entry with fmt, as a second opinion on the format.
func rewrite(e *Entry) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, `{"v":1,"id":"%s","t":%d`, b64(e.ID[:]), e.Time.UnixMilli())
	field := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, `,"%s":"%s"`, name, value)
		}
	}
	digest := func(name string, d [32]byte) {
		if d != [32]byte{} {
			field(name, b64(d[:]))
		}
	}
	field("k", string(e.Kind))
	field("d", string(e.Outcome))
	if e.Role != "" {
		field("role", string(e.Role))
		field("a", b64(e.Actor[:]))
	}
	field("r", string(e.Recipient))
	field("to", string(e.Concerning))
	field("as", string(e.Minted))
	field("p", string(e.Purpose))
	field("ch", string(e.Channel))
	digest("s", e.Person)
	if e.Checks != nil {
		fmt.Fprintf(&b, `,"checks":["%s"]`, strings.Join(e.Checks, `","`))
	}
	for i, name := range e.Attributes {
		if i == 0 {
			b.WriteString(`,"attrs":["`)
		} else {
			b.WriteString(`","`)
		}
		b.WriteString(string(name))
	}
	if e.Attributes != nil {
		b.WriteString(`"]`)
	}
	digest("pol", e.Policy)
	digest("facts", e.Facts)
	digest("list", e.List)
	field("n", string(e.Count))
	return []byte(b.String() + "}")
}

// TestEveryKindIsValid reads the constants from the source, so that a new kind cannot
// be forgotten in the closed set.
func TestEveryKindIsValid(t *testing.T) {
	t.Parallel()
	file, err := goparser.ParseFile(token.NewFileSet(), "event.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if name, ok := spec.Type.(*ast.Ident); !ok || name.Name != "Kind" {
			return true
		}
		seen++
		value := strings.Trim(spec.Values[0].(*ast.BasicLit).Value, `"`)
		if !Kind(value).Valid() {
			t.Errorf("%s is a kind but not valid", value)
		}
		return true
	})
	if seen < 18 {
		t.Errorf("found only %d kinds", seen)
	}
}

func TestBuckets(t *testing.T) {
	t.Parallel()
	for n, want := range map[uint64]Bucket{
		0: "", 1: "1", 2: "2-10", 10: "2-10", 11: "11-100", 100: "11-100", 101: "101-1000",
		1_000_000: "100001-1000000", 1_000_001: "1000001-", 1<<64 - 1: "1000001-",
	} {
		if got := BucketOf(n); got != want || !isBucket(got) {
			t.Errorf("%d is in bucket %q, want %q", n, got, want)
		}
	}
}

func TestBlindingKeyPrintsNothing(t *testing.T) {
	t.Parallel()
	key := BlindingKey{0xab}
	for _, verb := range []string{"%v", "%+v", "%#v", "%x", "%s", "%d", "%q"} {
		if got := fmt.Sprintf(verb, key); got != privacy.Redacted {
			t.Errorf("%s prints %s", verb, got)
		}
	}
	if got := fmt.Sprintf("%+v", fullEvent()); strings.Contains(got, "[0 0 0") && strings.Contains(got, " 9]") {
		t.Errorf("the event prints its key: %s", got)
	}
}

// TestNewEntryDoesNotAllocate: there is one for every query that is answered.
func TestNewEntryDoesNotAllocate(t *testing.T) {
	tag := testActor(privacy.Principal{ID: "x"})
	e, err := NewEncoder(EncoderConfig{Actor: func(privacy.Principal) [16]byte { return tag }})
	if err != nil {
		t.Fatal(err)
	}
	event := fullEvent()
	leaf := make([]byte, 0, 1024)
	if n := testing.AllocsPerRun(100, func() { leaf, _, _ = e.AppendLeaf(leaf[:0], &event) }); n > 1 { // one is the race detector's
		t.Errorf("%v allocations an entry", n)
	}
}

func BenchmarkNewEntry(b *testing.B) {
	tag := testActor(privacy.Principal{ID: "x"})
	e, err := NewEncoder(EncoderConfig{Actor: func(privacy.Principal) [16]byte { return tag }})
	if err != nil {
		b.Fatal(err)
	}
	event := fullEvent()
	leaf := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		if leaf, _, err = e.AppendLeaf(leaf[:0], &event); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseEntry(b *testing.B) {
	entry, err := testEncoder(b).NewEntry(fullEvent())
	if err != nil {
		b.Fatal(err)
	}
	words := map[string]string{}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := parseEntry(entry.Leaf(), words); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkTag(b *testing.B) {
	s := fullEvent().Subject
	b.ReportAllocs()
	for b.Loop() {
		_ = s.Blinding.Opening([16]byte{1}).Tag(s.ID)
	}
}

func BenchmarkLeafHash(b *testing.B) {
	leaf := make([]byte, 320)
	b.ReportAllocs()
	for b.Loop() {
		_ = LeafHash(leaf)
	}
}
