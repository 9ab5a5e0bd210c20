package cli

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/consent/notice"
	"github.com/mahrem/mahrem/internal/assembly"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

func (a *app) noticeCommand() *cobra.Command {
	return group("notice", "Register and show the notices that people are shown when they are asked",
		a.noticeAdd(), a.noticeList(), a.noticeShow())
}

// noticeDocument is one version of a notice.
type noticeDocument struct {
	Version       string           `json:"version"`
	Family        string           `json:"family"`
	Material      bool             `json:"material"`
	Purposes      []string         `json:"purposes"`
	EffectiveFrom time.Time        `json:"effective_from"`
	PublishedAt   time.Time        `json:"published_at"`
	SHA256        string           `json:"sha256"`
	Texts         []noticeTextLine `json:"texts"`
	// Duplicate is whether exactly this was there before.
	Duplicate bool        `json:"duplicate,omitempty"`
	Log       *logPointer `json:"log,omitempty"`
}

// noticeTextLine is the text in one language; its body is shown by notice show alone.
type noticeTextLine struct {
	Language string `json:"language"`
	SHA256   string `json:"sha256"`
	Body     string `json:"body,omitempty"`
}

func newNoticeDocument(n *notice.Notice, receipt audit.Receipt) noticeDocument {
	digest := n.Digest()
	document := noticeDocument{
		Version: n.Version, Family: n.Family, Material: n.Material, EffectiveFrom: n.EffectiveFrom,
		PublishedAt: n.PublishedAt, SHA256: hex.EncodeToString(digest[:]), Purposes: []string{},
	}
	for _, purpose := range n.Purposes {
		document.Purposes = append(document.Purposes, string(purpose))
	}
	for _, text := range n.Texts {
		document.Texts = append(document.Texts, noticeTextLine{text.Language, hex.EncodeToString(text.Digest[:]), text.Body})
	}
	if !receipt.IsZero() {
		leaf := receipt.LeafHash()
		document.Log = &logPointer{receipt.Index(), hex.EncodeToString(leaf[:])}
	}
	return document
}

func (a *app) noticeAdd() *cobra.Command {
	var n notice.Notice
	var files, purposes []string
	var effective string
	cmd := &cobra.Command{
		Use: "add VERSION --text LANGUAGE=FILE --purposes PURPOSES", Short: "Register a version of a notice", Args: cobra.ExactArgs(1),
		Long: `Register a version of a notice, with its text in each language to the byte. A yes must name
a registered version that was in effect when the person chose, as soon as there is one.

A version never changes: the same again does nothing, and the same version with another text,
or with anything else about it changed, is refused. With --material it says something new in
substance about its purposes: from the moment it takes effect, whoever agreed to an older one
is in the state stale_notice for these purposes, and the catalogue says of each whether that
still counts (stale_notice: deny or keep).`,
		Example: `  mahrem notice add privacy-2026-03 --text en=notice.en.md --text tr=notice.tr.md --purposes newsletter,analytics
  mahrem notice add privacy-2026-09 --text en=new.en.md --purposes '*' --material --effective-from 2026-09-01T00:00:00Z`,
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&files, "text", nil, "the text in a language, as LANGUAGE=FILE; again for more, - reads stdin")
	flags.StringSliceVar(&purposes, "purposes", nil, `the purposes it is about; "*" is every purpose that asks for consent`)
	flags.BoolVar(&n.Material, "material", false, "it says something new in substance: older consents to these purposes are out of date")
	flags.StringVar(&effective, "effective-from", "", "from when it is shown, RFC 3339 (default: now)")
	flags.StringVar(&n.Family, "family", notice.DefaultFamily, "the document of which it is a version")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		n.Version = args[0]
		if len(files) == 0 || len(purposes) == 0 {
			return usagef("a notice needs --text and --purposes; see mahrem notice add --help")
		}
		var err error
		if n.EffectiveFrom, err = timeFlag("--effective-from", effective); err != nil {
			return err
		}
		for _, pair := range files {
			language, file, ok := strings.Cut(pair, "=")
			if !ok {
				return usagef("--text must be a language and a file, such as en=notice.en.md")
			}
			body, err := a.readNotice(file)
			if err != nil {
				return err
			}
			n.Texts = append(n.Texts, notice.Text{Language: language, Body: body})
		}
		house, err := a.open(cmd.Context())
		if err != nil {
			return err
		}
		defer a.close(house)
		catalogue := house.Engine.Revision().Catalogue()
		n.Purposes = asksConsent(catalogue, purposes)
		if n.EffectiveFrom.IsZero() {
			// Said again, a version without a time is the one that is there.
			n.EffectiveFrom = time.Now()
			standing, err := house.Notices.Notice(cmd.Context(), n.Version)
			switch {
			case err == nil:
				n.EffectiveFrom = standing.EffectiveFrom
			case !errors.Is(err, privacy.ErrNotFound):
				return err
			}
		}
		published, err := house.Notices.Publish(cmd.Context(), operator(), n)
		if err != nil {
			return err
		}
		document := newNoticeDocument(&published.Notice, published.Receipt)
		document.Duplicate = published.Duplicate
		for i := range document.Texts {
			document.Texts[i].Body = ""
		}
		return a.screen.print(document, func(w io.Writer) {
			t := table{}
			if published.Duplicate {
				t.add("already there", document.Version)
			} else {
				t.add("published", document.Version)
			}
			writeNoticeHead(&t, &document)
			if document.Log != nil {
				t.add("log entry", fmt.Sprint(document.Log.Index))
			}
			t.writeTo(w, "")
		})
	}
	a.jsonFlag(cmd)
	return cmd
}

func writeNoticeHead(t *table, document *noticeDocument) {
	t.add("family", document.Family)
	t.add("effective from", document.EffectiveFrom.Format(time.RFC3339))
	t.add("material", map[bool]string{true: "yes: older consents to these purposes are out of date from then on", false: "no"}[document.Material])
	t.add("purposes", strings.Join(document.Purposes, " "))
	for _, text := range document.Texts {
		t.add("text in "+text.Language, "sha256 "+text.SHA256)
	}
	t.add("digest", "sha256 "+document.SHA256)
}

// readNotice reads a text, and no more of it than a notice may have.
func (a *app) readNotice(file string) (string, error) {
	var from io.Reader = a.stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return "", usagef("reading the text of a notice: %w", err)
		}
		defer func() { _ = f.Close() }()
		from = f
	}
	body, err := io.ReadAll(io.LimitReader(from, notice.MaxText+1))
	if err != nil {
		return "", fmt.Errorf("reading the text of a notice: %w", err)
	}
	return string(body), nil
}

// asksConsent returns the purposes that were named; "*" stands for all that may stand on
// consent.
func asksConsent(catalogue *policies.Catalogue, named []string) []privacy.Purpose {
	var purposes []privacy.Purpose
	for _, name := range named {
		if name != "*" {
			purposes = append(purposes, privacy.Purpose(name))
			continue
		}
		for _, id := range catalogue.Purposes() {
			purpose, _ := catalogue.Purpose(id)
			if _, asks := purpose.Bases[privacy.Consent]; asks && !slices.Contains(purposes, id) {
				purposes = append(purposes, id)
			}
		}
	}
	return purposes
}

func (a *app) noticeList() *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List the versions of notices, the oldest first", Args: cobra.NoArgs}
	cmd.RunE = a.inHouse(func(cmd *cobra.Command, _ []string, house *assembly.House) error {
		all, err := house.Notices.Notices(cmd.Context())
		if err != nil {
			return err
		}
		documents := make([]noticeDocument, len(all))
		for i := range all {
			documents[i] = newNoticeDocument(&all[i], audit.Receipt{})
		}
		t := table{header: []string{"version", "family", "effective from", "material", "languages", "purposes"}}
		for i := range documents {
			d := &documents[i]
			var languages []string
			for _, text := range d.Texts {
				languages = append(languages, text.Language)
			}
			material := ""
			if d.Material {
				material = "yes"
			}
			t.add(d.Version, d.Family, d.EffectiveFrom.Format(time.RFC3339), material, strings.Join(languages, " "), strings.Join(d.Purposes, " "))
		}
		return a.screen.printList(documents, &t, "no notices: names of notices in consents are taken as they are")
	})
	a.jsonFlag(cmd)
	return cmd
}

func (a *app) noticeShow() *cobra.Command {
	language := ""
	cmd := &cobra.Command{
		Use: "show VERSION", Short: "Show a version of a notice with its text", Args: cobra.ExactArgs(1),
		Long: `Show a version of a notice with its text to the byte, checked against its digest. With --language
only the text in that language; what a person was shown is in their consent's history.`,
		Example: `  mahrem notice show privacy-2026-03 --language tr`,
	}
	cmd.Flags().StringVar(&language, "language", "", "show the text in this language alone")
	cmd.RunE = a.inHouse(func(cmd *cobra.Command, args []string, house *assembly.House) error {
		n, err := house.Notices.Notice(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		document := newNoticeDocument(&n, audit.Receipt{})
		if language != "" {
			text, ok := n.Text(language)
			if !ok {
				return fmt.Errorf("showing a notice: it has no text in this language: %w", privacy.ErrNotFound)
			}
			document.Texts = slices.DeleteFunc(document.Texts, func(line noticeTextLine) bool { return line.Language != text.Language })
		}
		return a.screen.print(document, func(w io.Writer) {
			t := table{}
			t.add("notice", document.Version)
			writeNoticeHead(&t, &document)
			t.writeTo(w, "")
			for _, text := range document.Texts {
				_, _ = fmt.Fprintf(w, "\n[%s]\n%s\n", text.Language, strings.TrimSuffix(text.Body, "\n"))
			}
		})
	})
	a.jsonFlag(cmd)
	return cmd
}
