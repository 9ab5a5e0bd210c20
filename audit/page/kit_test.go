package page

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strconv"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/audit/witness"
	"github.com/mahrem/mahrem/privacy"
)

const origin = "shop.example/audit"

// house is a log in memory, with a key and two witnesses.
type house struct {
	t      testing.TB
	leaves [][]byte
	hashes tlogHashes
	key    ed25519.PrivateKey
	signer note.Signer
	vkey   string
	// witnesses sign as w1.example and w2.example.
	witnesses [2]ed25519.PrivateKey
}

type tlogHashes []tlog.Hash

func (h tlogHashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	found := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		found[i] = h[index]
	}
	return found, nil
}

func seed(name string) ed25519.PrivateKey {
	sum := sha256.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(sum[:])
}

// newHouse makes a log of n entries. Another name gives it another history under the same
// key.
func newHouse(t testing.TB, n int, history string) *house {
	t.Helper()
	h := &house{t: t, key: seed("log"), witnesses: [2]ed25519.PrivateKey{seed("w1"), seed("w2")}}
	public := h.key.Public().(ed25519.PublicKey)
	var err error
	if h.signer, err = audit.NewSigner(origin, public, func(m []byte) ([]byte, error) { return ed25519.Sign(h.key, m), nil }); err != nil {
		t.Fatal(err)
	}
	if h.vkey, err = audit.FormatKey(origin, public); err != nil {
		t.Fatal(err)
	}
	encoder, err := audit.NewEncoder(audit.EncoderConfig{
		Now:    func() time.Time { return time.UnixMilli(1795325000123 + int64(len(h.leaves))) },
		Random: &stream{state: sha256.Sum256([]byte(history))},
		Actor:  func(p privacy.Principal) (tag [16]byte) { copy(tag[:], p.ID); return tag },
	})
	if err != nil {
		t.Fatal(err)
	}
	for len(h.leaves) < n {
		entry, err := encoder.NewEntry(event(len(h.leaves)))
		if err != nil {
			t.Fatal(err)
		}
		stored, err := tlog.StoredHashes(int64(len(h.leaves)), entry.Leaf(), h.hashes)
		if err != nil {
			t.Fatal(err)
		}
		h.hashes = append(h.hashes, stored...)
		h.leaves = append(h.leaves, entry.Leaf())
	}
	return h
}

// stream is a random source that is the same each time.
type stream struct {
	state [32]byte
	rest  []byte
}

func (s *stream) Read(b []byte) (int, error) {
	for i := range b {
		if len(s.rest) == 0 {
			s.state = sha256.Sum256(s.state[:])
			s.rest = s.state[:]
		}
		b[i], s.rest = s.rest[0], s.rest[1:]
	}
	return len(b), nil
}

// event returns one of a few shapes of event, the fullest among them.
func event(i int) audit.Event {
	service := privacy.Principal{ID: "recommender", Role: privacy.RoleService, Recipient: "recs"}
	person := audit.Subject{ID: privacy.DataSubjectID{15: 7}, Blinding: audit.BlindingKey{31: 9}}
	switch i % 5 {
	case 0:
		return audit.Event{Kind: audit.ServerStarted, Outcome: audit.Done}
	case 1:
		return audit.Event{
			Kind: audit.QueryAnswered, Outcome: audit.Allowed, Principal: service, Subject: person, Purpose: "recommendation.products", Channel: "web",
			Attributes: []privacy.AttributeName{"affinity", "segment"}, Policy: audit.Digest{1}, Facts: audit.Digest{2}, Count: 2,
		}
	case 2:
		return audit.Event{
			Kind: audit.QueryDenied, Outcome: audit.Denied, Principal: service, Subject: audit.Subject{Unknown: true}, Purpose: "newsletter.delivery",
			Checks: []string{"consent_given", "purpose_known"}, Policy: audit.Digest{1}, Facts: audit.Digest{3},
		}
	case 3:
		return audit.Event{Kind: audit.TokenMinted, Outcome: audit.Done, Recipient: "recs", Minted: privacy.RoleService, List: audit.Digest{4}}
	}
	return audit.Event{
		Kind: audit.PersonReidentified, Outcome: audit.Done, Principal: privacy.Principal{ID: "d", Role: privacy.RoleDPO},
		Recipient: "ads:*", Subject: person, Count: 5000,
	}
}

func (h *house) root(size int) tlog.Hash {
	root, err := tlog.TreeHash(int64(size), h.hashes)
	if err != nil {
		h.t.Fatal(err)
	}
	return root
}

// sign signs any text with the key of the log.
func (h *house) sign(text string) []byte {
	signed, err := note.Sign(&note.Note{Text: text}, h.signer)
	if err != nil {
		h.t.Fatal(err)
	}
	return signed
}

// checkpoint signs the tree of a size, and lets the first witnesses cosign it.
func (h *house) checkpoint(size, witnesses int) []byte {
	signed, err := audit.SignCheckpoint(audit.Checkpoint{Origin: origin, Size: uint64(size), Root: h.root(size)}, h.signer)
	if err != nil {
		h.t.Fatal(err)
	}
	for i := range witnesses {
		signed = append(signed, h.cosign(i, signed, 1795325100)...)
	}
	return signed
}

// cosign returns the line of a witness under a checkpoint.
func (h *house) cosign(i int, signed []byte, seconds uint64) string {
	text := signed[:bytes.LastIndex(signed, []byte("\n\n"))+1]
	message := append([]byte("cosignature/v1\ntime "+strconv.FormatUint(seconds, 10)+"\n"), text...)
	name, raw := witnessKeyOf(i, h.witnesses[i])
	id := sha256.Sum256(append([]byte(name+"\n"), raw...))
	signature := binary.BigEndian.AppendUint64(id[:4:4], seconds)
	signature = append(signature, ed25519.Sign(h.witnesses[i], message)...)
	return "— " + name + " " + base64.StdEncoding.EncodeToString(signature) + "\n"
}

func witnessKeyOf(i int, key ed25519.PrivateKey) (name string, raw []byte) {
	return fmt.Sprintf("w%d.example", i+1), append([]byte{4}, key.Public().(ed25519.PublicKey)...)
}

// policy demands k of the two witnesses.
func (h *house) policy(k string) string {
	text := "# who must have seen it\n"
	for i, key := range h.witnesses {
		name, raw := witnessKeyOf(i, key)
		id := sha256.Sum256(append([]byte(name+"\n"), raw...))
		text += fmt.Sprintf("witness w%d %s+%08x+%s\n", i+1, name, id[:4], base64.StdEncoding.EncodeToString(raw))
	}
	if k == "none" {
		return text + "quorum none\n"
	}
	return text + "group both " + k + " w1 w2\nquorum both\n"
}

// proof is the tlog-proof file of an entry under a checkpoint, as the programs write it.
func (h *house) proof(index, size int, checkpoint []byte) []byte {
	path, err := tlog.ProveRecord(int64(size), int64(index), h.hashes)
	if err != nil {
		h.t.Fatal(err)
	}
	return audit.FormatProof(audit.Inclusion{Index: uint64(index), Leaf: h.leaves[index], Path: path, Checkpoint: checkpoint})
}

// growth is a file that says that the checkpoint grew out of the tree of old, likewise.
func (h *house) growth(old, size int, checkpoint []byte) []byte {
	path, err := tlog.ProveTree(int64(size), int64(old), h.hashes)
	if err != nil {
		h.t.Fatal(err)
	}
	return witness.FormatRequest(uint64(old), path, checkpoint)
}
