package iys

import (
	"context"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/privacy"
)

// Store keeps what the registry said, and how far it was heard.
type Store interface {
	// Progress returns how far an exchange is; the zero value for one that is new, with its
	// brand and name.
	Progress(ctx context.Context, brand int64, name string) (Progress, error)
	// Take commits a batch with its progress in one transaction, with an entry for what was
	// exchanged and one for the rows of the ledger. It finds who has the addresses, hands
	// them with their standings to settle, which has no effect of its own, and stores what
	// that returns. Batches of one brand are taken one after the other. Rows that the ledger
	// has already change nothing, and people who are being erased are left out.
	//
	// progress gets the numbers of the batch added that only the store learns. The error
	// wraps [privacy.ErrUnavailable] if nothing was stored or the outcome is not known.
	Take(ctx context.Context, b *Batch, settle func(people [][]privacy.DataSubjectID, standings []Standing) Settled) (Progress, error)
}

// Batch is a part of an exchange.
type Batch struct {
	By    privacy.Principal
	Kind  []privacy.IdentifierKind
	Index [][][]byte // of each movement's recipient, under every active key
	// Progress is as it will be behind the batch, without what the store learns.
	Progress Progress
	// Event is the entry for the exchange, without its list.
	Event audit.Event
}

// Progress is how far an exchange is, and what came of it.
type Progress struct {
	Brand int64
	// Name is "file:" and a keyed digest, or "changes:" and an origin.
	Name string
	// Row is the number of the last row that was dealt with, After the place behind the
	// last page.
	Row   int64
	After string
	// Read is the sum of the others.
	Read, Rejected, Nobody int64
	// Recorded became rows of the ledger; Known were there already; HeldBack are approvals
	// that opened nothing.
	Recorded, Known, HeldBack int64
	Done                      bool
}

// Catalogue says which words exist.
type Catalogue interface {
	KnowsPurpose(privacy.Purpose) bool
	KnowsChannel(privacy.Channel) bool
}

var _ Catalogue = consent.Catalogue(nil)
