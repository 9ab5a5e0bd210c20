package archive

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
	"github.com/mahrem/mahrem/vault/keydir"
)

var (
	testTime = time.Date(2026, 5, 20, 12, 0, 0, 0, time.UTC)
	dpo      = privacy.Principal{ID: "dpo", Role: privacy.RoleDPO}
	auditor  = privacy.Principal{ID: "auditor", Role: privacy.RoleAuditor}
	shop     = privacy.Principal{ID: "shop", Role: privacy.RoleService, Recipient: "web_shop"}
)

var errBroken = errors.New("broken")

// bench is an archive over a store and a log in memory, with the bundle of the program.
type bench struct {
	*Archive
	store    *memory
	log      *memoryLog
	vault    *vault.Vault
	revision *policies.Revision
	now      time.Time
}

func newBench(t testing.TB) *bench {
	t.Helper()
	b, err := makeBench(filepath.Join(t.TempDir(), "keys"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func makeBench(dir string) (*bench, error) {
	if err := keydir.Create(dir, keydir.Config{}); err != nil {
		return nil, err
	}
	keys, err := keydir.Open(dir, keydir.Config{})
	if err != nil {
		return nil, err
	}
	b := &bench{store: &memory{bundles: map[audit.Digest][]byte{}}, log: &memoryLog{}, vault: keys.Vault(), now: testTime}
	b.log.encoder, err = audit.NewEncoder(audit.EncoderConfig{
		Now: func() time.Time { return b.now }, Actor: func(privacy.Principal) [16]byte { return [16]byte{1} },
	})
	if err != nil {
		return nil, err
	}
	b.Archive, err = New(b.store, b.vault, b.log, compileTest, Config{
		Now: func() time.Time { return b.now }, FlushEvery: -1, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		return nil, err
	}
	content, err := policies.ReadBundle(policies.Bundle())
	if err != nil {
		return nil, err
	}
	if b.revision, err = compiled.get(content); err != nil {
		return nil, err
	}
	return b, b.KeepBundle(context.Background(), b.revision.Digest(), func() []byte { return content.AppendArchive(nil) })
}

func compileTest(_ context.Context, kept []byte) (*policies.Revision, error) {
	content, err := policies.ParseArchive(kept)
	if err != nil {
		return nil, err
	}
	return compiled.get(content)
}

func mustCompile(t *testing.T, content *policies.Content) *policies.Revision {
	t.Helper()
	r, err := compiled.get(content)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// compiled has each bundle compiled once for all tests.
var compiled = &compiler{made: map[[32]byte]*policies.Revision{}}

type compiler struct {
	mu   sync.Mutex
	made map[[32]byte]*policies.Revision
}

func (c *compiler) get(content *policies.Content) (*policies.Revision, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	digest := content.Digest()
	if r := c.made[digest]; r != nil {
		return r, nil
	}
	r, err := content.Compile(context.Background(), policies.Config{EvaluationLimit: time.Minute})
	if err == nil {
		c.made[digest] = r
	}
	return r, err
}

// edited is the bundle of the program with one line of one purpose replaced.
func edited(t *testing.T, purpose, key, line string) *policies.Revision {
	t.Helper()
	files := fstest.MapFS{}
	err := fs.WalkDir(policies.Bundle(), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(policies.Bundle(), name)
		files[name] = &fstest.MapFile{Data: content}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	// How long data are kept decides nothing, and would not fit a purpose that uses less.
	delete(files, "catalogue/retention.yaml")
	file := files["catalogue/purposes.yaml"]
	var out []string
	inside, done := false, false
	for text := range strings.Lines(string(file.Data)) {
		if !strings.HasPrefix(text, " ") {
			inside = text == purpose+":\n"
		}
		if inside && strings.HasPrefix(text, "  "+key+":") {
			text, done = "  "+line+"\n", true
		}
		out = append(out, text)
	}
	if !done {
		t.Fatalf("purpose %s has no line %s", purpose, key)
	}
	file.Data = []byte(strings.Join(out, ""))
	content, err := policies.ReadBundle(files)
	if err != nil {
		t.Fatal(err)
	}
	return mustCompile(t, content)
}

// greeted are facts under which a greeting opens.
func greeted() policies.Facts {
	return policies.Facts{
		Action: policies.Personalize, Role: privacy.RoleService, Recipient: "web_shop", Purpose: "greeting", Channel: "web",
		Reference: policies.ByPseudonym, Trigger: policies.NoTrigger, Case: policies.NoCase,
		Subject: policies.SubjectFacts{
			Known: policies.Yes, Age: policies.Adult, Jurisdiction: "CZ", Restricted: policies.No, Objected: policies.No, Household: policies.SingleHousehold,
		},
		Consent:    policies.ConsentFacts{State: policies.ConsentNeverAsked, Explicit: policies.No, Basis: policies.NoBasis, Incentive: policies.No},
		Categories: []privacy.DataCategory{"contact"},
	}
}

// decide makes a decision as the gate does: kept, logged, counted.
func (b *bench) decide(t testing.TB, facts policies.Facts, person byte, attributes ...privacy.AttributeName) audit.DecisionID {
	t.Helper()
	plan, err := b.revision.PlanUncached(t.Context(), facts)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Keep(t.Context(), b.revision.Digest(), facts, &plan); err != nil {
		t.Fatal(err)
	}
	event := audit.Event{
		Kind: audit.QueryAnswered, Outcome: audit.Allowed, Principal: shop, Purpose: facts.Purpose, Channel: facts.Channel,
		Subject: audit.Subject{ID: privacy.DataSubjectID{15: person}, Blinding: audit.BlindingKey{person}},
		Policy:  b.revision.Digest(), Facts: facts.Digest(), Attributes: attributes,
	}
	if !plan.Allow {
		event.Kind, event.Outcome, event.Checks = audit.QueryDenied, audit.Denied, plan.Failed
	}
	return b.logged(t, event)
}

func (b *bench) logged(t testing.TB, event audit.Event) audit.DecisionID {
	t.Helper()
	receipt, err := b.log.Append(t.Context(), event)
	if err != nil {
		t.Fatal(err)
	}
	if !event.Subject.ID.IsZero() {
		b.Met(event.Policy, event.Facts, event.Subject.Blinding.CountTag())
	}
	return receipt.DecisionID()
}

// last is the newest entry of the log.
func (b *bench) last(t *testing.T) audit.Entry {
	t.Helper()
	entry, err := audit.ParseEntry(b.log.leaves[len(b.log.leaves)-1])
	if err != nil {
		t.Fatal(err)
	}
	return entry
}

// memory is a store that keeps to the contract.
type memory struct {
	mu      sync.Mutex
	bundles map[audit.Digest][]byte
	decided []DecidedRow
	people  []PeopleRow
	packed  int
	err     error
}

var _ Store = (*memory)(nil)

func (m *memory) HasBundle(_ context.Context, policy audit.Digest) (bool, error) {
	return m.bundles[policy] != nil, m.err
}

func (m *memory) KeepBundle(_ context.Context, policy audit.Digest, content []byte) error {
	m.packed++
	m.bundles[policy] = content
	return m.err
}

func (m *memory) Bundle(_ context.Context, policy audit.Digest) ([]byte, error) {
	if content, ok := m.bundles[policy]; ok {
		return content, m.err
	}
	return nil, privacy.ErrNotFound
}

func (m *memory) KeepDecided(_ context.Context, row DecidedRow) error {
	for _, old := range m.decided {
		if old.Pair == row.Pair && old.Planned == row.Planned {
			return m.err
		}
	}
	m.decided = append(m.decided, row)
	return m.err
}

func (m *memory) Decided(_ context.Context, pairs []Pair) (rows []DecidedRow, err error) {
	for _, row := range m.decided {
		for _, pair := range pairs {
			if row.Pair == pair {
				rows = append(rows, row)
			}
		}
	}
	return rows, m.err
}

func (m *memory) KeepPeople(_ context.Context, rows []PeopleRow) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return m.err
	}
	for _, row := range rows {
		found := false
		for i, old := range m.people {
			if old.Pair == row.Pair && old.Day.Equal(row.Day) && old.Part == row.Part {
				m.people[i], found = row, true
			}
		}
		if !found {
			m.people = append(m.people, row)
		}
	}
	return nil
}

func (m *memory) People(_ context.Context, pairs []Pair, first, last time.Time) (rows []PeopleRow, err error) {
	for _, row := range m.people {
		for _, pair := range pairs {
			if row.Pair == pair && !row.Day.Before(first) && !row.Day.After(last) {
				rows = append(rows, row)
			}
		}
	}
	return rows, m.err
}

// memoryLog is a log without a tree.
type memoryLog struct {
	encoder *audit.Encoder
	leaves  [][]byte
	err     error
	altered bool // the stored hashes are not those of the leaves
}

func (l *memoryLog) Append(_ context.Context, event audit.Event) (audit.Receipt, error) {
	if l.err != nil {
		return audit.Receipt{}, l.err
	}
	leaf, id, err := l.encoder.AppendLeaf(nil, &event)
	if err != nil {
		return audit.Receipt{}, err
	}
	l.leaves = append(l.leaves, leaf)
	return audit.Committed(id, audit.LeafHash(leaf), uint64(len(l.leaves)-1)), nil
}

func (l *memoryLog) Size(context.Context) (uint64, error) { return uint64(len(l.leaves)), nil }

func (l *memoryLog) Entries(_ context.Context, from uint64, limit int) (entries []audit.StoredEntry, err error) {
	for i := from; i < uint64(len(l.leaves)) && len(entries) < limit; i++ {
		entry := audit.StoredEntry{Index: i, Leaf: bytes.Clone(l.leaves[i]), LeafHash: audit.LeafHash(l.leaves[i])}
		if l.altered {
			entry.LeafHash[0] ^= 1
		}
		entries = append(entries, entry)
	}
	return entries, nil
}
