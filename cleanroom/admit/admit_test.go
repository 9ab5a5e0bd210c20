package admit_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/cleanroom/match"
	"github.com/mahrem/mahrem/cleanroom/prepare"
	"github.com/mahrem/mahrem/privacy"
)

func TestWhatIsAdmittedIsWhatWasPrepared(t *testing.T) {
	t.Parallel()
	h := newHouse(t, cleanroom.MatchOperator)
	const n = prepare.ChunkSize + 10
	text := sent(t, h.prepared(t, n, match.NewOperator(), nil))
	admitted, err := h.send(t, service(brand), text)
	if err != nil {
		t.Fatal(err)
	}
	if admitted.Waiting || admitted.Epoch != 4 || admitted.Dataset.String() != "brand_partner.segments" || !h.admitted {
		t.Errorf("admitted %+v", admitted)
	}
	if len(h.members) != n || len(h.rows) != n || h.admission.Members != n || h.admission.Rows != n || h.admission.Contract != 2 {
		t.Errorf("%d members, %d rows, %+v", len(h.members), len(h.rows), h.admission)
	}
	// Person 7 sits where their row points, under the house's key.
	tag := sha256.Sum256([]byte("p7@example.com"))
	tag[0] ^= 0xff
	at := slices.IndexFunc(h.members, func(m cleanroom.StagedMember) bool { return bytes.Equal(m.Token, tag[:]) })
	if at < 0 {
		t.Fatal("somebody is missing")
	}
	var rows []cleanroom.StagedRow
	for _, row := range h.rows {
		if row.Ordinal == h.members[at].Ordinal {
			rows = append(rows, row)
		}
	}
	want := []cleanroom.StagedRow{{Ordinal: h.members[at].Ordinal, Dimensions: []int32{1, 20520}, Measures: []int64{7}}}
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Error(diff)
	}
	event := h.events[len(h.events)-1]
	if event.Kind != audit.SnapshotAdmitted || event.List != admitted.Manifest || event.Recipient != brand || event.Policy != (audit.Digest{9}) {
		t.Errorf("the entry: %+v", event)
	}
	if len(h.facts.Members) != 2 || len(h.facts.Columns) != 3 || h.facts.Purpose != "campaign_measurement" || !slices.Equal(h.facts.Roles, []string{"owns_data"}) {
		t.Errorf("the policies were asked about %+v", h.facts)
	}
}

func TestPairNeedsBothParties(t *testing.T) {
	t.Parallel()
	h := newHouse(t, cleanroom.MatchPair)
	pair := newPair(t)
	dir := h.prepared(t, 20, pair, nil)
	own := sent(t, dir)
	if bytes.Contains(own, []byte(`{"members"`)) {
		t.Fatal("the owner sends the list of members")
	}
	others := sent(t, h.other(t, dir, newPair(t)))
	if bytes.Contains(others, []byte(`{"rows"`)) {
		t.Fatal("the other party has the rows")
	}
	if _, err := h.send(t, service(retailer), others); pointerOf(err) != "/manifest" {
		t.Errorf("the list before the rows: %v", err)
	}
	h.mustLeave(t, service(retailer), cleanroom.CheckFiling)
	admitted, err := h.send(t, service(brand), own)
	if err != nil || !admitted.Waiting || h.admitted || len(h.events) != 1 {
		t.Fatalf("the owner's part: %+v, %v", admitted, err)
	}
	// A list that breaks off leaves the owner's part as it was.
	cut := bytes.TrimSuffix(others, []byte("\n"))
	if _, err := h.send(t, service(retailer), cut); !errors.Is(err, privacy.ErrInvalid) || !h.loading || len(h.members) != 0 {
		t.Errorf("a list that breaks off: %v, loading %t", err, h.loading)
	}
	// Nobody brings what the other one signed.
	if _, err := h.send(t, service(brand), others); !errors.Is(err, privacy.ErrForbidden) {
		t.Errorf("the owner brings the other party's list: %v", err)
	}
	if admitted, err = h.send(t, service(retailer), others); err != nil || admitted.Waiting || !h.admitted || len(h.members) != 20 || len(h.rows) != 20 {
		t.Errorf("both parts: %+v, %v, %d members, %d rows", admitted, err, len(h.members), len(h.rows))
	}
}

// In pair mode either part may be refused, and each refusal has its entry, or is an error that
// says why there is none.
func TestEachPartOfAPairIsRefusedWithAnEntry(t *testing.T) {
	t.Parallel()
	h := newHouse(t, cleanroom.MatchPair)
	dir := h.prepared(t, 20, newPair(t), nil)
	own, others := sent(t, dir), sent(t, h.other(t, dir, newPair(t)))
	refused := func(by cleanroom.PartyID, text []byte) {
		t.Helper()
		h.allow, h.events = false, nil
		if _, err := h.send(t, service(by), text); !errors.Is(err, privacy.ErrForbidden) {
			t.Errorf("by %s: %v", by, err)
		}
		if len(h.events) != 1 || h.events[0].Kind != audit.RoomDenied || !slices.Equal(h.events[0].Checks, []string{"special_category"}) || h.events[0].Principal != service(by) {
			t.Errorf("by %s: %+v", by, h.events)
		}
		h.deaf = privacy.ErrUnavailable
		if _, err := h.send(t, service(by), text); !errors.Is(err, privacy.ErrUnavailable) || errors.Is(err, privacy.ErrForbidden) {
			t.Errorf("by %s, without a log: %v", by, err)
		}
		h.allow, h.deaf, h.events = true, nil, nil
	}
	refused(brand, own)
	if _, err := h.send(t, service(brand), own); err != nil {
		t.Fatal(err)
	}
	refused(retailer, others)
	if _, err := h.send(t, service(retailer), others); err != nil || !h.admitted {
		t.Errorf("both parts: %v", err)
	}
}

func pointerOf(err error) string {
	if field, ok := errors.AsType[*privacy.FieldError](err); ok {
		return field.Pointer
	}
	return ""
}

func TestWhatIsRefused(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		prepare func(c *prepare.Config)
		house   func(h *house)
		change  func(text []byte) []byte
		by      privacy.Principal
		pointer string
		err     error
		check   string // of the entry; room_filing if it says nothing
	}{
		"another epoch":   {house: func(h *house) { h.room.Epoch = 4 }, pointer: "/manifest/epoch"},
		"another mode":    {house: func(h *house) { h.room.Matching = cleanroom.MatchBlind }, pointer: "/manifest/matching"},
		"too few":         {house: func(h *house) { h.room.MinimumMembers = 21 }, pointer: "/manifest/members"},
		"another version": {house: func(h *house) { c := *h.contract; c.Digest[0]++; h.contract = &c }, pointer: "/manifest/contract_digest"},
		"house's people": {house: func(h *house) {
			c, k := *h.contract, *h.contract.Contract
			k.Source = cleanroom.FromHouse
			c.Contract, h.contract = &k, &c
		}, pointer: "/manifest/dataset"},
		"another room":      {prepare: func(c *prepare.Config) { c.Room = "autumn" }, pointer: "/manifest/room"},
		"another's key":     {house: func(h *house) { h.public[brand] = other(brand) }, pointer: "/manifest", check: cleanroom.CheckSignature},
		"no party any more": {house: func(h *house) { delete(h.public, brand) }, pointer: "/manifest"},
		"a changed token":   {change: func(text []byte) []byte { return bytes.Replace(text, []byte("=\",\"01:"), []byte("=\",\"02:"), 1) }, pointer: ""},
		"a changed row":     {change: func(text []byte) []byte { return bytes.Replace(text, []byte(`"rows":[[`), []byte(`"rows":[[0`), 1) }, pointer: ""},
		"rows left out":     {change: func(text []byte) []byte { return text[:bytes.Index(text, []byte(`{"rows"`))] }, pointer: ""},
		"more than signed":  {change: func(text []byte) []byte { return append(text, "{}\n"...) }, pointer: ""},
		"no head":           {change: func([]byte) []byte { return []byte("{}\n") }, pointer: "", check: "none"},
		"nothing":           {change: func([]byte) []byte { return nil }, pointer: "", check: "none"},
		"another's":         {by: service(retailer), err: privacy.ErrForbidden},
		"a stranger":        {by: service("stranger"), err: privacy.ErrForbidden},
		"no owner of data":  {house: func(h *house) { h.room.Members[0].Roles = []cleanroom.Role{cleanroom.MayQuery} }, err: privacy.ErrForbidden},
		"the policies":      {house: func(h *house) { h.allow = false }, err: privacy.ErrForbidden},
		"a closed room":     {house: func(h *house) { h.room.ClosedAt = h.room.OpenedAt.AddDate(1, 1, 1) }, err: privacy.ErrForbidden},
		"somebody twice":    {house: func(h *house) { h.failing = fmt.Errorf("%w: %w", cleanroom.ErrDuplicates, privacy.ErrInvalid) }, err: cleanroom.ErrDuplicates},
		"a damaged house":   {house: func(h *house) { h.failing = fmt.Errorf("%w: %w", privacy.ErrDamaged, privacy.ErrInvalid) }, err: privacy.ErrDamaged, check: "none"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, cleanroom.MatchOperator)
			text := sent(t, h.prepared(t, 20, match.NewOperator(), test.prepare))
			if test.house != nil {
				test.house(h)
			}
			if test.change != nil {
				text = test.change(text)
			}
			by := test.by
			if by.ID == "" {
				by = service(brand)
			}
			_, err := h.send(t, by, text)
			if test.err != nil {
				if !errors.Is(err, test.err) {
					t.Fatalf("got %v", err)
				}
				if test.err == privacy.ErrForbidden && (len(h.events) != 1 || h.events[0].Kind != audit.RoomDenied || len(h.events[0].Checks) == 0) {
					t.Errorf("the entry of the refusal: %+v", h.events)
				}
				if test.err != privacy.ErrForbidden {
					h.mustLeave(t, by, test.check)
				}
			} else if field, ok := errors.AsType[*privacy.FieldError](err); !ok || field.Pointer != test.pointer {
				t.Fatalf("got %v, want a fault at %q", err, test.pointer)
			} else {
				h.mustLeave(t, by, test.check)
			}
			if h.admitted || h.loading || len(h.members)+len(h.rows) > 0 {
				t.Error("something of it stayed")
			}
		})
	}
}

// mustLeave wants the one entry of a delivery that is not as it must be; none of one that has
// no head, which is about no room.
func (h *house) mustLeave(t *testing.T, by privacy.Principal, check string) {
	t.Helper()
	if check == "none" {
		if len(h.events) > 0 {
			t.Errorf("left %+v", h.events)
		}
		return
	}
	if check == "" {
		check = cleanroom.CheckFiling
	}
	if len(h.events) != 1 {
		t.Fatalf("left %d entries", len(h.events))
	}
	if e := h.events[0]; e.Kind != audit.RoomDenied || e.Outcome != audit.Denied || e.Principal != by || e.Purpose != h.room.Purpose || !slices.Equal(e.Checks, []string{check}) {
		t.Errorf("left %+v, and not %s", e, check)
	}
}

// other is a new key in a party's name.
func other(party cleanroom.PartyID) string {
	_, public, err := cleanroom.GenerateKey(rand.Reader, party)
	if err != nil {
		panic(err)
	}
	return public
}

// A value that the contract does not provide for is refused even if the owner has signed it.
func TestSignedValuesAreHeldToTheContract(t *testing.T) {
	t.Parallel()
	h := newHouse(t, cleanroom.MatchOperator)
	lines := strings.SplitAfter(string(sent(t, h.prepared(t, 20, match.NewOperator(), nil))), "\n")
	rows, err := prepare.ParseRows([]byte(strings.TrimSpace(lines[2])), 3, 20)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range map[string][]int64{
		"spend":       {cleanroom.LargestMeasure + 1, 0, 20520},
		"segment":     {1, 2, 20520},
		"before":      {1, 0, 20453},
		"after":       {1, 0, 20819},
		"no negative": {1, -1, 20520},
	} {
		changed := slices.Clone(rows)
		changed[3].Values = values
		line := prepare.AppendRows(nil, changed, [16]byte{})
		var head struct {
			Manifest string `json:"manifest"`
		}
		if err := json.Unmarshal([]byte(lines[0]), &head); err != nil {
			t.Fatal(err)
		}
		verifier, err := cleanroom.ParseVerifier(h.public[brand], brand)
		if err != nil {
			t.Fatal(err)
		}
		m, err := prepare.OpenManifest([]byte(head.Manifest), verifier)
		if err != nil {
			t.Fatal(err)
		}
		m.RowChunks = []audit.Digest{sha256.Sum256(line)}
		signed, err := m.Sign(h.keys[brand])
		if err != nil {
			t.Fatal(err)
		}
		first, err := json.Marshal(map[string]string{"manifest": string(signed)})
		if err != nil {
			t.Fatal(err)
		}
		_, err = h.send(t, service(brand), slices.Concat(first, []byte("\n"+lines[1]), line, []byte("\n")))
		if pointerOf(err) != "/rows" || h.admitted {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Whoever's line breaks is not told that what they sent is wrong.
func TestABrokenLineIsNoFault(t *testing.T) {
	t.Parallel()
	h := newHouse(t, cleanroom.MatchOperator)
	text := sent(t, h.prepared(t, 20, match.NewOperator(), nil))
	for _, at := range []int{0, 10, len(text) / 2, len(text) - 1} {
		in := io.MultiReader(bytes.NewReader(text[:at]), iotest.ErrReader(errors.New("gone")))
		_, err := h.desk().Admit(t.Context(), service(brand), "spring", in)
		if !errors.Is(err, prepare.ErrInput) || errors.Is(err, privacy.ErrInvalid) || h.admitted {
			t.Errorf("broken after %d bytes: %v", at, err)
		}
	}
}

// In oprf mode nobody's token comes from elsewhere than from the house, which counted it.
func TestAListIsNoLargerThanWasEvaluated(t *testing.T) {
	t.Parallel()
	h := newHouse(t, cleanroom.MatchOPRF)
	text := sent(t, h.prepared(t, 20, inOPRF{match.NewOperator()}, nil))
	for name, test := range map[string]struct {
		declared *match.Declared
		pointer  string
	}{
		"nothing was":         {nil, "/manifest/members"},
		"fewer were declared": {&match.Declared{Members: 19, Elements: 22}, "/manifest/members"},
		"more were declared":  {&match.Declared{Members: 21, Elements: 22}, "/manifest/declared"},
		"fewer were counted":  {&match.Declared{Members: 20, Elements: 19}, "/manifest/members"},
		"as many":             {&match.Declared{Members: 20, Elements: 20}, ""},
	} {
		h.declared = test.declared
		if _, err := h.send(t, service(brand), text); pointerOf(err) != test.pointer || (err == nil) != (test.pointer == "") {
			t.Errorf("%s: %v, not a fault at %q", name, err, test.pointer)
		}
	}
}

// inOPRF says of other tokens that they are of oprf mode.
type inOPRF struct{ match.Matcher }

func (inOPRF) Mode() cleanroom.Matching { return cleanroom.MatchOPRF }

func FuzzAdmit(f *testing.F) {
	h := newHouse(f, cleanroom.MatchOperator)
	f.Add(sent(f, h.prepared(f, 20, match.NewOperator(), nil)))
	f.Add([]byte("{\"manifest\":\"\"}\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		h.admitted, h.loading, h.at = false, false, cleanroom.Snapshot{}
		_, err := h.send(t, service(brand), text)
		if err == nil != h.admitted || err != nil && h.loading {
			t.Errorf("%v, admitted %t, loading %t", err, h.admitted, h.loading)
		}
		if err != nil && !errors.Is(err, privacy.ErrInvalid) && !errors.Is(err, privacy.ErrForbidden) {
			t.Errorf("an error of another kind: %v", err)
		}
	})
}
