package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/privacy"
)

// The questions of the act.
const (
	bySegment = `{"room":"voucher","from":[{"dataset":"brand_partner.vouchers","as":"v"},{"dataset":"retail_media.receipts","as":"r"}],"join":"match",` +
		`"group_by":["v.segment"],"metrics":[{"fn":"people","as":"buyers"},{"fn":"sum","col":"r.spend","as":"spend"}],` +
		`"privacy":{"noise_people":20,"max_groups_per_person":1},"purpose":"campaign_measurement"}`
	ofTier = `{"room":"voucher","from":[{"dataset":"brand_partner.vouchers","as":"v"},{"dataset":"retail_media.receipts","as":"r"}],"join":"match",` +
		`"where":[{"col":"r.tier","op":"=","val":"TIER"}],` +
		`"group_by":["v.segment"],"metrics":[{"fn":"people","as":"buyers"},{"fn":"sum","col":"r.spend","as":"spend"}],` +
		`"privacy":{"noise_people":20,"max_groups_per_person":1},"purpose":"campaign_measurement"}`
	audienceOf = `{"room":"voucher","from":[{"dataset":"retail_media.receipts","as":"r"}],"where":[{"col":"r.tier","op":"in","val":["gold","silver"]}],` +
		`"metrics":[],"privacy":{"noise_people":20,"max_groups_per_person":1},"purpose":"audience_sync"}`
)

// room: two companies learn about groups, and never about a person.
func (s *stage) room(ctx context.Context, act *Act) error {
	p, err := s.openVoucherRoom(ctx)
	if err != nil {
		return err
	}
	act.Title = "Two companies in a clean room"
	act.Text = fmt.Sprintf("A brand has sent vouchers, and would like to know who bought. It knows addresses, and the shop knows receipts; neither may see whom the other one has. "+
		"Each brings its list under a contract that it has signed: the brand %d people whom it has masked and shuffled at home, the shop those of %d who agreed to such measuring. "+
		"The house matches them, and tells nobody whom it found, nor how many.", roomInCommon+roomStranger, roomPeople)
	for _, part := range []func(context.Context, *Act) error{p.reach, p.pregnancy, p.audience, p.exhaust, p.leave} {
		if err := part(ctx, act); err != nil {
			return err
		}
	}
	report, err := s.house.ReportRooms(ctx, s.dpo, roomName, nil)
	if err != nil {
		return err
	}
	act.After = "mahrem room report shows a data protection officer each answer and charge; docs/cleanroom.md says what a room does not protect."
	act.claim(len(report.Faults) == 0 && len(report.Told) > 0, "every charge and every answer agrees with the log")
	return nil
}

func serviceOf(party cleanroom.PartyID) privacy.Principal {
	return privacy.Principal{ID: string(party), Role: privacy.RoleService, Recipient: party}
}

func (p *playRoom) question(ctx context.Context, party cleanroom.PartyID, document string) (*cleanroom.Answer, error) {
	return p.house.Rooms.Questions.Ask(ctx, serviceOf(party), roomName, []byte(document))
}

// toldValue is a number with its interval.
type toldValue struct{ Value, Low, High int64 }

func (v toldValue) near(truth, within int64) bool {
	return max(v.Value-truth, truth-v.Value) <= within && v.Low <= v.Value && v.Value <= v.High
}

// reach: the answer is about groups, noisy, and says how noisy.
func (p *playRoom) reach(ctx context.Context, act *Act) error {
	answer, err := p.question(ctx, roomBrand, bySegment)
	if err != nil {
		return err
	}
	var release struct {
		Cost   int64 `json:"cost_nanorho"`
		Groups []struct {
			Key        map[string]string
			Suppressed bool
			Values     map[string]toldValue
		}
	}
	if err := json.Unmarshal(answer.Release.Answer, &release); err != nil {
		return err
	}
	t := act.table("What the brand asks: how many bought, and how much they spent", "segment", "buyers (95 %)", "spend (95 %)", "in truth, which nobody is told")
	near, few := true, false
	for _, g := range release.Groups {
		segment := g.Key["brand_partner.vouchers.segment"]
		people, cents := roomTruth(segment)
		if g.Suppressed {
			few = few || people == 0
			t.row(segment, "too few", "", fmt.Sprintf("%d, %s", people, money(int(cents))))
			continue
		}
		buyers, spend := g.Values["people"], g.Values["sum(retail_media.receipts.spend)"]
		// One of four numbers is more than seven standard deviations off once in 10^11 runs.
		near = near && people > 0 && buyers.near(people, 7*roomNoise) && spend.near(cents, 7*roomNoise*3000)
		t.row(segment, fmt.Sprintf("%d (%d to %d)", buyers.Value, buyers.Low, buyers.High),
			fmt.Sprintf("%s (%s to %s)", money(int(spend.Value)), money(int(spend.Low)), money(int(spend.High))), fmt.Sprintf("%d, %s", people, money(int(cents))))
	}
	again, err := p.question(ctx, roomShop, bySegment)
	if err != nil {
		return err
	}
	act.claim(near && len(release.Groups) == 3, "two companies learn what a voucher did, near the truth and with an interval that says how near")
	act.claim(few, "a group of nobody looks like a group of a few: too few")
	act.claim(again.Repeated && again.Release.Digest == answer.Release.Digest && release.Cost == 2_500_000,
		"it is charged once, to one budget for ever; asked again, by the shop, it is the same answer for nothing")
	return nil
}

// pregnancy: what would tell who is expecting gets into no room.
func (p *playRoom) pregnancy(ctx context.Context, act *Act) error {
	t := act.table("What else it would like to know", "", "is told")
	column := cleanroom.Column{
		Name: "shelf", Role: cleanroom.Dimension, Type: cleanroom.Enum, Category: "purchases", Vocabulary: "product_groups",
		Domain: []string{"beverages.coffee_tea", "health.pregnancy_test"},
	}
	signed, err := cleanroom.SignContract(contractOf(roomShop, "shelves", cleanroom.FromHouse, column), p.signers[roomShop])
	if err != nil {
		return err
	}
	_, _, contract := p.house.Rooms.Register.AddContract(ctx, p.dpo, signed, roomShop, "")
	t.row("a contract of the shop, with who bought a pregnancy test", folded(outcomeOfRoom(contract), 60))
	before, err := p.house.Log.Size(ctx)
	if err != nil {
		return err
	}
	asked := strings.NewReplacer("r.tier", "r.shelf", "TIER", "health.pregnancy_test").Replace(ofTier)
	_, question := p.question(ctx, roomBrand, asked)
	t.row("how many with a voucher bought a pregnancy test", folded(outcomeOfRoom(question), 60))
	after, err := p.house.Log.Size(ctx)
	if err != nil {
		return err
	}
	act.claim(contract != nil && strings.Contains(contract.Error(), "room.words_harmless"), "pregnancy tests are in no contract: room.words_harmless")
	field, placed := errors.AsType[*privacy.FieldError](question)
	act.claim(placed && field.Pointer == "/where/0/col" && after == before, "and in no question, which is refused at its place before anything is read or charged")
	return nil
}

// outcomeOfRoom is what somebody is told who asked for something.
func outcomeOfRoom(err error) string {
	if err == nil {
		return "allowed"
	}
	if denied, ok := errors.AsType[*cleanroom.Denied](err); ok {
		return "refused: " + strings.Join(denied.Checks, ", ")
	}
	return "refused: " + err.Error()
}

// audience: a list of pseudonyms, and no number.
func (p *playRoom) audience(ctx context.Context, act *Act) error {
	audience, err := p.house.Activator().Activate(ctx, serviceOf(roomBrand), roomName, []byte(audienceOf))
	if err != nil {
		return err
	}
	distinct := slices.Clone(audience.Pseudonyms)
	slices.Sort(distinct)
	distinct = slices.Compact(distinct)
	act.claim(len(distinct) == len(audience.Pseudonyms) && len(distinct) >= 1000,
		"the brand gets an audience of those who agreed to that: pseudonyms for it alone, filled up with some of nobody, so that even its length is no count")
	_, err = p.house.Activator().Activate(ctx, serviceOf(roomShop), roomName, []byte(audienceOf))
	denied, _ := errors.AsType[*cleanroom.Denied](err)
	act.claim(denied != nil && slices.Equal(denied.Checks, []string{cleanroom.CheckRole}), "and nobody gets one who may not activate: %s", cleanroom.CheckRole)
	return nil
}

// exhaust: what is spent is spent.
func (p *playRoom) exhaust(ctx context.Context, act *Act) error {
	if _, err := p.question(ctx, roomBrand, strings.Replace(ofTier, "TIER", "gold", 1)); err != nil {
		return err
	}
	_, refused := p.question(ctx, roomBrand, strings.Replace(ofTier, "TIER", "silver", 1))
	budget, err := p.house.Rooms.Questions.Budget(ctx, serviceOf(roomBrand), roomName)
	if err != nil {
		return err
	}
	t := act.table("What is left to the brand, for ever, in billionths of rho", "dataset", "its part", "spent", "left", "a question costs")
	for _, left := range budget.Left {
		t.row(left.Dataset.String(), fmt.Sprint(left.ConsumerCap), fmt.Sprint(left.Consumed), fmt.Sprint(left.Rho()), "2500000")
	}
	exhausted, ok := errors.AsType[*cleanroom.Exhausted](refused)
	act.claim(ok && len(exhausted.Left) > 0, "its next question does not fit any more: refused, with what is left, and nothing is computed")
	return nil
}

// leave: who says no is out at once.
func (p *playRoom) leave(ctx context.Context, act *Act) error {
	id, err := p.house.People.ResolveIdentifier(ctx, privacy.Identifier{Kind: privacy.CustomerNumber, Value: privacy.NewPlain("V-1")})
	if err != nil {
		return err
	}
	before, err := p.house.Rooms.Reader.Stays(ctx, id)
	if err != nil {
		return err
	}
	m := &Member{id: id}
	if _, err := p.house.Consent.Withdraw(ctx, p.dpo, withdrawalOf(m, "campaign_measurement")); err != nil {
		return err
	}
	after, err := p.house.Rooms.Reader.Stays(ctx, id)
	if err != nil {
		return err
	}
	act.claim(len(before) == 1 && before[0].Present && len(after) == 1 && !after[0].Present,
		"who withdraws leaves the room with the withdrawal itself, and can read ever after that they were there")
	return nil
}
