package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/dsar/ledger"
	"github.com/mahrem/mahrem/internal/assembly"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault/keydir"
)

func (a *app) erasureCommand() *cobra.Command {
	return group("erasure", "Keep people erased, whatever becomes of the database", a.erasureLedger(), a.erasureReplay(), a.erasureCheck())
}

// ledgerDocument is the document of erasure ledger.
type ledgerDocument struct {
	Path        string     `json:"path"`
	ID          string     `json:"ledger_id"`
	Records     uint64     `json:"records"`
	Erasures    uint64     `json:"erasures"`
	Readmitted  uint64     `json:"readmissions"`
	Identifiers uint64     `json:"identifiers"`
	Last        *time.Time `json:"last_record_at,omitempty"`
	Hash        string     `json:"hash"`
	// Behind is how many records the database lacks; not there when only a file was read.
	Behind *uint64 `json:"database_lacks,omitempty"`
}

func (a *app) erasureLedger() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use: "ledger", Short: "Check the ledger of erasures and compare it with the database", Args: cobra.NoArgs,
		Long: `Read the whole ledger of erasures, check that no line was changed, moved or taken out,
and count the records that the database lacks: those of erasures that a restore has
undone. If the database lacks any, run: mahrem erasure replay

With --file a copy is checked instead, with the key directory and without the
database. A copy that verifies and has fewer records than the ledger is an older one.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file != "" {
				return a.ledgerFile(cmd.Context(), file)
			}
			house, err := a.openWith(cmd.Context(), assembly.Options{Base: true})
			if err != nil {
				return err
			}
			defer a.close(house)
			if err := house.OpenLedger(cmd.Context()); err != nil {
				return err
			}
			behind, err := house.Behind(cmd.Context())
			if err != nil {
				return err
			}
			return a.printLedger(cmd.Context(), house.Ledger, &behind)
		},
	}
	cmd.Flags().StringVar(&file, "file", "", "a copy of the ledger")
	a.jsonFlag(cmd)
	return cmd
}

func (a *app) ledgerFile(ctx context.Context, path string) error {
	settings, err := a.config()
	if err != nil {
		return err
	}
	keys, err := keydir.Open(settings.Keys, keydir.Config{})
	if err != nil {
		return err
	}
	copied, err := assembly.OpenErasures(path, keys)
	if err != nil {
		return err
	}
	defer func() { _ = copied.Close() }()
	return a.printLedger(ctx, copied, nil)
}

func (a *app) printLedger(ctx context.Context, l *ledger.Ledger, behind *uint64) error {
	d := ledgerDocument{Path: l.Path(), ID: l.ID().String(), Behind: behind}
	progress := newBytesBar(a.screen.err, "checking", -1)
	err := l.Scan(ctx, func(r ledger.Record) error {
		d.Records, d.Hash = r.Sequence, fmt.Sprintf("%x", r.Hash)
		d.Last = &r.Time
		d.Identifiers += uint64(len(r.Suppressed))
		switch r.Kind {
		case ledger.Erased:
			d.Erasures++
		case ledger.Readmitted:
			d.Readmitted++
		}
		return nil
	}, progress.set)
	progress.finish()
	if err != nil {
		return err
	}
	return a.screen.print(d, func(w io.Writer) {
		t := table{}
		t.add("ledger", d.Path)
		t.add("records", strconv.FormatUint(d.Records, 10))
		t.add("erasures", strconv.FormatUint(d.Erasures, 10))
		t.add("readmissions", strconv.FormatUint(d.Readmitted, 10))
		if d.Last != nil {
			t.add("last", d.Last.Format(time.RFC3339))
		}
		if behind != nil {
			t.add("database lacks", strconv.FormatUint(*behind, 10))
		}
		t.writeTo(w, "")
		_, _ = fmt.Fprintln(w, "\nevery line is as it was written")
		if behind != nil && *behind > 0 {
			_, _ = fmt.Fprintln(w, "the database is older than the ledger; run: mahrem erasure replay")
		}
	})
}

func (a *app) erasureReplay() *cobra.Command {
	var accept bool
	cmd := &cobra.Command{
		Use: "replay", Short: "Erase again whom the ledger says was erased, after a restore", Args: cobra.NoArgs,
		Long: `Erase everybody again whom the ledger of erasures says was erased and who is in the
database nevertheless, because an older dump was restored; and suppress their identifiers
again. Legal holds do not stop it: it happened before. What the law orders to keep is
kept as in any erasure. Nothing is done if the ledger was changed. Interrupted, it may
be run again.

The log is older after a restore too, and whoever wants entries gone would do the same
as somebody who restores. So a log that lacks entries which were signed is not opened.
--danger-accept-older-log says that you restored it and answer for it: the log goes on,
with an entry about it that stays for ever, and the checkpoint of the longer log is kept
beside the new one. mahrem audit verify shows both.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			options := assembly.Options{Replay: true}
			if accept {
				options.AcceptOlderLog = operator()
			}
			house, err := a.openWith(cmd.Context(), options)
			if err != nil {
				return err
			}
			defer a.close(house)
			return a.replay(cmd.Context(), house)
		},
	}
	cmd.Flags().BoolVar(&accept, "danger-accept-older-log", false, "the log lost entries because you restored an older database")
	a.jsonFlag(cmd)
	return cmd
}

func (a *app) replay(ctx context.Context, house *assembly.House) error {
	var progress *bar
	var stage string
	replayed, err := house.Replay(ctx, operator(), func(what string, done, total int64) {
		if progress == nil || what != stage {
			if progress != nil {
				progress.finish()
			}
			progress, stage = newBar(a.screen.err, what, "", total), what
		}
		progress.set(done, total)
	})
	if progress != nil {
		progress.finish()
	}
	if err != nil {
		if !errors.Is(err, privacy.ErrDamaged) {
			a.screen.notef("what was replayed stays; the same command goes on")
		}
		return err
	}
	return a.screen.print(replayed, func(w io.Writer) {
		t := table{}
		t.add("records in the ledger", strconv.FormatUint(replayed.Records, 10))
		t.add("the database lacked", strconv.FormatUint(replayed.Missing, 10))
		t.add("people erased again", strconv.FormatInt(replayed.People, 10))
		t.writeTo(w, "")
	})
}
