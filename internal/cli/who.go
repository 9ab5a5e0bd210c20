package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/internal/assembly"
	"github.com/mahrem/mahrem/privacy"
)

// who is how a command line names a person: by one identifier. "-" in the place of the
// value reads it from stdin, because command lines end up in shell histories.
type who struct {
	values map[privacy.IdentifierKind]*string
}

func (a *app) whoFlags(cmd *cobra.Command) *who {
	w := &who{values: map[privacy.IdentifierKind]*string{}}
	for _, kind := range privacy.IdentifierKinds() {
		w.values[kind] = cmd.Flags().String(flagOf(kind), "", "the person's "+strings.ReplaceAll(string(kind), "_", " ")+"; - reads it from stdin")
	}
	return w
}

// aboutPerson makes cmd one that is about a person: it gets the flags that name them, and
// runs do with the house open and the person found.
func (a *app) aboutPerson(cmd *cobra.Command, do func(context.Context, *assembly.House, privacy.DataSubjectID) error) {
	person := a.whoFlags(cmd)
	cmd.RunE = a.inHouse(func(cmd *cobra.Command, _ []string, house *assembly.House) error {
		id, err := person.resolve(cmd.Context(), house, a.stdin)
		if err != nil {
			return err
		}
		return do(cmd.Context(), house, id)
	})
}

func flagOf(kind privacy.IdentifierKind) string { return strings.ReplaceAll(string(kind), "_", "-") }

// isGiven reports whether any identifier was given.
func (w *who) isGiven() bool {
	for _, value := range w.values {
		if *value != "" {
			return true
		}
	}
	return false
}

// identifier returns the one identifier that was given.
func (w *who) identifier(stdin io.Reader) (privacy.Identifier, error) {
	var found privacy.Identifier
	var flags []string
	for _, kind := range privacy.IdentifierKinds() {
		flags = append(flags, "--"+flagOf(kind))
		value := *w.values[kind]
		if value == "" {
			continue
		}
		if found.Kind != "" {
			return found, usagef("name the person by one identifier, not by %s and %s", found.Kind, kind)
		}
		if value == "-" {
			line, err := bufio.NewReader(io.LimitReader(stdin, 4096)).ReadString('\n')
			if err != nil && !errors.Is(err, io.EOF) {
				return found, fmt.Errorf("reading identifier from stdin: %w", err)
			}
			value = strings.TrimSpace(line)
			if value == "" {
				return found, usagef("stdin holds no identifier")
			}
		}
		found = privacy.Identifier{Kind: kind, Value: privacy.NewPlain(value)}
	}
	if found.Kind == "" {
		return found, usagef("name the person by %s", strings.Join(flags, ", "))
	}
	return found, nil
}

// identifiers returns all that were given, at least one. Only one can be read from stdin.
func (w *who) identifiers(stdin io.Reader) ([]privacy.Identifier, error) {
	var found []privacy.Identifier
	fromStdin := false
	for _, kind := range privacy.IdentifierKinds() {
		value := *w.values[kind]
		if value == "" {
			continue
		}
		if value == "-" && fromStdin {
			return nil, usagef("only one identifier can be read from stdin")
		}
		fromStdin = fromStdin || value == "-"
		one := &who{values: map[privacy.IdentifierKind]*string{}}
		for _, other := range privacy.IdentifierKinds() {
			one.values[other] = new(string)
		}
		one.values[kind] = &value
		identifier, err := one.identifier(stdin)
		if err != nil {
			return nil, err
		}
		found = append(found, identifier)
	}
	if len(found) == 0 {
		_, err := w.identifier(stdin)
		return nil, err
	}
	return found, nil
}

// resolve finds the person.
func (w *who) resolve(ctx context.Context, house *assembly.House, stdin io.Reader) (privacy.DataSubjectID, error) {
	identifier, err := w.identifier(stdin)
	if err != nil {
		return privacy.DataSubjectID{}, err
	}
	id, err := house.People.ResolveIdentifier(ctx, identifier)
	if errors.Is(err, privacy.ErrNotFound) {
		return id, fmt.Errorf("nobody here has this %s: %w", strings.ReplaceAll(string(identifier.Kind), "_", " "), privacy.ErrNotFound)
	}
	return id, err
}
