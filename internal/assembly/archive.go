package assembly

import (
	"context"
	"time"

	"github.com/mahrem/mahrem/archive"
	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/internal/config"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/postgres"
)

// openArchive opens what keeps decisions. It comes before the policies: the first bundle
// is kept before it decides anything.
func (h *House) openArchive() (err error) {
	h.Archive, err = archive.New(postgres.NewArchiveStore(h.DB), h.Keys.Vault(), h.Log, compileKept(h.Settings.Patience),
		archive.Config{Now: h.options.Now, Random: h.options.Random, Logger: h.options.Logger})
	if err == nil {
		h.onClose(h.Archive.Close)
	}
	return err
}

// keepBundle makes a bundle durable before it is in force.
func (h *House) keepBundle(ctx context.Context, revision *policies.Revision, content *policies.Content) error {
	return h.Archive.KeepBundle(ctx, audit.Digest(revision.Digest()), func() []byte { return content.AppendArchive(nil) })
}

// decideWithin bounds one decision that is made again or tried out: nobody waits for an
// answer, and a busy machine must not look like a rule that does not end.
const decideWithin = 2 * time.Second

// compileKept returns what compiles a bundle as it was kept.
func compileKept(patience config.Patience) func(context.Context, []byte) (*policies.Revision, error) {
	return func(ctx context.Context, kept []byte) (*policies.Revision, error) {
		content, err := policies.ParseArchive(kept)
		if err != nil {
			return nil, err
		}
		return content.Compile(ctx, policies.Config{EvaluationLimit: patience.With(decideWithin), MemoLimit: -1})
	}
}

// CompilePolicies compiles the bundle at a place without activating it, for trying out
// what it would decide.
func CompilePolicies(ctx context.Context, place string, patience config.Patience) (*policies.Revision, error) {
	content, err := policies.NewFileSource(place).Read(ctx)
	if err != nil {
		return nil, err
	}
	return content.Compile(ctx, policies.Config{EvaluationLimit: patience.With(decideWithin), MemoLimit: -1})
}
