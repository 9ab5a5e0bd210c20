package assembly

import (
	"context"

	"github.com/mahrem/mahrem/postgres"
)

// SchemaDifference is one fact about the schema of log or consent ledger that is not as shipped.
type SchemaDifference = postgres.SchemaDifference

// LogSchema compares the triggers, functions, tables and grants of log and consent ledger with those that
// were shipped. It works on a house that was opened as Base.
func (h *House) LogSchema(ctx context.Context) ([]SchemaDifference, error) {
	return h.DB.AuditSchema(ctx)
}
