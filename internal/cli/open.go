package cli

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/user"
	"time"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/internal/assembly"
	"github.com/mahrem/mahrem/privacy"
)

// open opens the Mahrem that the command line names.
func (a *app) open(ctx context.Context) (*assembly.House, error) {
	return a.openWith(ctx, assembly.Options{})
}

func (a *app) openWith(ctx context.Context, options assembly.Options) (*assembly.House, error) {
	settings, err := a.config()
	if err != nil {
		return nil, err
	}
	options.Logger = a.logger()
	return assembly.Open(ctx, settings, options)
}

// inHouse is what a command does that needs the house from its first line to its last.
func (a *app) inHouse(do func(cmd *cobra.Command, args []string, house *assembly.House) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		house, err := a.open(cmd.Context())
		if err != nil {
			return err
		}
		defer a.close(house)
		return do(cmd, args, house)
	}
}

// close closes what open opened. The command may have been interrupted; closing is not.
func (a *app) close(house *assembly.House) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := house.Close(ctx); err != nil {
		a.screen.notef("closing: %s", message(err))
	}
}

// logger writes diagnostics to stderr.
func (a *app) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(a.screen.err, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// operator is who works at this terminal. Whoever can read the key directory acts as the
// data protection officer; which account it was, the log keeps as a tag.
func operator() privacy.Principal {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return assembly.Operator(u.Username)
	}
	return assembly.Operator(fmt.Sprintf("uid-%d", os.Getuid()))
}

// operatorFor is who works at this terminal in the place of a recipient.
func operatorFor(recipient privacy.RecipientID) privacy.Principal {
	return privacy.Principal{ID: operator().ID, Role: privacy.RoleService, Recipient: recipient}
}
