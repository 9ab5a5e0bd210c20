package cli

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar/certificate"
	"github.com/mahrem/mahrem/privacy"
)

func (a *app) certificateCommand() *cobra.Command {
	return group("certificate", "Issue, check and print certificates of erasure",
		a.certificateList(), a.certificateIssue(), a.certificateVerify(), a.certificateShow())
}

// verifiedCertificate is the document of certificate verify.
type verifiedCertificate struct {
	Valid       bool                     `json:"valid"`
	Checks      []certificate.Check      `json:"checks"`
	Certificate *certificate.Certificate `json:"certificate,omitempty"`
}

func (a *app) certificateVerify() *cobra.Command {
	var key string
	cmd := &cobra.Command{
		Use: "verify FILE --key KEY", Short: "Check a certificate of erasure, without any connection", Args: cobra.ExactArgs(1),
		Long: `Check a certificate of erasure with the public key of the log: that it is signed, that
the log entry it names is in the signed log, and that the entry is about this erasure.
Nothing but the file and the key is needed. If a check fails it is named, and the exit
code is 1.

KEY is a file with what "mahrem audit key" prints, or that text itself.`,
		RunE: func(_ *cobra.Command, args []string) error {
			signed, err := readBounded(args[0], certificate.MaxSize)
			if err != nil {
				return err
			}
			text, err := keyText(key)
			if err != nil {
				return err
			}
			c, checks, err := certificate.Verify(signed, text)
			if err != nil && len(checks) == 0 {
				return fmt.Errorf("--key: %w", err)
			}
			document := verifiedCertificate{Valid: err == nil, Checks: checks, Certificate: c}
			if printErr := a.screen.print(document, func(w io.Writer) { writeChecks(w, document) }); printErr != nil {
				return printErr
			}
			if err != nil {
				return exitWith(exitFailure)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&key, "key", "", "the public key of the log, or a file with it")
	_ = cmd.MarkFlagRequired("key")
	a.jsonFlag(cmd)
	return cmd
}

func writeChecks(w io.Writer, v verifiedCertificate) {
	t := table{header: []string{"check", "", ""}}
	for _, check := range v.Checks {
		word := "ok"
		if !check.Passed {
			word = "FAILED"
		}
		t.add(check.Name, word, check.Detail)
	}
	t.writeTo(w, "")
	_, _ = fmt.Fprintln(w)
	if !v.Valid {
		_, _ = fmt.Fprintln(w, "NOT VALID. Do not rely on anything in this file.")
		return
	}
	c := v.Certificate
	_, _ = fmt.Fprintf(w, "VALID: erasure %s of request %s on %s, %d approvals.\n", c.Erasure.ID, c.Request.ID, c.Erasure.ErasedAt.Format("2006-01-02"), c.Erasure.Approvals)
	if n := len(c.Withheld); n > 0 {
		_, _ = fmt.Fprintf(w, "%d things had to be kept; certificate show says which and why.\n", n)
	}
	open := 0
	for _, p := range c.Processors {
		if p.Status != certificate.Completed {
			open++
		}
	}
	if open > 0 {
		_, _ = fmt.Fprintf(w, "%d of %d processors have not confirmed.\n", open, len(c.Processors))
	}
}

// keyText is a public key from a flag: the text itself or a file with it.
func keyText(flag string) (string, error) {
	if strings.Count(flag, "+") >= 2 {
		return flag, nil
	}
	content, err := readBounded(flag, 4096)
	if err != nil {
		return "", err
	}
	return string(content), nil
}

// keyTexts are the public keys that a flag names, one a line: where a signer of its own signs
// the log, "mahrem audit key" prints its key and then that of the house.
func keyTexts(flag string) ([]string, error) {
	text, err := keyText(flag)
	if err != nil {
		return nil, err
	}
	var keys []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		if _, _, err := audit.ParseKey(line); err != nil {
			return nil, err
		}
		keys = append(keys, line)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("there is no key in it: %w", privacy.ErrInvalid)
	}
	return keys, nil
}

// readBounded reads a file that has at most limit bytes.
func readBounded(path string, limit int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, usagef("%w", err)
	}
	defer func() { _ = file.Close() }()
	content, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	if int64(len(content)) > limit {
		return nil, usagef("%s is longer than %d bytes and no such file", path, limit)
	}
	return content, nil
}

func (a *app) certificateShow() *cobra.Command {
	var html, language string
	cmd := &cobra.Command{
		Use: "show FILE", Short: "Print a certificate to read", Args: cobra.ExactArgs(1),
		Long: `Print what a certificate of erasure says. It is not checked: see certificate verify. With
--html a page to print and file is written, in English, Turkish or Czech.`,
		RunE: func(_ *cobra.Command, args []string) error {
			signed, err := readBounded(args[0], certificate.MaxSize)
			if err != nil {
				return err
			}
			c, err := certificate.Parse(signed)
			if err != nil {
				return err
			}
			if html != "" {
				return writePage(html, c, language)
			}
			return a.screen.print(c, func(w io.Writer) { writeCertificate(w, c) })
		},
	}
	cmd.Flags().StringVar(&html, "html", "", "write a page to this new file")
	cmd.Flags().StringVar(&language, "language", "en", "of the page: "+strings.Join(certificate.Languages(), ", "))
	a.jsonFlag(cmd)
	return cmd
}

func writePage(path string, c *certificate.Certificate, language string) error {
	if !slices.Contains(certificate.Languages(), language) {
		return usagef("--language is one of %s", strings.Join(certificate.Languages(), ", "))
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return usagef("--html: %w", err)
	}
	if err := certificate.WriteHTML(file, c, language); err != nil {
		_ = file.Close()
		return err
	}
	return file.Close()
}

func writeCertificate(w io.Writer, c *certificate.Certificate) {
	t := table{header: []string{"erasure", c.Erasure.ID}}
	t.add("request", c.Request.ID+" ("+c.Request.Regime+")")
	t.add("issued", c.IssuedAt.Format("2006-01-02 15:04:05 UTC")+fmt.Sprintf(", revision %d", c.Revision))
	t.add("erased", c.Erasure.ErasedAt.Format("2006-01-02 15:04:05 UTC"))
	rows := "being deleted"
	if c.Erasure.RowsGoneAt != nil {
		rows = c.Erasure.RowsGoneAt.Format("2006-01-02 15:04:05 UTC")
	}
	t.add("last row deleted", rows)
	t.add("approvals", fmt.Sprint(c.Erasure.Approvals))
	for _, kind := range sortedKeys(c.Erasure.Destroyed) {
		t.add("destroyed "+kind, fmt.Sprint(c.Erasure.Destroyed[kind]))
	}
	t.add("identifiers refused from now on", fmt.Sprint(c.Erasure.Suppressed))
	for _, kept := range c.Withheld {
		what := string(kept.Category)
		if kept.Attribute != "" {
			what += "/" + string(kept.Attribute)
		}
		until := "until a hold is released"
		if kept.Until != nil {
			until = "until " + kept.Until.Format("2006-01-02")
		}
		if kept.ErasedAt != nil {
			until = "destroyed " + kept.ErasedAt.Format("2006-01-02")
		}
		t.add("withheld "+what, fmt.Sprintf("%d, %s, %s, %s", kept.Items, kept.Ground, kept.Article, until))
	}
	for _, p := range c.Processors {
		t.add("processor "+p.Name, string(p.Status))
	}
	t.add("log entry", fmt.Sprint(c.Log.Index))
	t.writeTo(w, "")
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
