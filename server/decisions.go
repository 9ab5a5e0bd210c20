package server

import (
	"context"
	"encoding/hex"
	"errors"
	"net/http"
	"time"

	"github.com/mahrem/mahrem/archive"
	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

// Decisions shows what decisions were made of; [archive.Archive] does. It must log the
// showing before it returns, and must refuse everybody but data protection officers and
// auditors.
type Decisions interface {
	Show(ctx context.Context, by privacy.Principal, id audit.DecisionID) (archive.Shown, error)
}

func showDecision(ctx context.Context, c *call) error {
	if c.request.URL.RawQuery != "" {
		return refuse(malformed)
	}
	if c.server.services.Decisions == nil {
		return refuse(unavailable)
	}
	id, err := audit.ParseDecisionID(c.request.PathValue("decision_id"))
	if err != nil {
		return refuse(notFound)
	}
	shown, err := c.server.services.Decisions.Show(ctx, c.principal, id)
	if errors.Is(err, privacy.ErrNotFound) {
		// It is about the log and not about a person: auditors may know it too.
		return refuse(notFound)
	}
	if err != nil {
		return err
	}
	if shown.Receipt.IsZero() {
		return errors.New("a decision was shown without evidence")
	}
	return c.writeJSON(http.StatusOK, shownDecision(shown))
}

type shownDecision archive.Shown

func (s shownDecision) appendJSON(b []byte) ([]byte, error) {
	e := &s.Entry
	b = append(b, '{')
	b = appendString(appendKey(b, "decision_id"), s.ID.String())
	b = append(appendKey(b, "decided_at"), '"')
	b = append(e.Time.UTC().AppendFormat(b, time.RFC3339Nano), '"')
	b = appendString(appendKey(b, "kind"), string(e.Kind))
	b = appendString(appendKey(b, "outcome"), string(e.Outcome))
	for _, word := range [...]struct{ name, value string }{
		{"recipient", string(e.Recipient)}, {"purpose", string(e.Purpose)}, {"channel", string(e.Channel)},
	} {
		if word.value != "" {
			b = appendString(appendKey(b, word.name), word.value)
		}
	}
	b = appendStrings(appendKey(b, "attributes"), e.Attributes)
	b = appendStrings(appendKey(b, "checks"), e.Checks)
	if e.Policy != (audit.Digest{}) {
		b = appendString(appendKey(b, "policy_revision"), "sha256:"+hex.EncodeToString(e.Policy[:]))
		b = appendString(appendKey(b, "facts_digest"), "sha256:"+hex.EncodeToString(e.Facts[:]))
	}
	// The canonical documents are JSON themselves.
	if s.Kept {
		b = s.Facts.AppendCanonical(appendKey(b, "facts"))
	}
	if s.Planned {
		b = s.Plan.AppendCanonical(appendKey(b, "plan"))
	}
	b = append(appendKey(b, "reasons"), '[')
	for i, reason := range s.Reasons {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '{')
		b = appendString(appendKey(b, "code"), reason.Check)
		b = appendString(appendKey(b, "title"), reason.Title)
		b = append(appendStrings(appendKey(b, "laws"), reason.Laws), '}')
	}
	b = append(b, ']')
	b = appendLog(appendKey(b, "log"), audit.Committed(s.ID.EntryID, audit.LeafHash(e.Leaf()), s.ID.Index))
	b = appendLog(appendKey(b, "shown"), s.Receipt)
	return append(b, '}'), nil
}
