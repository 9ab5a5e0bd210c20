package prepare

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/cleanroom/match"
	"github.com/mahrem/mahrem/privacy"
)

// DefaultMinimum is how many people a list has at least, unless the room says otherwise.
const DefaultMinimum = 1000

// Config says what a file is, and what it is prepared for.
type Config struct {
	Room  cleanroom.RoomID
	Epoch int // the one that begins with the next match
	// Contract is the one that the party has signed for the dataset. Its Source must be
	// [cleanroom.FromParty].
	Contract *cleanroom.SignedContract
	// Matcher masks, in the room's mode.
	Matcher match.Matcher
	// Identifier is by what people are matched, IdentifierColumn where the file has it.
	Identifier       privacy.IdentifierKind
	IdentifierColumn string
	// ConsentColumn says whether a person agrees, which it does if it is ConsentYes. A person
	// with any row that says something else is left out.
	ConsentColumn, ConsentYes string
	// Columns are the file's columns for those of the contract that are called otherwise there.
	Columns map[string]string
	// Decimals are how many digits behind the point amounts of a column have: 12.5 of a
	// column with 2 is 1250.
	Decimals map[string]int
	// ManyRows lets a person have several rows. Without it, that is refused.
	ManyRows bool
	// Protected reports whether a word names something that no room may be about. Rows with such
	// a word that would count as whatever is left are left out ([cleanroom.Column.Hides]). Nil:
	// none are.
	Protected func(word string) bool
	// DropBad leaves rows out that do not read; nil of them are let through otherwise.
	DropBad bool
	// Declared is the size that was announced, Minimum the smallest one that is not refused;
	// 0 is [DefaultMinimum], and less than 2 is refused.
	Declared, Minimum int
	// Signer signs in the party's name.
	Signer *cleanroom.Signer
	// Noise hides how many people did not agree.
	Noise cleanroom.Noise
	// Random is a cryptographic source.
	Random io.Reader
	Now    func() time.Time
	// Progress is told how far each stage is. It may be nil.
	Progress func(stage Stage, done, total int64)
}

// Stage is a part of the work.
type Stage string

// The stages, in their order.
const (
	Reading  Stage = "reading" // in bytes
	Masking  Stage = "masking" // in people
	Shuffled Stage = "rows"    // in rows
)

func (c *Config) check() error {
	contract := c.Contract.Contract
	fault := ""
	switch {
	case contract.Owner != c.Signer.Party():
		fault = "the contract is another party's"
	case contract.Source != cleanroom.FromParty:
		fault = "the contract is about the house's own people, whom the house draws itself"
	case !c.Room.Valid() || c.Epoch < 1:
		fault = "a room, whose name has lower-case letters, digits and underscores, and an epoch from 1 on are needed"
	case !slices.Contains(match.Kinds(), c.Identifier) || c.IdentifierColumn == "":
		fault = "an identifier and its column are needed"
	case c.ConsentColumn == "" || c.ConsentYes == "":
		fault = "a column with consent, and what is a yes there, are needed"
	case c.Minimum < 2 || c.Declared < c.Minimum || c.Declared > MaximumMembers:
		fault = "a declared size is needed, which is no smaller than the smallest list; lists of one do not exist"
	}
	for name := range c.Columns {
		if _, ok := contract.Column(name); !ok {
			fault = "the contract has no column " + name
		}
	}
	for name, digits := range c.Decimals {
		column, ok := contract.Column(name)
		if !ok || column.Type != cleanroom.Integer || digits < 0 || digits > 6 {
			fault = "digits behind a point are for amounts of the contract, up to 6"
		}
	}
	if fault != "" {
		return fmt.Errorf("preparing: %s: %w", fault, privacy.ErrInvalid)
	}
	return nil
}

// wanted are the columns of the file, the identifier and the consent first.
func (c *Config) wanted() []string {
	names := []string{c.IdentifierColumn, c.ConsentColumn}
	for i := range c.Contract.Contract.Columns {
		name := c.Contract.Contract.Columns[i].Name
		if called := c.Columns[name]; called != "" {
			name = called
		}
		names = append(names, name)
	}
	return names
}

// plan is the digest of what decides on the outcome, apart from the file and the secrets.
func (c *Config) plan() (audit.Digest, error) {
	text, err := json.Marshal(struct {
		Room       cleanroom.RoomID
		Epoch      int
		Contract   string
		Mode       cleanroom.Matching
		Identifier privacy.IdentifierKind
		Wanted     []string
		Yes        string
		Decimals   map[string]int
		Many, Bad  bool
		Protected  bool `json:",omitempty"`
	}{
		c.Room, c.Epoch, digestText(c.Contract.Digest), c.Matcher.Mode(), c.Identifier,
		c.wanted(), c.ConsentYes, c.Decimals, c.ManyRows, c.DropBad, c.Protected != nil,
	})
	if err != nil {
		return audit.Digest{}, fmt.Errorf("writing plan: %w", err)
	}
	return sha256.Sum256(text), nil
}

// scale turns an amount such as 12.5 into minor units, without floating-point numbers.
// What it cannot turn comes back as it is, and the contract refuses it.
func scale(value string, digits int) string {
	negative := strings.HasPrefix(value, "-")
	whole, behind, _ := strings.Cut(strings.TrimPrefix(value, "-"), ".")
	for len(behind) > digits && behind[len(behind)-1] == '0' {
		behind = behind[:len(behind)-1]
	}
	if whole == "" || len(behind) > digits || strings.Trim(whole+behind, "0123456789") != "" {
		return value + "?"
	}
	number := strings.TrimLeft(whole+behind+strings.Repeat("0", digits-len(behind)), "0")
	switch {
	case number == "":
		return "0"
	case negative:
		return "-" + number
	}
	return number
}
