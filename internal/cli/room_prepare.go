package cli

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/cleanroom/match"
	"github.com/mahrem/mahrem/cleanroom/noise"
	"github.com/mahrem/mahrem/cleanroom/prepare"
	"github.com/mahrem/mahrem/intake"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

type prepareFlags struct {
	contract, key, room, matching, identifier, consent, output string
	sharedFile, pairFile                                       string
	columns, decimals                                          []string
	epoch, people, minimum                                     int
	manyRows, dropBad                                          bool
	house                                                      houseFlags
	publicKey                                                  string
}

type preparedDocument struct {
	Directory         string         `json:"directory"`
	Manifest          string         `json:"manifest"`
	Dataset           string         `json:"dataset"`
	Epoch             int            `json:"epoch"`
	Members           int            `json:"members"`
	Rows              int            `json:"rows"`
	WithoutConsent    int            `json:"without_consent"`
	WithoutIdentifier int            `json:"rows_without_identifier"`
	Dropped           map[string]int `json:"rows_dropped,omitempty"`
	Others            map[string]int `json:"rows_as_other,omitempty"`
	Hidden            map[string]int `json:"rows_protected,omitempty"`
	Resumed           bool           `json:"resumed"`
}

func (a *app) roomPrepare() *cobra.Command {
	f := prepareFlags{}
	cmd := &cobra.Command{
		Use: "prepare FILE", Short: "Mask, shuffle and sign a party's people, on its own side", Args: cobra.ExactArgs(1),
		Long: `Bring the people of a CSV or NDJSON file (also .gz) into the form in which they may leave
a party's house, into a new directory. This runs on the party's side: it needs no server,
no database and no key directory (but for mode oprf, in which the house masks blindly).

People whose consent is not what --consent calls a yes are left out: one row that says
something else is enough. Identifiers are normalized as PAIR 1.1 has it and masked in the
room's mode; values become the numbers that the signed contract declares; members and
rows are shuffled with a cryptographic source; the manifest is signed.

Refused, as a whole: people who are there twice (but with --many-rows), lists shorter
than --minimum-members, or of more people than --people announces or a sixth fewer,
values that the contract does not provide for (but with --drop-bad-rows). Lines are named,
and never values. Work that breaks off is taken up when the same command is run again,
and comes out the same.

Next: mahrem room send, or, in pair mode, give manifest and members.ndjson (not the rows)
to the other party for mahrem room remask. docs/spec/prepared.md has the files.`,
		Example: `  mahrem room prepare crm.csv --room spring --epoch 1 --contract segments.contract --key brand.key \
    --matching operator --identifier email=mail --consent optin=yes --people 120000 --output spring-1`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := needs(cmd, "contract", "key", "room", "epoch", "matching", "identifier", "consent", "people", "output"); err != nil {
				return err
			}
			config, err := a.prepareConfig(cmd, &f)
			if err != nil {
				return err
			}
			source, err := intake.FileSource(args[0])
			if errors.Is(err, fs.ErrNotExist) {
				return usagef("there is no file %s", args[0])
			}
			if err != nil {
				return err
			}
			stages := a.newStages()
			config.Progress = stages.set
			summary, err := prepare.Run(cmd.Context(), source, f.output, config)
			stages.finish()
			if hint := prepareHint(err); hint != "" {
				return fmt.Errorf("%w; %s", err, hint)
			}
			if errors.Is(err, privacy.ErrConflict) {
				return fmt.Errorf("%s: %w; a run that was broken off goes on with the same file and flags, and with others in another --output", f.output, err)
			}
			if err != nil {
				return err
			}
			m := summary.Manifest
			document := preparedDocument{
				Directory: f.output, Manifest: fmt.Sprintf("%x", summary.Digest), Dataset: string(m.Owner) + "." + string(m.Dataset), Epoch: m.Epoch,
				Members: m.Members, Rows: m.Rows, WithoutConsent: summary.LeftOut, WithoutIdentifier: summary.NoIdentifier, Dropped: summary.Bad, Others: summary.Others,
				Hidden: summary.Hidden, Resumed: summary.Resumed,
			}
			return a.screen.print(document, func(w io.Writer) {
				t := table{}
				t.add("prepared", document.Directory)
				t.add("dataset", fmt.Sprintf("%s, for epoch %d of %s", document.Dataset, m.Epoch, m.Room))
				t.add("members", strconv.Itoa(m.Members))
				t.add("rows", strconv.Itoa(m.Rows))
				t.add("left out", fmt.Sprintf("%d people without consent, %d rows without an identifier", summary.LeftOut, summary.NoIdentifier))
				for _, reason := range sortedKeys(summary.Bad) {
					t.add("dropped", fmt.Sprintf("%d rows: %s", summary.Bad[reason], reason))
				}
				for _, column := range sortedKeys(summary.Others) {
					t.add("as other", fmt.Sprintf("%d rows: %s has a word that the contract does not have", summary.Others[column], column))
				}
				for _, column := range sortedKeys(summary.Hidden) {
					t.add("left out", fmt.Sprintf("%d rows: %s has a word that the catalogue protects", summary.Hidden[column], column))
				}
				t.add("manifest", document.Manifest)
				t.writeTo(w, "")
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.contract, "contract", "", "the signed contract of the dataset (required)")
	flags.StringVar(&f.key, "key", "", "the party's signing key, from mahrem room key new (required)")
	flags.StringVar(&f.room, "room", "", "the room (required)")
	flags.IntVar(&f.epoch, "epoch", 0, "the epoch that begins with the next match (required)")
	flags.StringVar(&f.matching, "matching", "", "the room's mode: operator, blind, pair or oprf (required)")
	flags.StringVar(&f.identifier, "identifier", "", "KIND=COLUMN: email, phone or customer_number, and where the file has it (required)")
	flags.StringVar(&f.consent, "consent", "", "COLUMN=YES: where consent is, and what is a yes there (required)")
	flags.IntVar(&f.people, "people", 0, "how many people were announced (required)")
	flags.IntVar(&f.minimum, "minimum-members", prepare.DefaultMinimum, "the smallest list that the room takes; a short list hides nobody")
	flags.StringArrayVar(&f.columns, "column", nil, "CONTRACT=FILE: a column that the file calls otherwise; may be repeated")
	flags.StringArrayVar(&f.decimals, "decimals", nil, "COLUMN=DIGITS: an amount that the file writes with a point; may be repeated")
	flags.BoolVar(&f.manyRows, "many-rows", false, "a person may have several rows, such as purchases")
	flags.BoolVar(&f.dropBad, "drop-bad-rows", false, "leave rows out that do not read or fit, instead of refusing the file")
	flags.StringVar(&f.sharedFile, "shared-file", "", "blind: the shared secret; pair: the salt")
	flags.StringVar(&f.pairFile, "pair-file", "", "pair: the party's own scalar")
	flags.StringVar(&f.publicKey, "public-key", "", "oprf: the room's public key, from mahrem room show at the house, which the parties have compared")
	f.house.add(cmd, "oprf: ")
	flags.StringVarP(&f.output, "output", "o", "", "directory to make, or in which this was begun (required)")
	a.jsonFlag(cmd)
	return cmd
}

// prepareHint is what may be done about a file that is refused.
func prepareHint(err error) string {
	if errors.Is(err, intake.ErrColumn) {
		return "--column CONTRACT=FILE names a column that the file calls otherwise; columns of CSV stand in its first line, with commas between them, and the first line of NDJSON has all of them, with null for what is empty"
	}
	refused, ok := errors.AsType[*prepare.Refusal](err)
	switch {
	case !ok:
		return ""
	case slices.ContainsFunc(refused.Faults, func(f prepare.Fault) bool { return f.Reason == prepare.Duplicate }):
		return "with --many-rows a person may have several rows"
	}
	return "--drop-bad-rows leaves such rows out; not_provided is a value that the contract does not have"
}

func (a *app) prepareConfig(cmd *cobra.Command, f *prepareFlags) (c prepare.Config, err error) {
	if c.Signer, err = a.partySigner(f.key); err != nil {
		return c, err
	}
	verifier, err := cleanroom.ParseVerifier(c.Signer.Public(), c.Signer.Party())
	if err != nil {
		return c, err
	}
	signed, err := a.readSmall(f.contract, 1<<20)
	if err != nil {
		return c, usagef("--contract: %w", err)
	}
	if c.Contract, err = cleanroom.OpenContract(signed, verifier); err != nil {
		return c, fmt.Errorf("--contract: %w", err)
	}
	kind, column, ok := strings.Cut(f.identifier, "=")
	if c.Identifier, c.IdentifierColumn = privacy.IdentifierKind(kind), column; !ok || !slices.Contains(match.Kinds(), c.Identifier) {
		return c, usagef("--identifier wants email=COLUMN, phone=COLUMN or customer_number=COLUMN")
	}
	if c.ConsentColumn, c.ConsentYes, ok = strings.Cut(f.consent, "="); !ok {
		return c, usagef("--consent wants COLUMN=YES")
	}
	c.Columns, c.Decimals = map[string]string{}, map[string]int{}
	for _, text := range f.columns {
		name, called, ok := strings.Cut(text, "=")
		if !ok {
			return c, usagef("--column wants CONTRACT=FILE")
		}
		c.Columns[name] = called
	}
	for _, text := range f.decimals {
		name, digits, _ := strings.Cut(text, "=")
		if c.Decimals[name], err = strconv.Atoi(digits); err != nil {
			return c, usagef("--decimals wants COLUMN=DIGITS")
		}
	}
	c.Room, c.Epoch, c.Declared, c.Minimum = cleanroom.RoomID(f.room), f.epoch, f.people, f.minimum
	if c.Minimum < 2 {
		return c, usagef("--minimum-members is 2 at least: a list of one is a person")
	}
	if c.Protected, err = protectedWords(c.Contract.Contract); err != nil {
		return c, err
	}
	c.ManyRows, c.DropBad, c.Noise, c.Random, c.Now = f.manyRows, f.dropBad, noise.Secure{}, rand.Reader, time.Now
	c.Matcher, err = a.matcher(cmd, f, &c)
	return c, err
}

// protectedWords tells protected words of the catalogue that comes with the program, if the
// contract has a column in which they could hide.
func protectedWords(contract *cleanroom.Contract) (func(word string) bool, error) {
	hides := func(c cleanroom.Column) bool {
		return c.Vocabulary == policies.VocabularyProductGroups && c.Other != ""
	}
	if !slices.ContainsFunc(contract.Columns, hides) {
		return nil, nil
	}
	catalogue, err := policies.LoadCatalogue(policies.Bundle(), "catalogue")
	if err != nil {
		return nil, err
	}
	return catalogue.Protects, nil
}

// matcher is what masks on the party's side.
func (a *app) matcher(cmd *cobra.Command, f *prepareFlags, c *prepare.Config) (match.Matcher, error) {
	switch cleanroom.Matching(f.matching) {
	case cleanroom.MatchOperator:
		return match.NewOperator(), nil
	case cleanroom.MatchBlind:
		if err := needs(cmd, "shared-file"); err != nil {
			return nil, err
		}
		secret, err := a.sharedSecret("shared-file", f.sharedFile)
		if err != nil {
			return nil, err
		}
		return match.NewBlind(secret, c.Room, c.Identifier)
	case cleanroom.MatchPair:
		if err := needs(cmd, "shared-file", "pair-file"); err != nil {
			return nil, err
		}
		return a.pairKey(f.sharedFile, f.pairFile)
	case cleanroom.MatchOPRF:
		if err := needs(cmd, "server", "token-file", "public-key"); err != nil {
			return nil, err
		}
		public, err := base64.StdEncoding.Strict().DecodeString(f.publicKey)
		if err != nil {
			return nil, usagef("--public-key wants 32 bytes in base64")
		}
		client, err := a.houseClient(&f.house)
		if err != nil {
			return nil, err
		}
		return match.NewOPRF(public, c.Room, c.Epoch, client.evaluate(c.Room, c.Contract.Contract.Dataset, int64(c.Declared)))
	}
	return nil, usagef("--matching is operator, blind, pair or oprf")
}

// stages shows one bar after the other.
type stages struct {
	app     *app
	current prepare.Stage
	bar     *bar
}

func (a *app) newStages() *stages { return &stages{app: a} }

func (s *stages) set(stage prepare.Stage, done, total int64) {
	if s.bar == nil || s.current != stage {
		s.finish()
		s.current = stage
		switch stage {
		case prepare.Reading:
			s.bar = newBytesBar(s.app.screen.err, "reading", total)
		case prepare.Masking:
			s.bar = newBar(s.app.screen.err, "masking", "people", total)
		default:
			s.bar = newBar(s.app.screen.err, "writing", "rows", total)
		}
	}
	s.bar.set(done, total)
}

func (s *stages) finish() {
	if s.bar != nil {
		s.bar.finish()
	}
}
