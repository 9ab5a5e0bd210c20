package postgres

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mahrem/mahrem/gate"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

func (b *gateBench) refresher(t testing.TB, config gate.RefresherConfig) *gate.Refresher {
	t.Helper()
	engine, err := bundledPolicies()
	if err != nil {
		t.Fatal(err)
	}
	return gate.NewRefresher(NewProfileStore(b.db), engine, b.keys.Vault(), config)
}

func refreshed(t testing.TB, r *gate.Refresher, want int) {
	t.Helper()
	got, err := r.RefreshAll(t.Context(), nil)
	if err != nil || got != want {
		t.Fatalf("refreshed %d, %v, want %d", got, err, want)
	}
}

// hasTag reports whether a person's profile holds and has a value.
func (b *gateBench) hasTag(t testing.TB, key *vault.PersonKey, words ...string) bool {
	t.Helper()
	var has bool
	err := b.db.pool.QueryRow(t.Context(), `select fresh_until > statement_timestamp() and $2 = any (tags) from gate.profile where data_subject_id = $1`,
		[16]byte(key.DataSubject()), b.keys.Vault().WordTag(words...)).Scan(&has)
	if err != nil {
		t.Fatal(err)
	}
	return has
}

func TestRefreshFollowsEveryChange(t *testing.T) {
	t.Parallel()
	b := newGate(t)
	r := b.refresher(t, gate.RefresherConfig{Batch: 2})
	eva, jan := b.person(t, "eva"), b.person(t, "jan")
	for n := range 3 {
		b.person(t, fmt.Sprintf("someone%d", n))
	}
	refreshed(t, r, 5)
	refreshed(t, r, 0)
	b.record(t, eva, "profile", map[privacy.AttributeName]string{"loyalty_tier": "gold"})
	if b.hasTag(t, eva, "loyalty_tier", "exact", "gold") {
		t.Error("a tag before anybody made it")
	}
	refreshed(t, r, 1)
	if !b.hasTag(t, eva, "loyalty_tier", "exact", "gold") || b.hasTag(t, jan, "loyalty_tier", "exact", "gold") {
		t.Error("the tag of the tier is not where it belongs")
	}
	// A record that is replaced.
	id := [16]byte(eva.DataSubject())
	sealed, err := eva.SealRecord("profile", 2, vault.Record{"loyalty_tier": {
		Values: []privacy.Plain{privacy.NewPlain("silver")}, Source: vault.Observed, Quality: vault.Verified, ObservedAt: time.Now().UTC().Truncate(24 * time.Hour),
	}})
	if err != nil {
		t.Fatal(err)
	}
	slot := b.keys.Vault().Slot(eva.DataSubject(), "profile")
	b.exec(t, `update vault.sealed_record set record_version = 2, sealed = $3, updated_at = now() where data_subject_id = $1 and slot = $2`, id, slot[:], sealed)
	if b.hasTag(t, eva, "loyalty_tier", "exact", "gold") {
		t.Error("the profile holds although the record was replaced")
	}
	refreshed(t, r, 1)
	if !b.hasTag(t, eva, "loyalty_tier", "exact", "silver") || b.hasTag(t, eva, "loyalty_tier", "exact", "gold") {
		t.Error("the profile is not that of the new record")
	}
	// Another law has other ages; a restriction is read live and changes no profile.
	b.exec(t, `update vault.data_subject set restricted = true where data_subject_id = $1`, id)
	refreshed(t, r, 0)
	b.exec(t, `update vault.data_subject set jurisdiction = 'TR' where data_subject_id = $1`, id)
	refreshed(t, r, 1)
	// Past its time, and of another shape.
	b.exec(t, `update gate.profile set fresh_until = statement_timestamp() where data_subject_id = $1`, id)
	refreshed(t, r, 1)
	b.exec(t, `update gate.profile set shape = 'ffffffff-ffff-ffff-ffff-ffffffffffff'`)
	refreshed(t, r, 5)
	if dump := b.database.Dump(t); strings.Contains(dump, "silver") || strings.Contains(dump, "loyalty_tier") {
		t.Error("a dump shows a value or an attribute of a profile")
	}
}

// TestRefreshLosesNoChange: what was read before a change is not stored after it.
func TestRefreshLosesNoChange(t *testing.T) {
	t.Parallel()
	b := newGate(t)
	eva := b.person(t, "eva")
	store := NewProfileStore(b.db)
	shape := gate.Tag{1}
	due, at, err := store.DueProfiles(t.Context(), shape, 10)
	if err != nil || len(due) != 1 || time.Since(at).Abs() > time.Hour {
		t.Fatalf("got %d due at %v, %v", len(due), at, err)
	}
	b.record(t, eva, "profile", map[privacy.AttributeName]string{"loyalty_tier": "gold"})
	profile := gate.Profile{DataSubject: eva.DataSubject(), Changed: due[0].Changed, FreshUntil: at.Add(time.Hour)}
	if n, err := store.SaveProfiles(t.Context(), shape, []gate.Profile{profile}); err != nil || n != 0 {
		t.Fatalf("saved %d, %v, although the person has changed", n, err)
	}
	profile.Changed++
	if n, err := store.SaveProfiles(t.Context(), shape, []gate.Profile{profile}); err != nil || n != 1 {
		t.Fatalf("saved %d, %v", n, err)
	}
	if due, _, err = store.DueProfiles(t.Context(), shape, 10); err != nil || len(due) != 0 {
		t.Errorf("got %d due, %v", len(due), err)
	}
}

// TestRefreshWaitsForNobody: a person whom a long transaction holds is passed over.
func TestRefreshWaitsForNobody(t *testing.T) {
	t.Parallel()
	b := newGate(t)
	eva := b.person(t, "eva")
	b.person(t, "jan")
	tx, err := b.db.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
	if _, err := tx.Exec(t.Context(), `update gate.profile set changed = changed + 1 where data_subject_id = $1`, [16]byte(eva.DataSubject())); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	if n, err := b.refresher(t, gate.RefresherConfig{}).RefreshAll(ctx, nil); err != nil || n != 1 {
		t.Errorf("refreshed %d, %v, want the one who is free", n, err)
	}
}

// TestRefreshLeavesOutWhatDoesNotOpen: somebody whose data is damaged has no age, and so
// is in no audience.
func TestRefreshLeavesOutWhatDoesNotOpen(t *testing.T) {
	t.Parallel()
	b := newGate(t)
	eva := b.person(t, "eva")
	b.exec(t, `update vault.sealed_record set sealed = set_byte(sealed, 20, get_byte(sealed, 20) # 1)`)
	refreshed(t, b.refresher(t, gate.RefresherConfig{}), 1)
	var age [16]byte
	var tags int
	err := b.db.pool.QueryRow(t.Context(), `select age, cardinality(tags) from gate.profile where data_subject_id = $1`, [16]byte(eva.DataSubject())).Scan(&age, &tags)
	if err != nil || age != [16]byte{} || tags != 0 {
		t.Errorf("got age %x, %d tags, %v", age, tags, err)
	}
}

// TestPersonaIsToldInACrowd: the persona of somebody is told when enough people share it,
// who are known and whose profile holds.
func TestPersonaIsToldInACrowd(t *testing.T) {
	t.Parallel()
	b := newGate(t)
	store := NewProfileStore(b.db)
	engine, err := bundledPolicies()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.keys.EnsureRecipient("content_engine"); err != nil {
		t.Fatal(err)
	}
	k := engine.Revision().Catalogue().PersonaMinimum()
	var people []*vault.PersonKey
	for n := range k {
		key := b.person(t, fmt.Sprintf("person%d", n))
		b.record(t, key, "profile", map[privacy.AttributeName]string{"persona": "pet_friend"})
		people = append(people, key)
	}
	other := b.person(t, "other")
	b.record(t, other, "profile", map[privacy.AttributeName]string{"persona": "home_keeper"})
	ask := func(key *vault.PersonKey) any {
		t.Helper()
		// A gate of its own, which has counted nobody yet.
		b.Gate = gate.New(b.store, engine, b.keys.Vault(), keyPseudonyms{b.keys}, b.log, gate.Config{Crowds: store, CrowdWait: time.Minute})
		answer := b.mustAsk(t, service("content_engine"), gate.Query{
			DataSubject: gate.Ref{Pseudonym: b.pseudonym(t, "content_engine", key)}, Purpose: "content", Channel: "web",
			Attributes: []privacy.AttributeName{"persona"},
		})
		if answer.Decision != gate.Allow {
			t.Fatalf("got %s: %v", answer.Decision, answer.Reasons)
		}
		return revealed(answer)["persona"]
	}
	if got := ask(people[0]); got != nil {
		t.Error("a persona is told before anybody was counted")
	}
	refreshed(t, b.refresher(t, gate.RefresherConfig{}), k+1)
	if got := ask(people[0]); got != "pet_friend" {
		t.Errorf("in a crowd of %d: %v", k, got)
	}
	if got := ask(other); got != nil {
		t.Errorf("a crowd of one is told as %v", got)
	}
	eraseAtOnce(t, NewVaultStore(b.db, b.keys.Vault()), b.log, people[1].DataSubject())
	if got := ask(people[0]); got != nil {
		t.Errorf("in a crowd of %d: %v", k-1, got)
	}
}
