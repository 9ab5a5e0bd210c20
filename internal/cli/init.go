package cli

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/internal/assembly"
	"github.com/mahrem/mahrem/internal/localpg"
	"github.com/mahrem/mahrem/privacy"
)

func (a *app) initCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "init", Short: "Make the key directory and the tables of a new Mahrem", Args: cobra.NoArgs,
		Long: `Make a new Mahrem in --home: the key directory, which only its owner can read, the
tables in the embedded PostgreSQL (or in the one that MAHREM_DATABASE_URL names),
and the first entries of the log.

An existing key directory is never overwritten: without its keys the data is gone.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			settings, err := a.config()
			if err != nil {
				return err
			}
			house, err := assembly.Init(cmd.Context(), settings, assembly.Options{Logger: a.logger()}, operator())
			switch {
			case errors.Is(err, privacy.ErrConflict):
				return fmt.Errorf("%w; choose another --home, or go on with the one there: mahrem doctor", err)
			case errors.Is(err, localpg.ErrNoPrograms):
				return err
			case err != nil:
				return fmt.Errorf("initializing: %w", err)
			}
			defer a.close(house)
			a.screen.notef("back up %s now, apart from the database: whoever loses it has lost the data, whoever has both has the data", settings.Keys)
			database := settings.PostgresDir()
			if settings.DatabaseURL != "" {
				database = "MAHREM_DATABASE_URL"
			}
			document := map[string]string{
				"home": settings.Home, "keys": settings.Keys, "database": database,
				"origin": settings.Origin, "policy_revision": house.PolicyRevision(),
			}
			return a.screen.print(document, func(w io.Writer) {
				t := table{}
				t.add("home", settings.Home)
				t.add("keys", settings.Keys)
				t.add("database", database)
				t.add("log", settings.Origin)
				t.add("policies", house.PolicyRevision())
				t.writeTo(w, "")
			})
		},
	}
	a.jsonFlag(cmd)
	return cmd
}
