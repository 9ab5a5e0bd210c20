package cli

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/internal/assembly"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

func (a *app) bundleKeygen() *cobra.Command {
	var name, out string
	cmd := &cobra.Command{
		Use: "keygen", Short: "Make a key that signs policies", Args: cobra.NoArgs,
		Long: `Make a key that signs policies: the secret half in FILE, which only its owner can
read, and the public half in FILE.pub, which the setting policies_key of a server
names. A file of policies_key may hold several public halves, one a line, so that a key
can be replaced. No file is overwritten.

Keep the secret half off the servers: whoever has it decides over everybody's data.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := needs(cmd, "name", "output"); err != nil {
				return err
			}
			secret, public, err := policies.GenerateKey(rand.Reader, name)
			if err != nil {
				return err
			}
			if err := writeNew(out, secret, 0o600); err != nil {
				return err
			}
			if err := writeNew(out+".pub", public, 0o644); err != nil {
				return errors.Join(err, os.Remove(out))
			}
			document := map[string]string{"name": name, "secret_key_file": out, "public_key_file": out + ".pub", "public_key": strings.TrimSpace(public)}
			return a.screen.print(document, func(w io.Writer) {
				t := table{}
				t.add("secret half", out)
				t.add("public half", out+".pub")
				t.add("", document["public_key"])
				t.writeTo(w, "")
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&name, "name", "", "in whose name it signs, such as shop.example/policies (required)")
	flags.StringVarP(&out, "output", "o", "", "file for the secret half (required)")
	a.jsonFlag(cmd)
	return cmd
}

func writeNew(path, content string, mode os.FileMode) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s: file exists, and nothing is overwritten; name another one: %w", path, privacy.ErrConflict)
	}
	if err != nil {
		return err
	}
	_, err = file.WriteString(content)
	return errors.Join(err, file.Sync(), file.Close())
}

func (a *app) bundleVerify() *cobra.Command {
	var key, at string
	cmd := &cobra.Command{
		Use: "verify PLACE", Short: "Check who signed policies, and that they are what was signed", Args: cobra.ExactArgs(1),
		Long: `Check who signed the policies in a file, in a directory or at a URL, that they are what
was signed, and that they have not expired. What is wrong is named with the word that
the log of a server would have (docs/spec/bundle.md), and the exit code is 1. Whether a
later bundle was active already, only a server knows.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := needs(cmd, "key"); err != nil {
				return err
			}
			now := time.Now()
			if at != "" {
				var err error
				if now, err = time.Parse(time.RFC3339, at); err != nil {
					return usagef("--at wants a moment, 2027-06-30T12:00:00Z")
				}
			}
			text, err := os.ReadFile(key)
			if err != nil {
				return usagef("--key: %w", err)
			}
			keys, err := policies.ParseKeys(string(text))
			if err != nil {
				return err
			}
			content, err := assembly.ReadPolicies(cmd.Context(), args[0])
			var signed policies.Signed
			if err == nil {
				signed, err = keys.Verify(content, now)
			}
			refusal, ok := errors.AsType[*policies.Refusal](err)
			switch {
			case err == nil:
				return newBundleDocument(args[0], signed).print(&a.screen)
			case !ok || refusal.Check == policies.BundleUnavailable:
				return err
			}
			document := bundleDocument{Bundle: args[0], Refused: refusal.Check}
			if err := a.screen.print(document, func(w io.Writer) { _, _ = fmt.Fprintf(w, "REFUSED %s\n", refusal.Check) }); err != nil {
				return err
			}
			return &exitError{code: exitFailure, err: refusal}
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&key, "key", "", "file with the public keys of those who are believed (required)")
	flags.StringVar(&at, "at", "", "the moment to check for, 2027-06-30T12:00:00Z (default now)")
	a.jsonFlag(cmd)
	return cmd
}

func (a *app) bundleExtract() *cobra.Command {
	var from, out string
	cmd := &cobra.Command{
		Use: "extract", Short: "Write policies into a new directory, to change them there", Args: cobra.NoArgs,
		Long: `Write the policies in the binary, or those of a file, a directory or a URL, into a new
directory. That is where policies of one's own begin. Who signed them is not asked.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := needs(cmd, "output"); err != nil {
				return err
			}
			content, err := assembly.ReadPolicies(cmd.Context(), from)
			if err != nil {
				return err
			}
			if err := os.Mkdir(out, 0o755); err != nil {
				return fmt.Errorf("--output wants a directory that does not exist yet: %w", err)
			}
			if err := os.CopyFS(out, content.FS()); err != nil {
				return fmt.Errorf("writing policies: %w", err)
			}
			document := map[string]string{"directory": out, "policy_revision": fmt.Sprintf("sha256:%x", content.Digest())}
			return a.screen.print(document, func(w io.Writer) {
				t := table{}
				t.add("directory", out)
				t.add("policies", document["policy_revision"])
				t.writeTo(w, "")
			})
		},
	}
	cmd.Flags().StringVar(&from, "from", "", "file, directory or URL instead of the binary")
	cmd.Flags().StringVarP(&out, "output", "o", "", "directory to make (required)")
	a.jsonFlag(cmd)
	return cmd
}
