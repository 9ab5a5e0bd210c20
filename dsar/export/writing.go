package export

import (
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"time"

	"github.com/mahrem/mahrem/archive"
	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// writing is one export while it is written. It holds what is bounded by the catalogue and
// the person's records; events and log entries pass through it a page at a time, once for
// data.json and once for the pages.
type writing struct {
	exporter  *Exporter
	job       *Job
	by        privacy.Principal
	subject   audit.Subject
	trail     []uint64
	log       logPart
	language  string
	catalogue *policies.Catalogue
	at        time.Time

	reader   Reader
	bundle   *bundle
	redactor *redactor
	dossier  dossier
	// explained are the decisions that were explained last.
	explained   map[archive.Pair]archive.Explained
	done, total int64
	result      Result
}

// access reports whether everything is exported, and not only what the person takes along.
func (w *writing) access() bool { return w.job.Kind == dsar.Access }

func (w *writing) run(ctx context.Context, file io.Writer) error {
	counted := &countingWriter{w: file, hash: sha256.New()}
	sealed, err := w.job.Lock.seal(counted)
	if err != nil {
		return err
	}
	w.bundle = newBundle(sealed, w.at)
	err = w.exporter.store.Read(ctx, w.job.Person, func(reader Reader) error {
		w.reader = reader
		return w.contents(ctx)
	})
	if err != nil {
		return err
	}
	if err := w.attest(ctx); err != nil {
		return err
	}
	if err := w.bundle.close(); err != nil {
		return err
	}
	if err := sealed.Close(); err != nil {
		return fmt.Errorf("encrypting export: %w", err)
	}
	w.result.File, w.result.Size = [32]byte(counted.hash.Sum(nil)), counted.n
	return nil
}

// contents writes everything but the manifest.
func (w *writing) contents(ctx context.Context) error {
	if err := w.collect(ctx); err != nil {
		return err
	}
	if err := w.data(ctx); err != nil {
		return fmt.Errorf("writing %s: %w", DataName, err)
	}
	redacted := w.redactor.count // the pages say the same once more
	if err := w.eventPages(ctx); err != nil {
		return err
	}
	if err := w.logPages(ctx); err != nil {
		return err
	}
	w.result.Redacted = redacted
	return w.index()
}

// attest writes the manifest, has the log say that the export was made, and signs both.
// Whoever is erased before that is not exported.
func (w *writing) attest(ctx context.Context) error {
	manifest := Manifest{
		Format: Format, Kind: string(w.job.Kind), CreatedAt: w.at, Language: w.language, Files: w.bundle.contents(),
	}
	if w.job.Request != (dsar.RequestID{}) {
		manifest.Request = w.job.Request.String()
	}
	text, err := manifest.encode()
	if err != nil {
		return err
	}
	w.result.Manifest = sha256.Sum256(text)
	w.result.Receipt, err = w.exporter.store.Record(ctx, w.job.Person, audit.Event{
		Kind: audit.PersonExported, Outcome: audit.Done, Principal: w.by, Subject: w.subject, List: w.result.Manifest,
	})
	if err != nil {
		return err
	}
	if w.result.Receipt.IsZero() {
		return fmt.Errorf("exporting without a log entry: %w", privacy.ErrUnavailable)
	}
	statement := Statement{
		Origin: w.exporter.config.Origin, Manifest: w.result.Manifest,
		Index: w.result.Receipt.Index(), LeafHash: w.result.Receipt.LeafHash(),
	}
	signed, err := statement.sign(w.exporter.config.Key, w.exporter.config.Sign)
	if err != nil {
		return err
	}
	if err := w.bundle.write(ManifestName, text); err != nil {
		return err
	}
	return w.bundle.write(NoteName, signed)
}

// advance tells how far it is.
func (w *writing) advance(n int64) {
	w.done += n
	if w.job.Progress != nil {
		w.job.Progress(w.done, max(w.done, w.total))
	}
}

func (w *writing) title(kind, key string) string { return titleOf(w.catalogue, kind, key, w.language) }

type countingWriter struct {
	w    io.Writer
	hash hash.Hash
	n    int64
}

func (c *countingWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	_, _ = c.hash.Write(p[:n])
	c.n += int64(n)
	return n, err
}
