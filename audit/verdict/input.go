package verdict

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/mahrem/mahrem/audit/witness"
	"github.com/mahrem/mahrem/privacy"
)

// Input is what stands on a command line.
type Input struct {
	// Keys are public keys, or files with one.
	Keys []string
	// Kept are files with a signed checkpoint each.
	Kept []string
	// Witnesses is a file with a policy, TokenFile one with a token.
	Witnesses, TokenFile string
	// Part is [Options.Part].
	Part bool
}

// Read reads the files that are named. The error wraps [privacy.ErrInvalid].
func (i *Input) Read() (o Options, err error) {
	o.Part = i.Part
	for _, key := range i.Keys {
		text := key
		if strings.Count(key, "+") < 2 {
			content, err := readFile("--key", key, 1<<12)
			if err != nil {
				return o, err
			}
			text = string(content)
		}
		given := len(o.Keys)
		// A file may have several keys, one a line.
		for line := range strings.Lines(text) {
			if line = strings.TrimSpace(line); line != "" {
				o.Keys = append(o.Keys, line)
			}
		}
		if len(o.Keys) == given { // else the key that lies in the bundle would count
			return o, fmt.Errorf("--key: there is no key in it: %w", privacy.ErrInvalid)
		}
	}
	for _, path := range i.Kept {
		content, err := readFile("--kept", path, 1<<16)
		if err != nil {
			return o, err
		}
		o.Kept = append(o.Kept, content)
	}
	if i.Witnesses != "" {
		if o.Policy, err = readFile("--witnesses", i.Witnesses, witness.MaxPolicy); err != nil {
			return o, err
		}
		if len(o.Policy) == 0 { // else no witness would be demanded
			return o, fmt.Errorf("--witnesses: %s is empty: %w", i.Witnesses, privacy.ErrInvalid)
		}
	}
	if i.TokenFile != "" {
		content, err := readFile("--token-file", i.TokenFile, 1<<16)
		if err != nil {
			return o, err
		}
		o.Token = strings.TrimSpace(string(content))
	}
	return o, nil
}

func readFile(flag, path string, limit int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", flag, err, privacy.ErrInvalid)
	}
	defer func() { _ = file.Close() }()
	content, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", flag, err, privacy.ErrInvalid)
	}
	if int64(len(content)) > limit {
		return nil, fmt.Errorf("%s: %s is longer than %d bytes: %w", flag, path, limit, privacy.ErrInvalid)
	}
	return content, nil
}

// OfAll is [Of] for one place and [OfParts] for several.
func OfAll(ctx context.Context, places []string, options Options) ([]Verdict, error) {
	if len(places) > 1 {
		return OfParts(ctx, places, options)
	}
	v, err := Of(ctx, places[0], options)
	if err != nil {
		return nil, err
	}
	return []Verdict{v}, nil
}
