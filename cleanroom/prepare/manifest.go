package prepare

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/privacy"
)

// The bounds of what is prepared.
const (
	// ChunkSize is how many members or rows a chunk has; the last one of each may have fewer.
	ChunkSize = 4096
	// MaximumMembers and MaximumRows bound a dataset.
	MaximumMembers = 50_000_000
	MaximumRows    = 500_000_000
	// MaximumManifest bounds a signed manifest in bytes.
	MaximumManifest = 16 << 20
)

const (
	manifestHeader = "mahrem prepared v1\n"
	remaskedHeader = "mahrem remasked v1\n"
)

// Manifest says what a party has prepared, and binds it to one room, epoch and contract.
type Manifest struct {
	// ContractDigest is that of the contract's signed note.
	ContractDigest  audit.Digest
	ContractVersion int
	Dataset         cleanroom.DatasetID
	// Declared is the size that was announced; Members is that or up to a sixth less.
	Declared   int
	Epoch      int // the one that it is for
	Identifier privacy.IdentifierKind
	Matching   cleanroom.Matching
	Members    int
	// MemberChunks and RowChunks are the digests of the chunks, in their order.
	MemberChunks []audit.Digest
	Owner        cleanroom.PartyID
	PreparedAt   time.Time
	Room         cleanroom.RoomID
	RowChunks    []audit.Digest
	Rows         int // 0: see [Manifest.StayAtHome]
	// WithoutConsent is about how many people were left out because they do not say yes: 0,
	// 100, 1,000 and so on, at least. It is noisy.
	WithoutConsent int
}

// Remasked says that the other party of a room in pair mode has masked the members of a
// manifest, in their order.
type Remasked struct {
	By           cleanroom.PartyID
	Manifest     audit.Digest // of the signed manifest
	MemberChunks []audit.Digest
	RemaskedAt   time.Time
}

// manifestJSON is a manifest in its one spelling: names sorted, no white space.
type manifestJSON struct {
	ContractDigest  string   `json:"contract_digest"`
	ContractVersion int      `json:"contract_version"`
	Dataset         string   `json:"dataset"`
	Declared        int      `json:"declared"`
	Epoch           int      `json:"epoch"`
	Identifier      string   `json:"identifier"`
	Matching        string   `json:"matching"`
	MemberChunks    []string `json:"member_chunks"`
	Members         int      `json:"members"`
	Owner           string   `json:"owner"`
	PreparedAt      string   `json:"prepared_at"`
	Room            string   `json:"room"`
	RowChunks       []string `json:"row_chunks"`
	Rows            int      `json:"rows"`
	WithoutConsent  int      `json:"without_consent"`
}

type remaskedJSON struct {
	By           string   `json:"by"`
	Manifest     string   `json:"manifest"`
	MemberChunks []string `json:"member_chunks"`
	RemaskedAt   string   `json:"remasked_at"`
}

// Sign returns the manifest as a signed note. It fails with an error that wraps
// [privacy.ErrInvalid] if the manifest does not hold together or is another party's.
func (m *Manifest) Sign(signer *cleanroom.Signer) ([]byte, error) {
	if signer.Party() != m.Owner {
		return nil, fmt.Errorf("signing manifest: the key is another party's: %w", privacy.ErrInvalid)
	}
	if err := m.check(); err != nil {
		return nil, err
	}
	return sign(manifestHeader, manifestJSON{
		ContractDigest: digestText(m.ContractDigest), ContractVersion: m.ContractVersion, Dataset: string(m.Dataset), Declared: m.Declared,
		Epoch: m.Epoch, Identifier: string(m.Identifier), Matching: string(m.Matching), MemberChunks: digestTexts(m.MemberChunks),
		Members: m.Members, Owner: string(m.Owner), PreparedAt: timeText(m.PreparedAt), Room: string(m.Room),
		RowChunks: digestTexts(m.RowChunks), Rows: m.Rows, WithoutConsent: m.WithoutConsent,
	}, signer)
}

// PeekOwner returns in whose name a signed manifest says that it is. Nothing is verified.
func PeekOwner(signed []byte) (cleanroom.PartyID, error) {
	m, err := parseManifest(signed)
	if err != nil {
		return "", err
	}
	return m.Owner, nil
}

// OpenManifest checks the owner's signature and returns the manifest. Errors wrap
// [privacy.ErrDamaged] if the signature does not fit, [privacy.ErrInvalid] if what was
// signed does not hold together.
func OpenManifest(signed []byte, owner note.Verifier) (*Manifest, error) {
	if len(signed) > MaximumManifest {
		return nil, fmt.Errorf("opening manifest: it is too large: %w", privacy.ErrInvalid)
	}
	if _, err := audit.OpenNote(signed, owner); err != nil {
		return nil, err
	}
	m, err := parseManifest(signed)
	if err != nil {
		return nil, err
	}
	if string(m.Owner) != owner.Name() {
		return nil, fmt.Errorf("opening manifest: somebody else signed it: %w", privacy.ErrDamaged)
	}
	return m, nil
}

func parseManifest(signed []byte) (*Manifest, error) {
	var j manifestJSON
	if err := parse(signed, manifestHeader, &j); err != nil {
		return nil, err
	}
	m := &Manifest{
		ContractVersion: j.ContractVersion, Dataset: cleanroom.DatasetID(j.Dataset), Declared: j.Declared, Epoch: j.Epoch,
		Identifier: privacy.IdentifierKind(j.Identifier), Matching: cleanroom.Matching(j.Matching), Members: j.Members,
		Owner: cleanroom.PartyID(j.Owner), Room: cleanroom.RoomID(j.Room), Rows: j.Rows, WithoutConsent: j.WithoutConsent,
	}
	var err, e error
	m.ContractDigest, e = parseDigest(j.ContractDigest)
	err = errors.Join(err, e)
	m.MemberChunks, e = parseDigests(j.MemberChunks)
	err = errors.Join(err, e)
	m.RowChunks, e = parseDigests(j.RowChunks)
	err = errors.Join(err, e)
	m.PreparedAt, e = parseTime(j.PreparedAt)
	if err = errors.Join(err, e, m.check()); err != nil {
		return nil, err
	}
	return m, nil
}

// check holds what must be true of every manifest.
func (m *Manifest) check() error {
	fault := ""
	switch {
	case !slices.Contains(cleanroom.Matchings(), m.Matching):
		fault = "an unknown way of matching"
	case !m.Room.Valid():
		fault = "a room that cannot have that name"
	case m.ContractVersion < 1 || m.Epoch < 1:
		fault = "a version or an epoch before the first one"
	case m.Members < 1 || m.Members > MaximumMembers || m.Rows < m.Members && !m.StayAtHome() || m.Rows > MaximumRows:
		fault = "an impossible number of members or rows"
	case !DeclaredFits(m.Declared, m.Members):
		fault = "another size than was declared"
	case len(m.MemberChunks) != chunks(m.Members) || len(m.RowChunks) != chunks(m.Rows):
		fault = "another number of chunks than members or rows need"
	case m.WithoutConsent != bucket(m.WithoutConsent):
		fault = "a number of people without consent that is no bucket"
	}
	if fault != "" {
		return fmt.Errorf("reading manifest: %s: %w", fault, privacy.ErrInvalid)
	}
	return nil
}

// StayAtHome reports whether the rows are not a part of what is handed over: those of the
// house's own people are where they are to be.
func (m *Manifest) StayAtHome() bool { return m.Rows == 0 && m.Matching == cleanroom.MatchPair }

// DeclaredFits reports whether a list of a number of members may go by a declared size: it
// has as many, or up to a sixth fewer.
func DeclaredFits(declared, members int) bool {
	return members <= declared && int64(declared)*5 <= int64(members)*6
}

// Digest is that of a signed manifest, by which it is known.
func Digest(signed []byte) audit.Digest { return sha256.Sum256(signed) }

// Sign returns the statement as a signed note.
func (r *Remasked) Sign(signer *cleanroom.Signer) ([]byte, error) {
	if signer.Party() != r.By {
		return nil, fmt.Errorf("signing: the key is another party's: %w", privacy.ErrInvalid)
	}
	return sign(remaskedHeader, remaskedJSON{
		By: string(r.By), Manifest: digestText(r.Manifest), MemberChunks: digestTexts(r.MemberChunks), RemaskedAt: timeText(r.RemaskedAt),
	}, signer)
}

// PeekRemasker returns in whose name a signed statement says that it is. Nothing is verified.
func PeekRemasker(signed []byte) (cleanroom.PartyID, error) {
	r, err := parseRemasked(signed)
	if err != nil {
		return "", err
	}
	return r.By, nil
}

// OpenRemasked checks the signature of whoever masked the members of a manifest, and that
// it is about that manifest.
func OpenRemasked(signed []byte, by note.Verifier, manifest []byte, m *Manifest) (*Remasked, error) {
	if len(signed) > MaximumManifest {
		return nil, fmt.Errorf("opening statement: it is too large: %w", privacy.ErrInvalid)
	}
	if _, err := audit.OpenNote(signed, by); err != nil {
		return nil, err
	}
	r, err := parseRemasked(signed)
	switch {
	case err != nil:
		return nil, err
	case string(r.By) != by.Name():
		return nil, fmt.Errorf("opening statement: somebody else signed it: %w", privacy.ErrDamaged)
	case r.By == m.Owner || m.Matching != cleanroom.MatchPair:
		return nil, fmt.Errorf("opening statement: in pair mode the other party masks a list once more: %w", privacy.ErrInvalid)
	case r.Manifest != Digest(manifest) || len(r.MemberChunks) != len(m.MemberChunks):
		return nil, fmt.Errorf("opening statement: it is about another list: %w", privacy.ErrInvalid)
	}
	return r, nil
}

func parseRemasked(signed []byte) (*Remasked, error) {
	var j remaskedJSON
	if err := parse(signed, remaskedHeader, &j); err != nil {
		return nil, err
	}
	r := &Remasked{By: cleanroom.PartyID(j.By)}
	var err, e error
	r.Manifest, err = parseDigest(j.Manifest)
	r.MemberChunks, e = parseDigests(j.MemberChunks)
	err = errors.Join(err, e)
	r.RemaskedAt, e = parseTime(j.RemaskedAt)
	if err = errors.Join(err, e); err != nil {
		return nil, err
	}
	return r, nil
}

func sign(header string, document any, signer *cleanroom.Signer) ([]byte, error) {
	text, err := json.Marshal(document)
	if err != nil {
		return nil, fmt.Errorf("writing manifest: %w", err)
	}
	signed, err := note.Sign(&note.Note{Text: header + string(text) + "\n"}, signer)
	if err != nil {
		return nil, fmt.Errorf("signing manifest: %w", err)
	}
	if len(signed) > MaximumManifest {
		return nil, fmt.Errorf("signing manifest: it is too large: %w", privacy.ErrInvalid)
	}
	return signed, nil
}

// parse reads the document of a signed note, in its one spelling.
func parse[T any](signed []byte, header string, document *T) error {
	invalid := func(what string) error {
		return fmt.Errorf("reading what was signed: %s: %w", what, privacy.ErrInvalid)
	}
	// The text of a note ends where the last empty line is; behind it are signatures.
	end := bytes.LastIndex(signed, []byte("\n\n"))
	if end < 0 {
		return invalid("nobody signed it")
	}
	line, found := bytes.CutPrefix(signed[:end], []byte(header))
	if !found {
		return invalid("it is something else")
	}
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(document); err != nil {
		return invalid("it is no such document")
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return invalid("there is more than a document")
	}
	again, err := json.Marshal(document)
	if err != nil || !bytes.Equal(again, line) {
		return invalid("it is spelled otherwise")
	}
	return nil
}

func digestText(d audit.Digest) string { return hex.EncodeToString(d[:]) }

func digestTexts(digests []audit.Digest) []string {
	texts := make([]string, len(digests))
	for i, d := range digests {
		texts[i] = digestText(d)
	}
	return texts
}

func parseDigest(text string) (d audit.Digest, err error) {
	decoded, err := hex.DecodeString(text)
	if err != nil || len(decoded) != len(d) || strings.ToLower(text) != text {
		return d, fmt.Errorf("reading a digest: it is none: %w", privacy.ErrInvalid)
	}
	return audit.Digest(decoded), nil
}

func parseDigests(texts []string) ([]audit.Digest, error) {
	if texts == nil {
		return nil, fmt.Errorf("reading digests: there are none: %w", privacy.ErrInvalid)
	}
	digests := make([]audit.Digest, len(texts))
	for i, text := range texts {
		var err error
		if digests[i], err = parseDigest(text); err != nil {
			return nil, err
		}
	}
	return digests, nil
}

func timeText(t time.Time) string { return t.UTC().Truncate(time.Second).Format(time.RFC3339) }

func parseTime(text string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil || timeText(t) != text {
		return time.Time{}, fmt.Errorf("reading a time: it is none: %w", privacy.ErrInvalid)
	}
	return t.UTC(), nil
}

// chunks is in how many chunks n things go.
func chunks(n int) int { return (n + ChunkSize - 1) / ChunkSize }

// bucket rounds down to 0, 100, 1,000 and so on.
func bucket(n int) int {
	at := 0
	for edge := 100; edge <= n && edge <= MaximumRows; edge *= 10 {
		at = edge
	}
	return at
}
