package cli

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar/export"
	"github.com/mahrem/mahrem/privacy"
)

// openedExport is the document of dsar open-export.
type openedExport struct {
	Valid    bool   `json:"valid"`
	Origin   string `json:"origin"`
	Kind     string `json:"kind"`
	Request  string `json:"request,omitempty"`
	Made     string `json:"created_at"`
	Files    int    `json:"files"`
	Manifest string `json:"manifest_sha256"`
	Log      uint64 `json:"log_entry"`
	Out      string `json:"out,omitempty"`
}

func (a *app) dsarOpenExport() *cobra.Command {
	var key, out, identity, passphraseFile string
	cmd := &cobra.Command{
		Use: "open-export FILE --key KEY", Short: "Decrypt and check an export, without any connection", Args: cobra.ExactArgs(1),
		Long: `Decrypt an export and check every byte of it against the public key of the log. With
--out it is unpacked, and what does not check out is not left behind. Nothing but the
file, the key and the passphrase or age identity is needed; any age program decrypts it
as well.

KEY is a file with what "mahrem audit key" prints, or that text itself. The passphrase is
read from stdin unless a file has it.`,
		RunE: func(_ *cobra.Command, args []string) error {
			keys, err := keyTexts(key)
			if err != nil {
				return fmt.Errorf("--key: %w", err)
			}
			// Where a signer of its own has the log's key, the last one signs documents.
			origin, public, err := audit.ParseKey(keys[len(keys)-1])
			if err != nil {
				return fmt.Errorf("--key: %w", err)
			}
			opener, err := a.exportKey(identity, passphraseFile)
			if err != nil {
				return err
			}
			document, err := openExport(args[0], opener, origin, public, out)
			if err != nil {
				return err
			}
			return a.screen.print(document, func(w io.Writer) {
				_, _ = fmt.Fprintf(w, "VALID: %s of request %s, made %s, %d files, log entry %d\n",
					document.Kind, document.Request, document.Made, document.Files, document.Log)
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&key, "key", "", "the public key of the log, or a file with it")
	flags.StringVar(&out, "out", "", "directory to unpack to; it must not exist")
	flags.StringVar(&identity, "identity", "", "age identity file")
	flags.StringVar(&passphraseFile, "passphrase-file", "-", "file with the passphrase; - reads stdin")
	_ = cmd.MarkFlagRequired("key")
	a.jsonFlag(cmd)
	return cmd
}

func (a *app) exportKey(identity, passphraseFile string) (export.Key, error) {
	if identity != "" {
		content, err := readBounded(identity, 1<<20)
		if err != nil {
			return export.Key{}, err
		}
		return export.IdentityKey(bytes.NewReader(content))
	}
	text, err := a.readSmall(passphraseFile, 4096)
	if err != nil {
		return export.Key{}, usagef("reading passphrase: %w", err)
	}
	return export.PassphraseKey(privacy.NewPlain(strings.TrimSpace(string(text))))
}

// openExport decrypts into a file without a name, checks it, and unpacks it beside out
// before it takes the name.
func openExport(path string, key export.Key, origin string, public ed25519.PublicKey, out string) (document openedExport, err error) {
	sealed, err := os.Open(path)
	if err != nil {
		return document, usagef("%w", err)
	}
	defer func() { _ = sealed.Close() }()
	opened, err := key.Open(sealed)
	if err != nil {
		return document, err
	}
	plain, err := os.CreateTemp("", "mahrem-export-*")
	if err != nil {
		return document, fmt.Errorf("decrypting export: %w", err)
	}
	defer func() { _ = plain.Close() }()
	if err := os.Remove(plain.Name()); err != nil {
		return document, fmt.Errorf("decrypting export: %w", err)
	}
	size, err := io.Copy(plain, opened)
	if err != nil {
		return document, fmt.Errorf("decrypting export: it was altered or cut off: %w", privacy.ErrDamaged)
	}
	temporary := ""
	if out != "" {
		if _, err := os.Lstat(out); err == nil {
			return document, usagef("--out exists already")
		}
		if temporary, err = os.MkdirTemp(filepath.Dir(out), ".export-*"); err != nil {
			return document, fmt.Errorf("unpacking export: %w", err)
		}
		defer func() {
			if err != nil {
				err = errors.Join(err, os.RemoveAll(temporary))
			}
		}()
	}
	verified, err := export.Verify(plain, size, origin, public, func(name string, content io.Reader) error {
		if temporary == "" {
			return nil
		}
		return writeFile(filepath.Join(temporary, filepath.FromSlash(name)), content)
	})
	if err != nil {
		return document, err
	}
	if temporary != "" {
		if err := os.Rename(temporary, out); err != nil {
			return document, fmt.Errorf("unpacking export: %w", err)
		}
	}
	return openedExport{
		Valid: true, Origin: origin, Kind: verified.Manifest.Kind, Request: verified.Manifest.Request,
		Made: verified.Manifest.CreatedAt.UTC().Format("2006-01-02"), Files: len(verified.Manifest.Files) + 2,
		Manifest: hex.EncodeToString(verified.Statement.Manifest[:]), Log: verified.Statement.Index, Out: out,
	}, nil
}

func writeFile(path string, content io.Reader) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("unpacking export: %w", err)
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("unpacking export: %w", err)
	}
	_, err = io.Copy(file, content)
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("unpacking export: %w", err)
	}
	return nil
}
