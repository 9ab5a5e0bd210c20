package cli

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/internal/assembly"
	"github.com/mahrem/mahrem/internal/config"
	"github.com/mahrem/mahrem/policies"
)

func (a *app) policyBundle() *cobra.Command {
	return group("bundle", "Sign policies, so that servers believe them",
		a.bundleKeygen(), a.bundleBuild(), a.bundleSign(), a.bundleVerify(), a.bundleExtract())
}

// bundleDocument is what there is to say of a signed bundle.
type bundleDocument struct {
	Verified bool   `json:"verified"`
	Refused  string `json:"refused,omitempty"`
	Bundle   string `json:"bundle"`
	Revision string `json:"policy_revision,omitempty"`
	Sequence uint64 `json:"sequence,omitempty"`
	NotAfter string `json:"not_after,omitempty"`
	SignedBy string `json:"signed_by,omitempty"`
}

func newBundleDocument(place string, signed policies.Signed) bundleDocument {
	return bundleDocument{
		Verified: true, Bundle: place, Revision: "sha256:" + hex.EncodeToString(signed.Digest[:]), Sequence: signed.Sequence,
		NotAfter: signed.NotAfter.Format(time.RFC3339), SignedBy: signed.By,
	}
}

func (d bundleDocument) print(s *screen) error {
	return s.print(d, func(w io.Writer) {
		t := table{}
		t.add("bundle", d.Bundle)
		t.add("policies", d.Revision)
		t.add("sequence", fmt.Sprint(d.Sequence))
		t.add("not after", d.NotAfter)
		t.add("signed by", d.SignedBy)
		t.writeTo(w, "")
	})
}

// signFlags are what a statement is made of.
type signFlags struct {
	key, notAfter string
	sequence      uint64
}

func (f *signFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.key, "key", "", "file with the secret half of the key (required)")
	flags.Uint64Var(&f.sequence, "sequence", 0, "number of this bundle, higher than that of every one before (required)")
	flags.StringVar(&f.notAfter, "not-after", "", "last day, 2027-06-30, or moment, 2027-06-30T12:00:00Z, on which it may be activated (required)")
}

// needs says which of the flags without which a command makes no sense is missing.
func needs(cmd *cobra.Command, flags ...string) error {
	for _, name := range flags {
		if !cmd.Flags().Changed(name) {
			return usagef("%s needs --%s; see %s --help", cmd.CommandPath(), name, cmd.CommandPath())
		}
	}
	return nil
}

// sign reads the bundle at a place, does everything with it that a server would before it
// believed it, and signs it.
func (f *signFlags) sign(ctx context.Context, place string, patience config.Patience) (*policies.Content, bundleDocument, error) {
	notAfter, err := parseEnd(f.notAfter)
	if err != nil {
		return nil, bundleDocument{}, err
	}
	signer, err := readSigner(f.key)
	if err != nil {
		return nil, bundleDocument{}, err
	}
	content, err := policies.NewFileSource(place).Read(ctx)
	if err != nil {
		return nil, bundleDocument{}, err
	}
	if err := assembly.TryPolicies(ctx, content, patience); err != nil {
		return nil, bundleDocument{}, fmt.Errorf("not signed, because no server would take it: %w", err)
	}
	signed, statement, err := signer.Sign(content, f.sequence, notAfter)
	if err != nil {
		return nil, bundleDocument{}, err
	}
	return signed, newBundleDocument("", policies.Signed{Statement: statement, By: signer.Name()}), nil
}

// parseEnd reads a day, which ends at its end (UTC), or a moment.
func parseEnd(text string) (time.Time, error) {
	end, err := time.Parse(time.RFC3339, text)
	if err != nil {
		day, err := time.Parse(time.DateOnly, text)
		if err != nil {
			return end, usagef("--not-after wants a day, 2027-06-30, or a moment, 2027-06-30T12:00:00Z")
		}
		end = day.Add(24*time.Hour - time.Second)
	}
	if !end.After(time.Now()) {
		return end, usagef("--not-after is in the past: no server would take the bundle")
	}
	return end, nil
}

// readSigner reads a secret key that nobody else can read.
func readSigner(path string) (*policies.Signer, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, usagef("--key: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s can be read by others than its owner; run: chmod 600 %s", path, path)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, usagef("--key: %w", err)
	}
	return policies.ParseSigner(string(content))
}

func (a *app) bundleBuild() *cobra.Command {
	var f signFlags
	var out string
	cmd := &cobra.Command{
		Use: "build DIR", Short: "Pack and sign policies into one file", Args: cobra.ExactArgs(1),
		Long: `Pack the policies in DIR into one file and sign it. Before that they are compiled,
attacked and played through their scenarios, as a server will do it again: what no
server would take is not signed. Equal policies, flags and key give equal files.

The file replaces one that is there in one step, so a server may watch it.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := needs(cmd, "output", "key", "sequence", "not-after"); err != nil {
				return err
			}
			settings, err := a.config()
			if err != nil {
				return err
			}
			signed, document, err := f.sign(cmd.Context(), args[0], settings.Patience)
			if err != nil {
				return err
			}
			if err := replaceFile(out, signed.AppendArchive(nil)); err != nil {
				return err
			}
			document.Bundle = out
			return document.print(&a.screen)
		},
	}
	f.add(cmd)
	cmd.Flags().StringVarP(&out, "output", "o", "", "file to write, such as policies.tar.gz (required)")
	a.jsonFlag(cmd)
	return cmd
}

func (a *app) bundleSign() *cobra.Command {
	var f signFlags
	cmd := &cobra.Command{
		Use: "sign DIR", Short: "Sign policies in the directory they are in", Args: cobra.ExactArgs(1),
		Long: `Sign the policies in DIR, after the same checks as build, and write the statement to
DIR/bundle.note. Whoever changes a file afterwards has to sign again.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := needs(cmd, "key", "sequence", "not-after"); err != nil {
				return err
			}
			settings, err := a.config()
			if err != nil {
				return err
			}
			signed, document, err := f.sign(cmd.Context(), args[0], settings.Patience)
			if err != nil {
				return err
			}
			statement, err := fs.ReadFile(signed.FS(), policies.StatementFile)
			if err != nil {
				return err
			}
			document.Bundle = filepath.Join(args[0], policies.StatementFile)
			if err := replaceFile(document.Bundle, statement); err != nil {
				return err
			}
			return document.print(&a.screen)
		},
	}
	f.add(cmd)
	a.jsonFlag(cmd)
	return cmd
}

// replaceFile writes a file in one step: whoever reads it sees the old one or the new one.
func replaceFile(path string, content []byte) (err error) {
	file, err := os.CreateTemp(filepath.Dir(path), ".bundle-*")
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(file.Name())
			err = fmt.Errorf("writing %s: %w", path, err)
		}
	}()
	_, err = file.Write(content)
	if err = errors.Join(err, file.Chmod(0o644), file.Sync(), file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}
