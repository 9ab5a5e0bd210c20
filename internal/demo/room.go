package demo

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/cleanroom/draw"
	"github.com/mahrem/mahrem/cleanroom/match"
	"github.com/mahrem/mahrem/cleanroom/noise"
	"github.com/mahrem/mahrem/cleanroom/prepare"
	"github.com/mahrem/mahrem/intake"
	"github.com/mahrem/mahrem/privacy"
)

// The clean room of the story: a shop brings its customers, a brand the people to whom it has
// sent a voucher, or not. The shop's are numbered from 1, and so many of them are on the
// brand's list too, which goes on with strangers.
const (
	roomName     = cleanroom.RoomID("voucher")
	roomShop     = cleanroom.PartyID("retail_media")
	roomBrand    = cleanroom.PartyID("brand_partner")
	roomPeople   = 1300
	roomInCommon = 1100
	roomStranger = 200
	roomNoise    = 20 // people
)

// said is whether a customer lets the shop measure campaigns with others: all but every
// thirteenth do.
func said(customer int) bool { return customer%13 != 0 }

// roomSegment is what the brand knows of somebody.
func roomSegment(customer int) string {
	if customer%2 == 0 {
		return "voucher"
	}
	return "no_voucher"
}

// roomSpend is what a customer spent, in cents: who got a voucher spends more.
func roomSpend(customer int) int64 {
	cents := int64(800 + customer*37%900)
	if roomSegment(customer) == "voucher" {
		cents += 600
	}
	return cents
}

func roomEmail(customer int) string { return fmt.Sprintf("voucher-%d@example.net", customer) }

// roomTier is how loyal a customer is.
func roomTier(customer int) string {
	if customer%4 == 0 {
		return "gold"
	}
	return "silver"
}

// roomTruth is what the room holds of one segment, which no answer says exactly.
func roomTruth(segment string) (people, cents int64) {
	for i := 1; i <= roomInCommon; i++ {
		if said(i) && roomSegment(i) == segment {
			people++
			cents += roomSpend(i)
		}
	}
	return people, cents
}

// playRoom is a room that is about to be opened.
type playRoom struct {
	*stage
	signers   map[cleanroom.PartyID]*cleanroom.Signer
	contracts map[cleanroom.PartyID]*cleanroom.SignedContract
}

// openVoucherRoom brings people of the story into the house, and both lists into a room.
func (s *stage) openVoucherRoom(ctx context.Context) (*playRoom, error) {
	p := &playRoom{s, map[cleanroom.PartyID]*cleanroom.Signer{}, map[cleanroom.PartyID]*cleanroom.SignedContract{}}
	for _, step := range []func(context.Context) error{p.customers, p.agree, p.drawShop, p.bringBrand} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	_, _, err := s.house.MatchRoom(ctx, s.dpo, roomName)
	return p, err
}

// customers loads the shop's people, each with a receipt and with what they said.
func (p *playRoom) customers(ctx context.Context) error {
	var lines bytes.Buffer
	at := p.config.Now().UTC().AddDate(0, 0, -10).Format(time.RFC3339)
	for i := 1; i <= roomPeople; i++ {
		_, _ = fmt.Fprintf(&lines, `{"identifiers":[{"kind":"customer_number","value":"V-%d"}],"jurisdiction":"CZ",`+
			`"attributes":{"email":"%s","loyalty_tier":"%s","birth_date":"1980-05-01"},`+
			`"events":[{"type":"purchase","at":"%s","id":"v-%d","fields":{"product_group":"beverages.coffee_tea","amount":"%d.%02d"}}],"consents":[`,
			i, roomEmail(i), roomTier(i), at, i, roomSpend(i)/100, roomSpend(i)%100)
		action, explicit := "granted", "true"
		if !said(i) {
			action, explicit = "refused", "false"
		}
		for k, purpose := range []string{"campaign_measurement", "audience_sync"} {
			_, _ = fmt.Fprintf(&lines, `%s{"action":"%s","explicit":%s,"purpose":"%s","channel":"*","notice_version":"%s","source":"sign_up_form","effective_at":"%s"}`,
				strings.Repeat(",", k), action, explicit, purpose, NoticeVersion, at)
		}
		lines.WriteString("]}\n")
	}
	result, err := p.house.Loader.LoadStream(ctx, &lines, intake.StreamOptions{Principal: p.dpo})
	if err == nil && len(result.Rejects) > 0 {
		err = fmt.Errorf("line %d was refused: %s", result.Rejects[0].Row, result.Rejects[0].Reason)
	}
	return err
}

// contractOf has what both contracts share. A brand's part of a budget suffices for three
// questions about people and what they spent.
func contractOf(owner cleanroom.PartyID, dataset cleanroom.DatasetID, source cleanroom.Source, columns ...cleanroom.Column) *cleanroom.Contract {
	return &cleanroom.Contract{
		Owner: owner, Dataset: dataset, Version: 1, Source: source, Unit: "person", Purposes: []privacy.Purpose{"audience_sync", "campaign_measurement"},
		MinimumPeople: 100, Cap: 15_000_000, ConsumerCap: 7_500_000, QueryCap: 5_000_000, MaxGroupsPerPerson: 1, AdHoc: true, Columns: columns,
	}
}

// agree signs what each party signs at home, and opens the room.
func (p *playRoom) agree(ctx context.Context) error {
	contracts := []*cleanroom.Contract{
		contractOf(
			roomBrand, "vouchers", cleanroom.FromParty,
			cleanroom.Column{Name: "segment", Role: cleanroom.Dimension, Type: cleanroom.Enum, Category: "engagement", Domain: []string{"voucher", "no_voucher", "undelivered"}},
		),
		contractOf(
			roomShop, "receipts", cleanroom.FromHouse,
			cleanroom.Column{Name: "tier", Role: cleanroom.Dimension, Type: cleanroom.Enum, Category: "profile", Domain: []string{"gold", "silver"}},
			cleanroom.Column{Name: "spend", Role: cleanroom.Measure, Type: cleanroom.Integer, Category: "purchases", Lo: 0, Hi: 3000, Functions: []cleanroom.Function{cleanroom.Sum}},
		),
	}
	room := &cleanroom.Room{
		ID: roomName, Purpose: "campaign_measurement", Mode: cleanroom.Private, Matching: cleanroom.MatchOperator,
		MinimumMembers: cleanroom.DefaultMinimumMembers, MinimumEpoch: cleanroom.DefaultMinimumEpoch,
		Members: []cleanroom.Member{
			{Party: roomBrand, Roles: []cleanroom.Role{cleanroom.OwnsData, cleanroom.MayQuery, cleanroom.MayReceive, cleanroom.MayActivate}},
			{Party: roomShop, Roles: []cleanroom.Role{cleanroom.OwnsData, cleanroom.MayQuery, cleanroom.MayReceive}},
		},
	}
	for _, c := range contracts {
		secret, public, err := cleanroom.GenerateKey(rand.Reader, c.Owner)
		if err != nil {
			return err
		}
		signer, err := cleanroom.ParseSigner(secret)
		if err != nil {
			return err
		}
		p.signers[c.Owner] = signer
		if _, err := p.house.Rooms.Register.AddParty(ctx, p.dpo, c.Owner, public); err != nil {
			return err
		}
		signed, err := cleanroom.SignContract(c, signer)
		if err != nil {
			return err
		}
		filed, _, err := p.house.Rooms.Register.AddContract(ctx, p.dpo, signed, c.Owner, "")
		if err != nil {
			return err
		}
		p.contracts[c.Owner] = &filed.SignedContract
		room.Datasets = append(room.Datasets, c.Ref())
	}
	_, err := p.house.Rooms.Register.OpenRoom(ctx, p.dpo, room)
	return err
}

// drawShop brings whose consent covers the room's purpose.
func (p *playRoom) drawShop(ctx context.Context) error {
	drawer, err := p.house.Drawer(ctx)
	if err != nil {
		return err
	}
	mapping, err := draw.ParseMapping([]byte(`
version: 1
identifier: {kind: email, attribute: email}
stream: purchases
types: [purchase]
columns:
  tier: {attribute: loyalty_tier}
  spend: {field: amount, scale: 100}
`))
	if err != nil {
		return err
	}
	_, err = drawer.Draw(ctx, p.dpo, draw.Order{Room: roomName, Dataset: p.contracts[roomShop].Ref(), Mapping: mapping})
	return err
}

// bringBrand masks and signs the brand's list as it does at home, and lets it in.
func (p *playRoom) bringBrand(ctx context.Context) (err error) {
	var list bytes.Buffer
	list.WriteString("email,segment,agreed\n")
	for i := 1; i <= roomInCommon+roomStranger; i++ {
		customer := i
		if i > roomInCommon {
			customer += roomPeople // whom the shop does not know
		}
		_, _ = fmt.Fprintf(&list, "%s,%s,yes\n", roomEmail(customer), roomSegment(customer))
	}
	dir, err := os.MkdirTemp("", "mahrem-demo-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	prepared := filepath.Join(dir, "prepared")
	_, err = prepare.Run(ctx, memory("vouchers.csv", list.Bytes(), nil), prepared, prepare.Config{
		Room: roomName, Epoch: 1, Contract: p.contracts[roomBrand], Matcher: match.NewOperator(), Identifier: privacy.Email, IdentifierColumn: "email",
		ConsentColumn: "agreed", ConsentYes: "yes", Declared: roomInCommon + roomStranger, Signer: p.signers[roomBrand],
		Noise: noise.Secure{}, Random: rand.Reader, Now: p.config.Now,
	})
	if err != nil {
		return err
	}
	delivery, err := prepare.OpenDelivery(prepared)
	if err != nil {
		return err
	}
	defer func() { _ = delivery.Close() }()
	_, err = p.house.Rooms.Admissions.Admit(ctx, p.dpo, roomName, delivery)
	return err
}
