package demo

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/cleanroom/draw"
	"github.com/mahrem/mahrem/cleanroom/match"
	"github.com/mahrem/mahrem/cleanroom/noise"
	"github.com/mahrem/mahrem/cleanroom/prepare"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/intake"
	"github.com/mahrem/mahrem/internal/assembly"
	"github.com/mahrem/mahrem/internal/config"
	"github.com/mahrem/mahrem/internal/pgtest"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/postgres"
	"github.com/mahrem/mahrem/privacy"
)

// What the two parties of the test promise: spend of a household counts up to so many cents.
const (
	retailer   = cleanroom.PartyID("retail_media")
	advertiser = cleanroom.PartyID("brand_partner")
	mostCents  = 40_000
	reachRoom  = cleanroom.RoomID("journey")
	measuring  = privacy.Purpose("campaign_measurement")
)

// unwilling are households that were asked and said no, or never were: every twentieth.
func unwilling(number string) bool {
	n, err := strconv.Atoi(number)
	return err != nil || n%20 == 0
}

// truth is what the numbers are, by the files alone, without purchases that no room is about.
type truth struct {
	spend     map[string]int64 // cents of a household, as much of it as counts
	campaigns map[string]map[string]bool
}

func readTruth(t *testing.T, dir string) *truth {
	t.Helper()
	is := &truth{spend: map[string]int64{}, campaigns: map[string]map[string]bool{}}
	catalogue, err := policies.LoadCatalogue(policies.Bundle(), "catalogue")
	if err != nil {
		t.Fatal(err)
	}
	protected := map[string]bool{}
	err = eachRow(filepath.Join(dir, journeyProducts), []string{"product_id", "department", "product_category", "product_type"}, func(cells []string) error {
		group := catalogue.ProductGroup(cells[1], cells[2], cells[3])
		protected[strings.Clone(cells[0])] = catalogue.Protects(string(group))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	err = eachRow(filepath.Join(dir, journeyTransactions), []string{"household_id", "sales_value", "product_id"}, func(cells []string) error {
		if protected[cells[2]] {
			return nil // of a column about shelves, nothing that hides in what is left
		}
		value, err := strconv.ParseFloat(cells[1], 64)
		is.spend[strings.Clone(cells[0])] += int64(value*100 + 0.5)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	err = eachRow(filepath.Join(dir, "campaigns.csv.gz"), []string{"campaign_id", "household_id"}, func(cells []string) error {
		household := strings.Clone(cells[1])
		if is.campaigns[household] == nil {
			is.campaigns[household] = map[string]bool{}
		}
		is.campaigns[household][strings.Clone(cells[0])] = true
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return is
}

// exposed returns how many households of a campaign are in the room on both sides, and what
// they spent; "" is everybody of the retailer's.
func (is *truth) exposed(campaign string) (people, spend int64) {
	for household, cents := range is.spend {
		if unwilling(household) || campaign != "" && !is.campaigns[household][campaign] {
			continue
		}
		people++
		spend += min(cents, mostCents)
	}
	return people, spend
}

// journeyRoom is a house with the households of the Complete Journey and a room in which an
// advertiser's list of campaigns has been matched with their purchases.
type journeyRoom struct {
	house    *assembly.House
	asker    privacy.Principal
	signer   *cleanroom.Signer // of the advertiser
	contract *cleanroom.SignedContract
}

func newJourneyRoom(t *testing.T, dir string) *journeyRoom {
	t.Helper()
	ctx := t.Context()
	settings, err := config.Load(t.TempDir(), func(string) string { return "" }, config.Config{Patience: 30, DatabaseURL: pgtest.New(t).URL()})
	if err != nil {
		t.Fatal(err)
	}
	dpo := privacy.Principal{ID: "test", Role: privacy.RoleDPO}
	house, err := assembly.Init(ctx, settings, assembly.Options{MaxConns: 8}, dpo)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = house.Close(context.WithoutCancel(ctx)) })
	s := &stage{house: house, audience: silence{}, config: Config{Data: dir, Now: time.Now}, story: &Story{}, members: map[role][]*Member{}}
	if err := s.loadJourney(ctx); err != nil {
		t.Fatal(err)
	}
	j, err := s.readJourney()
	if err != nil {
		t.Fatal(err)
	}
	allowMeasuring(t, house, j, dpo)
	r := &journeyRoom{house: house, asker: privacy.Principal{ID: "campaigns", Role: privacy.RoleService, Recipient: advertiser}}
	r.agree(t, dpo)
	r.bring(t, dir, dpo)
	if _, _, err := house.MatchRoom(ctx, dpo, reachRoom); err != nil {
		t.Fatal(err)
	}
	return r
}

// silence hears of a load and says nothing.
type silence struct{}

func (silence) Notice(string)                        {}
func (silence) Progress(string, int64, int64, int64) {}
func (silence) Act(Act)                              {}

// allowMeasuring records what each household said about measuring campaigns.
func allowMeasuring(t *testing.T, house *assembly.House, j *journey, by privacy.Principal) {
	t.Helper()
	var said []consent.Record
	for _, h := range j.sorted() {
		id, err := house.People.ResolveIdentifier(t.Context(), privacy.Identifier{Kind: privacy.CustomerNumber, Value: privacy.NewPlain(journeyPrefix + h.number)})
		if err != nil {
			t.Fatal(err)
		}
		action := consent.Granted
		if unwilling(h.number) {
			action = consent.Refused
		}
		said = append(said, consent.Record{
			DataSubject: id, Purpose: measuring, Channel: privacy.AnyChannel, Action: action, Basis: privacy.Consent,
			NoticeVersion: NoticeVersion, Source: "sign_up_form",
		})
	}
	added, err := postgres.NewConsentStore(house.DB, house.Log).AddBatch(t.Context(), said, audit.Event{Principal: by})
	if err != nil || added.Added != len(said) {
		t.Fatal(added.Added, err)
	}
}

// agree registers the parties, what they sign, and the room.
func (r *journeyRoom) agree(t *testing.T, by privacy.Principal) {
	t.Helper()
	register := r.house.Rooms.Register
	contracts := []*cleanroom.Contract{
		{
			Owner: retailer, Dataset: "purchases", Source: cleanroom.FromHouse,
			Columns: []cleanroom.Column{
				{
					Name: "shelf", Role: cleanroom.Dimension, Type: cleanroom.Enum, Category: "purchases", Vocabulary: "product_groups",
					Domain: []string{"grocery.dairy", "bakery", "other"}, Other: "other",
				},
				{
					Name: "spend", Role: cleanroom.Measure, Type: cleanroom.Integer, Category: "purchases", Lo: 0, Hi: mostCents,
					Functions: []cleanroom.Function{cleanroom.Sum, cleanroom.Average},
				},
			},
		},
		{
			Owner: advertiser, Dataset: "campaigns", Source: cleanroom.FromParty,
			Columns: []cleanroom.Column{{Name: "campaign", Role: cleanroom.Dimension, Type: cleanroom.Enum, Category: "engagement", Domain: campaignNames()}},
		},
	}
	room := &cleanroom.Room{
		ID: reachRoom, Purpose: measuring, Mode: cleanroom.Private, Matching: cleanroom.MatchOperator, MinimumMembers: 1000, MinimumEpoch: 7 * 24 * time.Hour,
		Members: []cleanroom.Member{
			{Party: advertiser, Roles: []cleanroom.Role{cleanroom.OwnsData, cleanroom.MayQuery, cleanroom.MayReceive}},
			{Party: retailer, Roles: []cleanroom.Role{cleanroom.OwnsData}},
		},
	}
	for _, c := range contracts {
		c.Version, c.Unit, c.Purposes, c.AdHoc = 1, "household", []privacy.Purpose{measuring}, true
		c.MinimumPeople = 250 // the 17 households of campaign 25 never look like as many, and a margin, by noise of 30
		c.Cap, c.ConsumerCap, c.QueryCap, c.MaxGroupsPerPerson = 147_300_000, 73_650_000, 5_892_000, 5
		secret, public, err := cleanroom.GenerateKey(rand.Reader, c.Owner)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := register.AddParty(t.Context(), by, c.Owner, public); err != nil {
			t.Fatal(err)
		}
		signer, err := cleanroom.ParseSigner(secret)
		if err != nil {
			t.Fatal(err)
		}
		signed, err := cleanroom.SignContract(c, signer)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := register.AddContract(t.Context(), by, signed, c.Owner, ""); err != nil {
			t.Fatal(err)
		}
		room.Datasets = append(room.Datasets, c.Ref())
		if c.Owner == advertiser {
			verifier, err := cleanroom.ParseVerifier(public, c.Owner)
			if err != nil {
				t.Fatal(err)
			}
			r.signer = signer
			if r.contract, err = cleanroom.OpenContract(signed, verifier); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := register.OpenRoom(t.Context(), by, room); err != nil {
		t.Fatal(err)
	}
}

func campaignNames() []string {
	names := make([]string, 27)
	for i := range names {
		names[i] = strconv.Itoa(i + 1)
	}
	return names
}

// bring draws the households from the vault, and admits what the advertiser has prepared.
func (r *journeyRoom) bring(t *testing.T, dir string, by privacy.Principal) {
	t.Helper()
	drawer, err := r.house.Drawer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	mapping, err := draw.ParseMapping([]byte(`
version: 1
identifier: {kind: email, attribute: email}
stream: purchases
types: [purchase]
columns:
  shelf: {field: product_group}
  spend: {field: amount, scale: 100}
`))
	if err != nil {
		t.Fatal(err)
	}
	order := draw.Order{Room: reachRoom, Dataset: cleanroom.DatasetRef{Owner: retailer, Dataset: "purchases"}, Mapping: mapping}
	if _, err := drawer.Draw(t.Context(), by, order); err != nil {
		t.Fatal(err)
	}

	// The advertiser knows households by their addresses alone, and has them in several rows.
	var list bytes.Buffer
	list.WriteString("email,campaign,agreed\n")
	people := map[string]bool{}
	err = eachRow(filepath.Join(dir, "campaigns.csv.gz"), []string{"campaign_id", "household_id"}, func(cells []string) error {
		email := Synthetic(cells[1], time.Now()).Email
		people[email] = true
		_, err := fmt.Fprintf(&list, "%s,%s,yes\n", email, cells[0])
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "campaigns.csv")
	if err := os.WriteFile(file, list.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	source, err := intake.FileSource(file)
	if err != nil {
		t.Fatal(err)
	}
	prepared := filepath.Join(t.TempDir(), "prepared")
	_, err = prepare.Run(t.Context(), source, prepared, prepare.Config{
		Room: reachRoom, Epoch: 1, Contract: r.contract, Matcher: match.NewOperator(), Identifier: privacy.Email, IdentifierColumn: "email",
		ConsentColumn: "agreed", ConsentYes: "yes", ManyRows: true, Declared: len(people), Signer: r.signer,
		Noise: noise.Secure{}, Random: rand.Reader, Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	delivery, err := prepare.OpenDelivery(prepared)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = delivery.Close() }()
	if _, err := r.house.Rooms.Admissions.Admit(t.Context(), by, reachRoom, delivery); err != nil {
		t.Fatal(err)
	}
}
