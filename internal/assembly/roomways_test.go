package assembly

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	mathrand "math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/cleanroom/draw"
	"github.com/mahrem/mahrem/cleanroom/match"
	"github.com/mahrem/mahrem/cleanroom/noise"
	"github.com/mahrem/mahrem/cleanroom/prepare"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/intake"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/server"
)

const audienceContract = `{
  "owner": "brand_partner", "dataset": "audience", "version": 1, "source": "party", "unit": "person", "purposes": ["campaign_measurement"],
  "columns": [{"name": "tier", "role": "dimension", "type": "enum", "category": "profile", "domain": ["gold", "silver"]}],
  "minimum_people": 50, "cap_nanorho": 147000000, "consumer_cap_nanorho": 36750000, "query_cap_nanorho": 5880000,
  "max_groups_per_person": 1, "ad_hoc": true
}`

// reachQuery asks how many people are in both datasets.
const reachQuery = `{"room":"duo","from":[{"dataset":"retail_media.homes","as":"h"},{"dataset":"brand_partner.audience","as":"a"}],"join":"match",
	"metrics":[{"fn":"people","as":"reach"}],"privacy":{"noise_people":20,"max_groups_per_person":1},"purpose":"campaign_measurement"}`

// way is a house that is served, with its own people and a brand that brings some, in a room
// that matches in one way.
type way struct {
	t         *testing.T
	house     *House
	pool      *pgxpool.Pool
	matching  cleanroom.Matching
	web       *httptest.Server
	token     string // the brand's
	signers   map[cleanroom.PartyID]*cleanroom.Signer
	contracts map[cleanroom.PartyID]*cleanroom.SignedContract
	people    []privacy.DataSubjectID
	common    map[int]bool // who of the people is on the brand's list
	secret    []byte
	scalars   map[cleanroom.PartyID]*match.Pair
}

// tierOf is equal for a person of the house and the same person of the brand.
func tierOf(i int) string { return []string{"gold", "silver"}[(i*i+i/3)%2] }

const wayPeople = 240

func newWay(t *testing.T, matching cleanroom.Matching) *way {
	t.Helper()
	w := &way{
		t: t, matching: matching, signers: map[cleanroom.PartyID]*cleanroom.Signer{}, contracts: map[cleanroom.PartyID]*cleanroom.SignedContract{},
		common: map[int]bool{}, secret: bytes.Repeat([]byte{7}, match.MinSecret), scalars: map[cleanroom.PartyID]*match.Pair{},
	}
	house, database := newHouse(t)
	w.house, w.pool = house, database.OwnerPool(t)
	by := Operator("tester")
	for party, text := range map[cleanroom.PartyID]string{"retail_media": householdContract, "brand_partner": audienceContract} {
		secret, public, err := cleanroom.GenerateKey(rand.Reader, party)
		w.must(err)
		w.signers[party], err = cleanroom.ParseSigner(secret)
		w.must(err)
		_, err = house.Rooms.Register.AddParty(t.Context(), by, party, strings.TrimSpace(public))
		w.must(err)
		contract, err := cleanroom.ParseContract([]byte(text))
		w.must(err)
		signed, err := cleanroom.SignContract(contract, w.signers[party])
		w.must(err)
		filed, _, err := house.Rooms.Register.AddContract(t.Context(), by, signed, party, "")
		w.must(err)
		w.contracts[party] = &filed.SignedContract
		scalar, err := match.NewPairSecret(rand.Reader)
		w.must(err)
		w.scalars[party], err = match.NewPair(match.PairSalt(w.secret), scalar)
		w.must(err)
	}
	_, err := house.Rooms.Register.OpenRoom(t.Context(), by, &cleanroom.Room{
		ID: "duo", Purpose: "campaign_measurement", Mode: cleanroom.Private, Matching: matching, MinimumMembers: 2,
		Members: []cleanroom.Member{
			{Party: "brand_partner", Roles: []cleanroom.Role{cleanroom.OwnsData, cleanroom.MayQuery, cleanroom.MayReceive}},
			{Party: "retail_media", Roles: []cleanroom.Role{cleanroom.OwnsData}},
		},
		Datasets: []cleanroom.DatasetRef{{Owner: "brand_partner", Dataset: "audience"}, {Owner: "retail_media", Dataset: "homes"}},
	})
	w.must(err)
	api, err := house.Server(server.Config{Log: slog.New(slog.DiscardHandler), RequestTimeout: 10 * time.Minute})
	w.must(err)
	w.web = httptest.NewServer(api)
	t.Cleanup(w.web.Close)
	minted, err := house.Tokens.Mint(privacy.Principal{ID: "brand", Role: privacy.RoleService, Recipient: "brand_partner"}, time.Hour)
	w.must(err)
	w.token = minted.Token
	w.load()
	return w
}

func (w *way) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// sharers have an address that somebody else in the house has, too, but for case. The first five
// agree, and are left out; nobody is because of the others, who never agreed or is a child.
var sharers = []struct{ email, born string }{
	{"home0@example.com", "1980-05-01"},
	{"Home0@example.com", "1981-05-01"},
	{"home1@example.com", "1980-05-01"},
	{"home1@Example.com", "1981-05-01"},
	{"home1@example.com", "1982-05-01"},
	{"p0@example.com", "2021-05-01"},
	{"p1@example.com", "1980-05-01"},
}

// load brings the house's people in, all of whom agree, and sharers.
func (w *way) load() {
	w.t.Helper()
	var lines strings.Builder
	person := func(i int, email, born string) {
		fmt.Fprintf(&lines, `{"identifiers":[{"kind":"customer_number","value":"K-%d"}],"jurisdiction":"CZ","attributes":{"email":"%s","loyalty_tier":"%s","birth_date":"%s"}}`+"\n", i, email, tierOf(i), born)
	}
	for i := range wayPeople {
		person(i, fmt.Sprintf("P%d@Example.com", i), "1980-05-01")
	}
	for i, s := range sharers {
		person(wayPeople+i, s.email, s.born)
	}
	result, err := w.house.Loader.LoadStream(w.t.Context(), strings.NewReader(lines.String()), intake.StreamOptions{Principal: Operator("tester")})
	if err != nil || len(result.Rejects) > 0 {
		w.t.Fatal(result.Rejects, err)
	}
	for i := range wayPeople {
		id, err := w.house.People.ResolveIdentifier(w.t.Context(), customer(i))
		w.must(err)
		w.people = append(w.people, id)
		_, err = w.house.Consent.Grant(w.t.Context(), Operator("tester"), w.change(i))
		w.must(err)
		if mathrand.IntN(4) > 0 {
			w.common[i] = true
		}
	}
	for i := range len(sharers) - 1 {
		id, err := w.house.People.ResolveIdentifier(w.t.Context(), customer(wayPeople+i))
		w.must(err)
		w.people = append(w.people, id)
		_, err = w.house.Consent.Grant(w.t.Context(), Operator("tester"), w.change(wayPeople+i))
		w.must(err)
	}
}

func (w *way) change(i int) consent.Change {
	return consent.Change{DataSubject: w.people[i], Purpose: "campaign_measurement", Channel: "*", NoticeVersion: "n1", Source: "web_form"}
}

// withdraw takes somebody who is on both lists out, and returns who it was.
func (w *way) withdraw() int {
	w.t.Helper()
	for i := range wayPeople {
		if w.common[i] {
			_, err := w.house.Consent.Withdraw(w.t.Context(), Operator("tester"), w.change(i))
			w.must(err)
			delete(w.common, i)
			return i
		}
	}
	w.t.Fatal("nobody is left")
	return 0
}

// draw draws the house's people. In pair mode the list is in the directory that it returns.
func (w *way) draw() (*draw.Drawn, string, error) {
	w.t.Helper()
	mapping, err := draw.ParseMapping([]byte(householdMapping))
	w.must(err)
	drawer, err := w.house.Drawer(w.t.Context())
	w.must(err)
	dir := filepath.Join(w.t.TempDir(), "list")
	order := draw.Order{
		Room: "duo", Dataset: cleanroom.DatasetRef{Owner: "retail_media", Dataset: "homes"}, Mapping: mapping,
		Secret: w.secret, Pair: w.scalars["retail_media"],
		Hand: func(list draw.List, commit func(manifest audit.Digest) error) error {
			l := prepare.HouseList{Room: list.Room, Epoch: list.Epoch, Contract: list.Contract, Identifier: list.Identifier, Signer: w.signers["retail_media"], Now: time.Now}
			_, err := l.Write(dir, list.Tokens, commit)
			return err
		},
	}
	drawn, err := drawer.Draw(w.t.Context(), Operator("tester"), order)
	return &drawn, dir, err
}

// evaluate asks the house over HTTP, as a party does.
func (w *way) evaluate(members int) match.Evaluate {
	return func(_ context.Context, epoch int, blinded [][]byte) (match.Evaluation, error) {
		var answer match.Evaluation
		body, err := json.Marshal(map[string]any{"dataset": "audience", "members": members, "epoch": epoch, "elements": blinded})
		if err != nil {
			return answer, err
		}
		status, text := w.post("/v1/rooms/duo/oprf:evaluate", "application/json", body)
		if status != http.StatusOK {
			return answer, fmt.Errorf("status %d: %s", status, text)
		}
		return answer, json.Unmarshal(text, &answer)
	}
}

func (w *way) post(path, contentType string, body []byte) (int, []byte) {
	w.t.Helper()
	request, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.web.URL+path, bytes.NewReader(body))
	w.must(err)
	request.Header.Set("Authorization", "Bearer "+w.token)
	request.Header.Set("Content-Type", contentType)
	response, err := w.web.Client().Do(request)
	w.must(err)
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	w.must(err)
	return response.StatusCode, text
}

// prepare has the brand prepare those in common, two homes that several share, and 58 strangers,
// and returns the directory.
func (w *way) prepare(change func(*prepare.Config)) string {
	w.t.Helper()
	lines := []string{}
	for i := range wayPeople {
		if w.common[i] {
			lines = append(lines, fmt.Sprintf("p%d@example.com,yes,%s", i, tierOf(i)))
		}
	}
	lines = append(lines, "home0@example.com,yes,gold", "home1@example.com,yes,gold")
	for i := range 58 {
		lines = append(lines, fmt.Sprintf("stranger%d@example.com,yes,gold", i))
	}
	mathrand.Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
	text := "mail,optin,tier\n" + strings.Join(lines, "\n") + "\n"
	c := prepare.Config{
		Room: "duo", Epoch: 1, Contract: w.contracts["brand_partner"], Identifier: privacy.Email, IdentifierColumn: "mail",
		ConsentColumn: "optin", ConsentYes: "yes", Declared: len(lines), Minimum: 2, Signer: w.signers["brand_partner"],
		Noise: noise.Secure{}, Random: rand.Reader, Now: time.Now, Matcher: match.NewOperator(),
	}
	var err error
	switch w.matching {
	case cleanroom.MatchBlind:
		c.Matcher, err = match.NewBlind(w.secret, "duo", privacy.Email)
	case cleanroom.MatchPair:
		c.Matcher = w.scalars["brand_partner"]
	case cleanroom.MatchOPRF:
		public, e := w.house.RoomPublicKey(w.t.Context(), "duo")
		w.must(e)
		c.Matcher, err = match.NewOPRF(public, "duo", 1, w.evaluate(c.Declared))
	}
	w.must(err)
	if change != nil {
		change(&c)
	}
	dir := filepath.Join(w.t.TempDir(), "prepared")
	_, err = prepare.Run(w.t.Context(), intake.Source{Name: "people.csv", Size: int64(len(text)), Open: func() (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(text)), nil
	}}, dir, c)
	w.must(err)
	return dir
}

// remask has a party mask the other one's list once more, without its rows.
func (w *way) remask(dir string, owner, by cleanroom.PartyID) string {
	w.t.Helper()
	given, out := w.t.TempDir(), filepath.Join(w.t.TempDir(), "remasked")
	for _, name := range []string{prepare.ManifestFile, prepare.MembersFile} {
		content, err := os.ReadFile(filepath.Join(dir, name))
		w.must(err)
		w.must(os.WriteFile(filepath.Join(given, name), content, 0o600))
	}
	verifier, err := cleanroom.ParseVerifier(w.signers[owner].Public(), owner)
	w.must(err)
	_, err = prepare.Remask(w.t.Context(), given, out, prepare.RemaskConfig{Remasker: w.scalars[by], From: verifier, Signer: w.signers[by], Now: time.Now})
	w.must(err)
	return out
}

// send brings a directory to the house with the brand's token.
func (w *way) send(dir string) (int, string) {
	w.t.Helper()
	delivery, err := prepare.OpenDelivery(dir)
	w.must(err)
	defer func() { _ = delivery.Close() }()
	text, err := io.ReadAll(delivery)
	w.must(err)
	status, answer := w.post("/v1/rooms/duo/snapshots", "application/x-ndjson", text)
	return status, string(answer)
}

func (w *way) mustSend(dir string, status int) {
	w.t.Helper()
	if got, answer := w.send(dir); got != status {
		w.t.Fatalf("sending: %d, want %d: %s", got, status, answer)
	}
}

// admit lets a directory in at the house.
func (w *way) admit(dir string) error {
	w.t.Helper()
	delivery, err := prepare.OpenDelivery(dir)
	w.must(err)
	defer func() { _ = delivery.Close() }()
	_, err = w.house.Rooms.Admissions.Admit(w.t.Context(), Operator("tester"), "duo", delivery)
	return err
}

func (w *way) countOf(sql string, arguments ...any) int {
	w.t.Helper()
	return countOf(w.t, w.pool, sql, arguments...)
}

// TestFourWaysFindTheSamePeople goes each way from the house's own people and a party's file
// to an answer: whoever is on both lists and has not withdrawn is matched, with the rows that
// are theirs, and nobody else is; whoever shares an address with others who agreed is in none.
func TestFourWaysFindTheSamePeople(t *testing.T) {
	t.Parallel()
	for _, matching := range cleanroom.Matchings() {
		t.Run(string(matching), func(t *testing.T) {
			t.Parallel()
			w := newWay(t, matching)
			brands := w.prepare(nil) // with two who will have withdrawn
			total := len(w.common)
			drawn, ours, err := w.draw()
			w.must(err)
			if drawn.Members != wayPeople || drawn.Waiting != (matching == cleanroom.MatchPair) || drawn.Receipt.IsZero() {
				t.Errorf("drawn: %+v", drawn)
			}
			for i, id := range w.people[wayPeople:] {
				for _, table := range []string{"presence", "stay"} { // not even for a moment
					if n := w.countOf(`select count(*) from cleanroom.`+table+` where data_subject_id = $1`, [16]byte(id)); n != 0 {
						t.Errorf("sharer %d has %d rows in %s", i, n, table)
					}
				}
			}
			w.withdraw() // before anything comes back
			if matching == cleanroom.MatchPair {
				w.mustSend(brands, http.StatusAccepted)
				w.must(w.admit(w.remask(brands, "brand_partner", "retail_media")))
				w.mustSend(w.remask(ours, "retail_media", "brand_partner"), http.StatusCreated)
			} else {
				w.mustSend(brands, http.StatusCreated)
			}
			w.withdraw()
			if len(w.common) != total-2 {
				t.Fatal("two should have left")
			}
			matched, _, err := w.house.MatchRoom(t.Context(), Operator("tester"), "duo")
			w.must(err)
			if len(matched.Snapshots) != 2 {
				t.Fatalf("%d datasets were matched", len(matched.Snapshots))
			}
			const both = ` from cleanroom.fact h join cleanroom.fact a on a.match_id = h.match_id where h.snapshot_id = $1 and a.snapshot_id = $2`
			house, brand := matched.Snapshots[1].ID, matched.Snapshots[0].ID // in the order of their owners
			if n := w.countOf(`select count(*)`+both, house, brand); n != len(w.common) {
				t.Errorf("%d people are in both lists, want %d", n, len(w.common))
			}
			if n := w.countOf(`select count(*)`+both+` and h.d1 = a.d1`, house, brand); n != len(w.common) {
				t.Errorf("%d of %d have the rows that are theirs", n, len(w.common))
			}
			gold := 0
			for i := range w.common {
				if tierOf(i) == "gold" {
					gold++
				}
			}
			if n := w.countOf(`select count(*)`+both+` and h.d1 = 0`, house, brand); n != gold || gold == 0 || gold == len(w.common) {
				t.Errorf("%d of them are gold, want %d", n, gold)
			}
			for table, want := range map[string]int{"presence": wayPeople - 2, "seat": wayPeople - 2, "staged_member": 0, "staged_row": 0} {
				if n := w.countOf(`select count(*) from cleanroom.` + table); n != want {
					t.Errorf("%d rows in %s, want %d", n, table, want)
				}
			}
			w.withdraw() // from the facts
			if n := w.countOf(`select count(*)`+both, house, brand); n != len(w.common) {
				t.Errorf("%d people are in both lists after a withdrawal, want %d", n, len(w.common))
			}
			w.reach()
			if report, err := w.house.VerifyLog(t.Context(), nil); err != nil {
				t.Errorf("the log: %+v, %v", report, err)
			}
		})
	}
}

// reach asks over HTTP how many people are in common.
func (w *way) reach() {
	w.t.Helper()
	status, text := w.post("/v1/rooms/duo/queries", "application/json", []byte(reachQuery))
	var answer struct {
		Release struct {
			Groups []struct {
				Values map[string]struct {
					Value int `json:"value"`
				} `json:"values"`
			} `json:"groups"`
		} `json:"release"`
	}
	if err := json.Unmarshal(text, &answer); err != nil || status != http.StatusOK || len(answer.Release.Groups) != 1 {
		w.t.Fatalf("status %d, %v: %s", status, err, text)
	}
	for _, v := range answer.Release.Groups[0].Values {
		// Eight standard deviations.
		if off := v.Value - len(w.common); off < -160 || off > 160 {
			w.t.Errorf("about %d people are said to be in common, and %d are", v.Value, len(w.common))
		}
	}
}
