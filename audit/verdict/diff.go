package verdict

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/audit/bundle"
	"github.com/mahrem/mahrem/privacy"
)

// Diff compares two states of a log: bundles, addresses of logs that are served, or files with
// a signed checkpoint. An error says that they could not be compared.
func Diff(ctx context.Context, older, newer string, options Options) (d bundle.Difference, err error) {
	a, err := openState(ctx, older, &options)
	if err != nil {
		return d, fmt.Errorf("%s: %w", older, err)
	}
	b, err := openState(ctx, newer, &options)
	if err != nil {
		return d, fmt.Errorf("%s: %w", newer, err)
	}
	if len(options.Keys) == 0 && !a.SameKey(&b) {
		return d, fmt.Errorf("no key was given, and %s and %s have different ones; say with --key whose signature counts: %w", older, newer, privacy.ErrInvalid)
	}
	d, err = bundle.Diff(ctx, a, b)
	d.OwnKeys = len(options.Keys) == 0
	return d, err
}

// openState opens a state by whichever of the keys fits, or a bundle by its own if there is none.
func openState(ctx context.Context, place string, options *Options) (state bundle.State, err error) {
	verifiers, err := logKeys(options.Keys)
	if err != nil {
		return state, err
	}
	if !strings.Contains(place, "://") {
		info, err := os.Stat(place)
		if err != nil {
			return state, err
		}
		if info.Mode().IsRegular() {
			return openCheckpoint(place, verifiers)
		}
	}
	files, err := Open(place, options.Token)
	if err != nil {
		return state, err
	}
	if len(verifiers) == 0 {
		verifiers = []note.Verifier{nil}
	}
	for _, verifier := range verifiers {
		var b *bundle.Bundle
		if b, err = bundle.Open(ctx, files, verifier); err == nil {
			return bundle.StateOf(b), nil
		}
	}
	return state, err
}

func openCheckpoint(path string, verifiers []note.Verifier) (state bundle.State, err error) {
	if len(verifiers) == 0 {
		return state, fmt.Errorf("a checkpoint alone needs a key: %w", privacy.ErrInvalid)
	}
	signed, err := readFile("checkpoint", path, 1<<16)
	if err != nil {
		return state, err
	}
	for _, verifier := range verifiers {
		if state, err = bundle.CheckpointState(signed, verifier); err == nil {
			return state, nil
		}
	}
	return state, errors.Join(errors.New("it is not signed by a known key, or was altered"), err)
}

func logKeys(texts []string) (keys []note.Verifier, err error) {
	for _, text := range texts {
		name, key, err := audit.ParseKey(text)
		if err != nil {
			return nil, err
		}
		verifier, err := audit.NewVerifier(name, key)
		if err != nil {
			return nil, err
		}
		keys = append(keys, verifier)
	}
	return keys, nil
}
