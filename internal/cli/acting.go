package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/internal/assembly"
	"github.com/mahrem/mahrem/privacy"
)

// maxTokenFile bounds what is read as a token.
const maxTokenFile = 16 << 10

// actingAs adds --token-file to a command, and returns who it acts for once the house is
// open: the account at this terminal, or whom the token proves. Two people who share a
// machine, and so an account, are told apart by their tokens.
//
// Also are further roles whose token the command takes: an auditor may look.
func (a *app) actingAs(cmd *cobra.Command, also ...privacy.Role) func(house *assembly.House) (privacy.Principal, error) {
	file := cmd.Flags().String("token-file", "", "act as whom the bearer token in this file proves, a data protection officer; - reads it from stdin")
	return func(house *assembly.House) (privacy.Principal, error) {
		if *file == "" {
			return operator(), nil
		}
		text, err := a.readSmall(*file, maxTokenFile)
		if err != nil {
			return privacy.Principal{}, fmt.Errorf("reading token: %w", err)
		}
		by, err := house.Tokens.Verify(strings.TrimSpace(string(text)))
		if err != nil {
			return privacy.Principal{}, err
		}
		if by.Role != privacy.RoleDPO && !slices.Contains(also, by.Role) {
			return privacy.Principal{}, fmt.Errorf("the token is not a data protection officer's: %w", privacy.ErrForbidden)
		}
		return by, nil
	}
}

// openAs opens the house and says who acts in it, by what actingAs returned. Where nobody is
// proven to, the house is closed again.
func (a *app) openAs(ctx context.Context, acting func(*assembly.House) (privacy.Principal, error)) (*assembly.House, privacy.Principal, error) {
	house, err := a.open(ctx)
	if err != nil {
		return nil, privacy.Principal{}, err
	}
	by, err := acting(house)
	if err != nil {
		a.close(house)
		return nil, privacy.Principal{}, err
	}
	return house, by, nil
}

// readSmall reads a file, or stdin for "-", and refuses what is longer than limit.
func (a *app) readSmall(name string, limit int64) ([]byte, error) {
	in := a.stdin
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer func() { _ = file.Close() }()
		in = file
	}
	text, err := io.ReadAll(io.LimitReader(in, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(text)) > limit {
		return nil, usagef("more than %d bytes were given", limit)
	}
	return text, nil
}
