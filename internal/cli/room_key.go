package cli

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/cleanroom/match"
)

func (a *app) roomKey() *cobra.Command {
	return group("key", "The keys that a party has on its own side", a.roomKeyNew())
}

// The kinds of keys that a party has.
const (
	keySigning = "signing"
	keyShared  = "shared"
	keyPair    = "pair"
)

func (a *app) roomKeyNew() *cobra.Command {
	var party, kind, out string
	cmd := &cobra.Command{
		Use: "new --output FILE", Short: "Make a key of a party of clean rooms", Args: cobra.NoArgs,
		Long: `Make a key that a party keeps on its own side, in FILE, which only its owner can read.
No file is overwritten, and no server is needed.

  signing  signs contracts, templates and prepared lists in the name of --party. The
           public half is in FILE.pub: mahrem room party add takes it.
  shared   is what parties share and the house must not have: the secret of blind mode,
           and the salt of pair mode. One party makes it and gives it to the other one.
  pair     is the scalar by which a party masks in pair mode. Nobody else has it. Make a
           new one for each epoch.`,
		Example: `  mahrem room key new --party brand_partner --output brand.key
  mahrem room key new --kind shared --output salt`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := needs(cmd, "output"); err != nil {
				return err
			}
			if (kind == keySigning) != (party != "") {
				return usagef("--party is needed for a signing key, and for no other")
			}
			document := map[string]string{"kind": kind, "secret_file": out}
			secret, public, err := newPartyKey(kind, party)
			if err != nil {
				return err
			}
			if err := writeNew(out, secret, 0o600); err != nil {
				return err
			}
			if public != "" {
				if err := writeNew(out+".pub", public, 0o644); err != nil {
					return errors.Join(err, os.Remove(out))
				}
				document["party"], document["public_file"], document["public_key"] = party, out+".pub", strings.TrimSpace(public)
			}
			return a.screen.print(document, func(w io.Writer) {
				t := table{}
				t.add("secret", out)
				if public != "" {
					t.add("public half", out+".pub")
					t.add("", document["public_key"])
				}
				t.writeTo(w, "")
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&party, "party", "", "in whose name it signs: a recipient of the catalogue")
	flags.StringVar(&kind, "kind", keySigning, "signing, shared or pair")
	flags.StringVarP(&out, "output", "o", "", "file for the secret (required)")
	a.jsonFlag(cmd)
	return cmd
}

func newPartyKey(kind, party string) (secret, public string, err error) {
	switch kind {
	case keySigning:
		return cleanroom.GenerateKey(rand.Reader, cleanroom.PartyID(party))
	case keyShared:
		// It is drawn so that it is no scalar: whoever takes the one file for the other, and gives
		// the other party what masks its own list, is told.
		for {
			secret = base64.StdEncoding.EncodeToString(drawn(match.MinSecret))
			if _, err := match.NewPair(match.PairSalt{}, secret); err != nil {
				return secret + "\n", "", nil
			}
		}
	case keyPair:
		secret, err = match.NewPairSecret(rand.Reader)
		return secret + "\n", "", err
	}
	return "", "", usagef("--kind is signing, shared or pair")
}

// drawn returns random bytes; crypto/rand never fails.
func drawn(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}

// readSecret reads a file with a secret, which nobody but its owner may be able to read.
func (a *app) readSecret(flag, path string) ([]byte, error) {
	if info, err := os.Stat(path); err == nil && path != "-" && info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("--%s: %s can be read by others than its owner; run: chmod 600 %[2]s", flag, path)
	}
	text, err := a.readSmall(path, maxKeyFile)
	if err != nil {
		return nil, usagef("--%s: %w", flag, err)
	}
	return text, nil
}

// partySigner reads the key by which a party signs.
func (a *app) partySigner(path string) (*cleanroom.Signer, error) {
	text, err := a.readSecret("key", path)
	if err != nil {
		return nil, err
	}
	return cleanroom.ParseSigner(string(text))
}

// sharedSecret reads what parties share.
func (a *app) sharedSecret(flag, path string) ([]byte, error) {
	text, err := a.readSecret(flag, path)
	if err != nil {
		return nil, err
	}
	secret, err := base64.StdEncoding.Strict().DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(secret) != match.MinSecret {
		return nil, usagef("--%s wants what mahrem room key new --kind shared wrote", flag)
	}
	return secret, nil
}

// pairKey reads what masks in pair mode.
func (a *app) pairKey(salt, secret string) (*match.Pair, error) {
	shared, err := a.sharedSecret("shared-file", salt)
	if err != nil {
		return nil, err
	}
	text, err := a.readSecret("pair-file", secret)
	if err != nil {
		return nil, err
	}
	own := strings.TrimSpace(string(text))
	pair, err := match.NewPair(match.PairSalt(shared), own)
	if err != nil {
		return nil, fmt.Errorf("--pair-file: %w; mahrem room key new --kind pair makes one, which nobody else has", err)
	}
	if own == base64.StdEncoding.EncodeToString(shared) {
		return nil, usagef("--shared-file and --pair-file are the same secret: the other party has the one, and must not have the other")
	}
	return pair, nil
}
