package cli

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/dsar/export"
	"github.com/mahrem/mahrem/internal/assembly"
	"github.com/mahrem/mahrem/privacy"
)

// exportFlags are those of dsar export.
type exportFlags struct {
	out, dir, recipient, passphraseFile string
	life                                time.Duration
	link, keepOpen                      bool
}

func (a *app) dsarExport() *cobra.Command {
	var f exportFlags
	cmd := &cobra.Command{
		Use: "export REQUEST_ID...", Short: "Hand a person what is held about them", Args: cobra.MinimumNArgs(1),
		Long: `Carry out requests for access or portability: write one signed ZIP a person, encrypted
for them, with everything that is held, where it came from, what for, who got it, and
every query that was answered or refused, with the rule that decided. For portability it
is the part that the person gave. The request is fulfilled with it.

The log is gone through once, however many requests are named: nothing in it leads to a
person, so that every entry has to be tried. Without --out or --dir the file waits to be
fetched, once, by a link. Without --recipient or --passphrase-file a passphrase is drawn
and printed here, and nowhere else: give it to the person by another way than the file.`,
		Example: `  mahrem dsar export 0f8fad5b-d9cb-469f-a165-70867728950e --out ayse.zip.age`,
	}
	acting := a.actingAs(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.out, "out", "", "file to write, for one request; it must not exist")
	flags.StringVar(&f.dir, "dir", "", "directory to write to, as REQUEST_ID.zip.age")
	flags.BoolVar(&f.link, "link", false, "let the file wait to be fetched by a link, which is the default")
	flags.DurationVar(&f.life, "expires", export.DefaultLife, "how long the link works, at most 720h")
	flags.StringVar(&f.recipient, "recipient", "", "the person's age key, age1…")
	flags.StringVar(&f.passphraseFile, "passphrase-file", "", "file with a passphrase of the person's own, at least 12 characters; - reads stdin")
	flags.BoolVar(&f.keepOpen, "keep-open", false, "do not fulfil the request: more is to come")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		orders, passphrases, err := a.exportOrders(&f, args)
		if err != nil {
			return err
		}
		house, by, err := a.openAs(cmd.Context(), acting)
		if err != nil {
			return err
		}
		defer a.close(house)
		return a.exportRequests(cmd.Context(), house, by, orders, passphrases)
	}
	a.jsonFlag(cmd)
	return cmd
}

// exportOrders makes an order of each argument, and draws the passphrases that nobody gave.
func (a *app) exportOrders(f *exportFlags, args []string) ([]assembly.ExportOrder, []privacy.Plain, error) {
	switch {
	case f.out != "" && len(args) > 1:
		return nil, nil, usagef("--out is for one request; use --dir for several")
	case f.out != "" && f.dir != "", f.link && f.out+f.dir != "":
		return nil, nil, usagef("give one of --out, --dir and --link")
	case f.recipient != "" && f.passphraseFile != "":
		return nil, nil, usagef("give one of --recipient and --passphrase-file")
	case (f.recipient != "" || f.passphraseFile != "") && len(args) > 1:
		return nil, nil, usagef("--recipient and --passphrase-file are one person's; export one request with them")
	case f.life <= 0 || f.life > export.MaxLife:
		return nil, nil, usagef("--expires must be more than 0 and at most %s", export.MaxLife)
	}
	var orders []assembly.ExportOrder
	var passphrases []privacy.Plain
	seen := map[dsar.RequestID]bool{}
	for _, arg := range args {
		id, err := parseRequest(arg)
		if err != nil {
			return nil, nil, err
		}
		if seen[id] {
			return nil, nil, usagef("a request is named twice")
		}
		seen[id] = true
		lock, passphrase, err := a.exportLock(f)
		if err != nil {
			return nil, nil, err
		}
		order := assembly.ExportOrder{Request: id, Lock: lock, Life: f.life, Path: f.out, KeepOpen: f.keepOpen}
		if f.dir != "" {
			order.Path = filepath.Join(f.dir, id.String()+".zip.age")
		}
		orders, passphrases = append(orders, order), append(passphrases, passphrase)
	}
	return orders, passphrases, nil
}

func (a *app) exportLock(f *exportFlags) (export.Lock, privacy.Plain, error) {
	switch {
	case f.recipient != "":
		lock, err := export.ForRecipient(f.recipient)
		return lock, privacy.Plain{}, err
	case f.passphraseFile != "":
		text, err := a.readSmall(f.passphraseFile, 4096)
		if err != nil {
			return export.Lock{}, privacy.Plain{}, usagef("reading passphrase: %w", err)
		}
		lock, err := export.WithPassphrase(privacy.NewPlain(strings.TrimSpace(string(text))))
		return lock, privacy.Plain{}, err
	}
	passphrase, lock, err := export.DrawPassphrase(nil)
	return lock, passphrase, err
}

// exportDocument is what became of one request.
type exportDocument struct {
	Request    string      `json:"request"`
	State      string      `json:"state,omitempty"`
	Error      string      `json:"error,omitempty"`
	File       string      `json:"file,omitempty"`
	Link       string      `json:"link,omitempty"`
	ExpiresAt  *time.Time  `json:"expires_at,omitempty"`
	Passphrase string      `json:"passphrase,omitempty"`
	Size       int64       `json:"size,omitempty"`
	SHA256     string      `json:"sha256,omitempty"`
	Manifest   string      `json:"manifest_sha256,omitempty"`
	Events     int64       `json:"events"`
	Entries    int64       `json:"log_entries"`
	Redacted   int64       `json:"third_persons_taken_out"`
	Log        *logPointer `json:"log,omitempty"`
}

func (a *app) exportRequests(ctx context.Context, house *assembly.House, by privacy.Principal, orders []assembly.ExportOrder, passphrases []privacy.Plain) error {
	progress := newBar(a.screen.err, "reading the log", "entries", -1)
	if len(orders) == 1 {
		orders[0].Progress = func(done, total int64) {
			progress.describe("writing")
			progress.set(done, total)
		}
	}
	list, err := house.ExportRequests(ctx, by, orders, func(done, total uint64) { progress.set(int64(done), int64(total)) })
	progress.finish()
	if err != nil {
		return err
	}
	documents := make([]exportDocument, len(list))
	var failed error
	for i := range list {
		documents[i] = newExportDocument(house, &orders[i], &list[i], passphrases[i])
		if list[i].Err != nil {
			failed = errors.Join(failed, ofRequest(list[i].Err))
		}
	}
	err = a.screen.print(documents, func(w io.Writer) {
		for i := range documents {
			if i > 0 {
				_, _ = fmt.Fprintln(w)
			}
			documents[i].writeTo(w)
		}
	})
	return errors.Join(failed, err)
}

func newExportDocument(house *assembly.House, order *assembly.ExportOrder, out *assembly.Exported, passphrase privacy.Plain) exportDocument {
	d := exportDocument{Request: order.Request.String(), State: string(out.Request.State)}
	if out.Err != nil {
		d.Error = message(ofRequest(out.Err))
	}
	r := &out.Result
	if r.Receipt.IsZero() {
		return d
	}
	d.File, d.Passphrase, d.Size = order.Path, passphrase.RevealPersonalData(), r.Size
	d.SHA256, d.Manifest = hex.EncodeToString(r.File[:]), hex.EncodeToString(r.Manifest[:])
	d.Events, d.Entries, d.Redacted, d.Log = r.Events, r.Entries, r.Redacted, pointTo(r.Receipt)
	if out.Link != nil {
		d.Link, d.ExpiresAt = house.Settings.PublicURL+"/v1/dsar/exports/"+out.Link.Token.RevealPersonalData(), &out.Link.ExpiresAt
	}
	return d
}

func (d *exportDocument) writeTo(w io.Writer) {
	t := table{}
	for _, row := range [][2]string{
		{"request", d.Request},
		{"state", d.State},
		{"error", d.Error},
		{"file", d.File},
		{"link", d.Link},
		{"works until", instantOf(d.ExpiresAt)},
		{"passphrase", d.Passphrase},
	} {
		if row[1] != "" {
			t.add(row[0], row[1])
		}
	}
	if d.Log != nil {
		t.add("events", fmt.Sprint(d.Events))
		t.add("log entries", fmt.Sprint(d.Entries))
		t.add("third persons taken out", fmt.Sprint(d.Redacted))
		t.add("sha256", d.SHA256)
		t.add("log entry", fmt.Sprint(d.Log.Index))
	}
	t.writeTo(w, "")
}
