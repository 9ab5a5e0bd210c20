package cli

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/internal/assembly"
	"github.com/mahrem/mahrem/migrations"
)

func (a *app) migrateCommand() *cobra.Command {
	up := &cobra.Command{
		Use: "up", Short: "Apply the migrations that the database lacks", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.migrate(cmd.Context(), func(ctx context.Context, db *assembly.Database) ([]migrations.Migration, error) {
				applied, err := db.MigrateUp(ctx)
				if err == nil && len(applied) == 0 {
					a.screen.notef("nothing to do: the database is up to date")
				}
				return applied, err
			})
		},
	}
	status := &cobra.Command{
		Use: "status", Short: "List the migrations and whether the database has them", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.migrate(cmd.Context(), func(ctx context.Context, db *assembly.Database) ([]migrations.Migration, error) {
				return db.MigrationStatus(ctx)
			})
		},
	}
	a.jsonFlag(up)
	a.jsonFlag(status)
	return group("migrate", "Bring the database's tables up to date", up, status)
}

// migration is one line of the output.
type migration struct {
	Version   int64      `json:"version"`
	File      string     `json:"file"`
	AppliedAt *time.Time `json:"applied_at"`
}

func (a *app) migrate(ctx context.Context, do func(context.Context, *assembly.Database) ([]migrations.Migration, error)) error {
	settings, err := a.config()
	if err != nil {
		return err
	}
	db, err := assembly.OpenDatabase(ctx, settings)
	if err != nil {
		return err
	}
	defer a.closing(db.Close)
	list, err := do(ctx, db)
	if err != nil {
		return err
	}
	document := []migration{}
	t := table{header: []string{"version", "file", "applied"}}
	for _, m := range list {
		line, applied := migration{Version: m.Version, File: m.File}, "pending"
		if !m.IsPending() {
			line.AppliedAt, applied = &m.AppliedAt, m.AppliedAt.Format(time.DateTime)
		}
		document = append(document, line)
		t.add(fmt.Sprintf("%05d", m.Version), m.File, applied)
	}
	return a.screen.print(document, func(w io.Writer) {
		if len(t.rows) > 0 {
			t.writeTo(w, "")
		}
	})
}

// closing closes something at the end of a command. What goes wrong then is told but
// does not change what the command did.
func (a *app) closing(closer func() error) {
	if err := closer(); err != nil {
		a.screen.notef("closing: %s", message(err))
	}
}
