package gate_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/gate"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/pseudonym"
	"github.com/mahrem/mahrem/vault/keydir"
)

// crowd finds as many adults who agreed as it is large.
type crowd int

func (c crowd) FindAudience(_ context.Context, search gate.AudienceSearch, found func(privacy.DataSubjectID, gate.Cell) error) (time.Time, error) {
	if search.Filter.Kind == policies.FilterNone {
		return search.At, nil
	}
	const adult, granted, consented, firstLaw = 3, 1 << 4, 1 << 7, 1 << 14
	for n := range int(c) {
		var id privacy.DataSubjectID
		binary.BigEndian.PutUint32(id[:], uint32(n+1))
		if err := found(id, adult|granted|consented|firstLaw); err != nil {
			return search.At, err
		}
	}
	return search.At, nil
}

type paper struct{ last audit.Event }

func (p *paper) Append(_ context.Context, event audit.Event) (audit.Receipt, error) {
	p.last = event
	return audit.Committed([16]byte{1}, [32]byte{2}, 41), nil
}

type keysOf struct{ keys *keydir.Keys }

func (k keysOf) Of(recipient privacy.RecipientID) (*pseudonym.Pseudonyms, error) {
	primitive, err := k.keys.Recipient(recipient)
	if err != nil {
		return nil, err
	}
	return pseudonym.New(recipient, primitive)
}

// An audience is everybody whom the policies open a purpose about. One that is too small is
// refused, and how small it is is not said.
func ExampleGate_Audience() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "mahrem-example-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := keydir.Create(filepath.Join(dir, "keys"), keydir.Config{}); err != nil {
		fmt.Println(err)
		return
	}
	keys, err := keydir.Open(filepath.Join(dir, "keys"), keydir.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := keys.EnsureRecipient("recommender"); err != nil {
		fmt.Println(err)
		return
	}
	engine, err := policies.Open(ctx, policies.Bundle(), policies.Config{EvaluationLimit: time.Minute})
	if err != nil {
		fmt.Println(err)
		return
	}
	by := privacy.Principal{ID: "recommender", Role: privacy.RoleService, Recipient: "recommender"}
	query := gate.AudienceQuery{
		Purpose: "recommendations", Channel: "email",
		Conditions: []gate.AudienceCondition{{Attribute: "loyalty_tier", In: []string{"gold"}}},
	}
	for _, people := range []crowd{1200, 999} {
		log := &paper{}
		g := gate.New(nil, engine, keys.Vault(), keysOf{keys}, log, gate.Config{Audiences: people})
		answer, err := g.Audience(ctx, by, query)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(answer.Decision, answer.Size, log.last.Kind, answer.Reasons[0].Check)
	}
	// Output:
	// allow 1200 audience.answered basis.consent
	// deny 0 audience.denied audience.large_enough
}
