package cli

import (
	"context"
	"errors"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/audit/bundle"
)

// logSource is a log that is not that of this house, as somebody names it on the command line.
type logSource struct{ from, key string }

func (s *logSource) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&s.from, "from", "", "the directory of a bundle or a mirror of the log, in place of this house")
	cmd.Flags().StringVar(&s.key, "key", "", "with --from: the public key of the log, or a file with it")
}

func (s *logSource) given() bool { return s.from != "" }

// openSource opens the log that --from names, with the key that the caller trusts.
func (a *app) openSource(ctx context.Context, source logSource) (*bundle.Bundle, error) {
	b, err := a.openBundle(ctx, source.from, source.key)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, usagef("--from: %s has no checkpoint; give the directory of a bundle or a mirror of the log", source.from)
	}
	return b, err
}
