package export

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/mahrem/mahrem/archive"
	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/gate"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
	"github.com/mahrem/mahrem/vault/keydir"
)

const testOrigin = "example.com/log"

var (
	testTime = time.Date(2026, 5, 20, 12, 0, 0, 0, time.UTC)
	dpo      = privacy.Principal{ID: "dpo", Role: privacy.RoleDPO}
)

// opened are keys and catalogue, which take a while to make and do not change.
var opened = sync.OnceValues(func() (*keydir.Keys, error) {
	dir, err := tempDir()
	if err != nil {
		return nil, err
	}
	if err := keydir.Create(filepath.Join(dir, "keys"), keydir.Config{}); err != nil {
		return nil, err
	}
	return keydir.Open(filepath.Join(dir, "keys"), keydir.Config{})
})

var catalogue = sync.OnceValues(func() (*policies.Catalogue, error) {
	return policies.LoadCatalogue(policies.Bundle(), "catalogue")
})

// house is an exporter over a store and a log in memory.
type house struct {
	*Exporter
	t       testing.TB
	keys    *keydir.Keys
	people  map[privacy.DataSubjectID]*held
	encoder *audit.Encoder
	mu      sync.Mutex
	entries []audit.StoredEntry
	edge    audit.Edge
	note    []byte
	plans   map[archive.Pair]archive.Explained
	// recordErr is what the log says when something is to be recorded.
	recordErr error
	// unlogged says that all is well, without an entry.
	unlogged bool
	identity *age.X25519Identity
}

// held is what is held about one person.
type held struct {
	house    *house
	person   Person
	key      *vault.PersonKey
	records  map[privacy.DataCategory]vault.Record
	events   map[privacy.DataCategory][]vault.Event
	consents []consent.Record
	rows     []gate.ExposureRow
	stays    []Stay
	// many is how many events purchases has beside, made when they are asked for.
	many int64
	// drawn says what Chunks returns as somebody reads it.
	reads int
}

func newHouse(t testing.TB) *house {
	t.Helper()
	keys, err := opened()
	if err != nil {
		t.Fatal(err)
	}
	words, err := catalogue()
	if err != nil {
		t.Fatal(err)
	}
	h := &house{t: t, keys: keys, people: map[privacy.DataSubjectID]*held{}, plans: map[archive.Pair]archive.Explained{}}
	if h.encoder, err = audit.NewEncoder(audit.EncoderConfig{
		Now: func() time.Time { return testTime }, Actor: func(privacy.Principal) [16]byte { return [16]byte{1} },
	}); err != nil {
		t.Fatal(err)
	}
	if h.identity, err = age.GenerateX25519Identity(); err != nil {
		t.Fatal(err)
	}
	h.Exporter, err = New(h, h, h, Config{
		Origin: testOrigin, Key: keys.LogPublicKey(), Sign: keys.SignLog,
		Catalogue: func() *policies.Catalogue { return words }, Now: func() time.Time { return testTime },
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// add takes somebody in.
func (h *house) add(n byte) *held {
	h.t.Helper()
	id := privacy.DataSubjectID{15: n}
	key, _, err := h.keys.Vault().NewPersonKey(id)
	if err != nil {
		h.t.Fatal(err)
	}
	p := &held{
		house: h, person: Person{Jurisdiction: "TR", CreatedAt: testTime.AddDate(-2, 0, 0)}, key: key,
		records: map[privacy.DataCategory]vault.Record{}, events: map[privacy.DataCategory][]vault.Event{},
	}
	h.people[id] = p
	return p
}

func (h *house) append(event audit.Event) audit.Receipt {
	h.mu.Lock()
	defer h.mu.Unlock()
	entry, err := h.encoder.NewEntry(event)
	if err != nil {
		h.t.Error(err)
		return audit.Receipt{}
	}
	e := audit.StoredEntry{Index: uint64(len(h.entries)), Leaf: entry.Leaf(), LeafHash: audit.LeafHash(entry.Leaf())}
	h.entries = append(h.entries, e)
	h.edge.Append(e.LeafHash, nil)
	return audit.Committed(entry.ID, e.LeafHash, e.Index)
}

// sign signs a checkpoint of the log as it is.
func (h *house) sign() {
	signer, err := audit.NewSigner(testOrigin, h.keys.LogPublicKey(), h.keys.SignLog)
	if err == nil {
		h.note, err = audit.SignCheckpoint(audit.Checkpoint{Origin: testOrigin, Size: h.edge.Size(), Root: h.edge.Root()}, signer)
	}
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) AuditSubject(_ context.Context, id privacy.DataSubjectID) (audit.Subject, error) {
	if p := h.people[id]; p != nil {
		return p.key.Subject(), nil
	}
	return audit.Subject{}, privacy.ErrNotFound
}

func (h *house) Read(_ context.Context, id privacy.DataSubjectID, use func(Reader) error) error {
	if p := h.people[id]; p != nil {
		return use(p)
	}
	return privacy.ErrNotFound
}

func (h *house) Record(_ context.Context, _ privacy.DataSubjectID, event audit.Event) (audit.Receipt, error) {
	if h.recordErr != nil {
		return audit.Receipt{}, h.recordErr
	}
	if h.unlogged {
		return audit.Receipt{}, nil
	}
	return h.append(event), nil
}

func (h *house) Entries(_ context.Context, from uint64, limit int) ([]audit.StoredEntry, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	from = min(from, uint64(len(h.entries)))
	return slices.Clone(h.entries[from:min(int(from)+limit, len(h.entries))]), nil
}

func (h *house) EntriesAt(_ context.Context, indexes []uint64) ([]audit.StoredEntry, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var list []audit.StoredEntry
	for _, index := range indexes {
		list = append(list, h.entries[index])
	}
	return list, nil
}

func (h *house) Size(context.Context) (uint64, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return uint64(len(h.entries)), nil
}

func (h *house) LatestCheckpoint(context.Context) ([]byte, error) {
	if h.note == nil {
		return nil, privacy.ErrNotFound
	}
	return h.note, nil
}

func (h *house) Explain(_ context.Context, pairs []archive.Pair) (map[archive.Pair]archive.Explained, error) {
	found := map[archive.Pair]archive.Explained{}
	for _, pair := range pairs {
		if plan, ok := h.plans[pair]; ok {
			found[pair] = plan
		}
	}
	return found, nil
}

func (p *held) Person() Person        { return p.person }
func (p *held) Key() *vault.PersonKey { return p.key }

func (p *held) Records(context.Context, []privacy.DataCategory) (map[privacy.DataCategory]vault.Record, error) {
	return p.records, nil
}

func (p *held) Streams(context.Context, []privacy.DataCategory) (map[privacy.DataCategory]int64, error) {
	counts := map[privacy.DataCategory]int64{}
	for stream, events := range p.events {
		counts[stream] = int64(len(events))
	}
	if p.many > 0 {
		counts["purchases"] = p.many
	}
	return counts, nil
}

func (p *held) Chunks(_ context.Context, stream privacy.DataCategory, from int64, limit int) ([]Chunk, error) {
	p.reads = max(p.reads, limit)
	var list []Chunk
	for n := from; len(list) < limit; n++ {
		events := p.chunk(stream, n)
		if len(events) == 0 {
			break
		}
		sealed, err := p.key.SealChunk(stream, n, 1, events)
		if err != nil {
			return nil, err
		}
		list = append(list, Chunk{n, 1, sealed})
	}
	return list, nil
}

func (p *held) chunk(stream privacy.DataCategory, n int64) []vault.Event {
	const size = vault.MaxChunkEvents
	if stream != "purchases" || p.many == 0 {
		events := p.events[stream]
		return events[min(n*size, int64(len(events))):min((n+1)*size, int64(len(events)))]
	}
	var events []vault.Event
	for i := n * size; i < min((n+1)*size, p.many); i++ {
		events = append(events, vault.Event{Type: "purchase", At: testTime.Add(time.Duration(i) * time.Second), Fields: map[privacy.AttributeName]privacy.Plain{
			"product_group": privacy.NewPlain("grocery.dairy"), "amount": privacy.NewPlain("12.50"), "receipt": privacy.NewPlain(fmt.Sprintf("R-%07d", i)),
		}})
	}
	return events
}

func (p *held) Consents(context.Context) ([]consent.Record, error) { return p.consents, nil }
func (p *held) Stays(context.Context) ([]Stay, error)              { return p.stays, nil }

func (p *held) Exposures(context.Context) ([]gate.ExposureRow, error) { return p.rows, nil }

// memoryFile is a file in memory.
type memoryFile struct {
	bytes.Buffer
	kept, dropped bool
}

func (f *memoryFile) Keep() error { f.kept = true; return nil }
func (f *memoryFile) Drop() error { f.dropped = !f.kept; return nil }

// job is one of a person, with the file that it goes to.
func (h *house) job(p *held, kind dsar.Kind) (Job, *memoryFile) {
	lock, err := ForRecipient(h.identity.Recipient().String())
	if err != nil {
		h.t.Fatal(err)
	}
	file := &memoryFile{}
	return Job{
		Person: p.key.DataSubject(), Request: dsar.RequestID{1}, Kind: kind, Language: "en", Lock: lock,
		Create: func() (File, error) { return file, nil },
	}, file
}

// open decrypts and verifies an export and returns its files.
func (h *house) open(file *memoryFile) (map[string]string, Verified) {
	h.t.Helper()
	if !file.kept || file.dropped {
		h.t.Fatal("the file was not kept")
	}
	plain := h.decrypt(file.Bytes())
	files := map[string]string{}
	verified, err := Verify(bytes.NewReader(plain), int64(len(plain)), testOrigin, h.keys.LogPublicKey(), collectInto(files))
	if err != nil {
		h.t.Fatal(err)
	}
	return files, verified
}

func (h *house) decrypt(sealed []byte) []byte {
	h.t.Helper()
	key, err := IdentityKey(strings.NewReader(h.identity.String()))
	if err != nil {
		h.t.Fatal(err)
	}
	r, err := key.Open(bytes.NewReader(sealed))
	if err != nil {
		h.t.Fatal(err)
	}
	var plain bytes.Buffer
	if _, err := plain.ReadFrom(r); err != nil {
		h.t.Fatal(err)
	}
	return plain.Bytes()
}

var errBroken = errors.New("broken")
