package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/internal/assembly"
	"github.com/mahrem/mahrem/internal/config"
	"github.com/mahrem/mahrem/privacy"
)

func (a *app) auditdCommand() *cobra.Command {
	var once, accept bool
	cmd := &cobra.Command{
		Use: "auditd", Short: "Sign the log's checkpoints as a process of its own", Args: cobra.NoArgs,
		Long: `Sign checkpoints of the log, one a second while it grows, and ask the witnesses for
their signatures, until SIGINT or SIGTERM. Each is signed only after a proof that the log
still begins with the one before. If the log has become smaller, or another, nothing is
signed: that is said every second, the file "refusal" in the signer's directory says why,
and the exit code is 1 if it is still so at the end.

It is meant to run as another account than the server, better on another machine: with
a key of its own and the database role mahrem_signer, which sees the log and nothing
else. Its directory (setting signer, MAHREM_SIGNER; HOME/auditd) is made by
"mahrem auditd init".

--danger-accept-older-log says that the log lacks entries which were signed because you
restored an older database, and that you answer for it. The server must have said so in
the log before (mahrem erasure replay --danger-accept-older-log). The checkpoint of the
longer log stays beside the new one. Witnesses go on refusing.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			settings, err := a.config()
			if err != nil {
				return err
			}
			if once {
				return a.signOnce(cmd.Context(), settings, accept)
			}
			return a.auditd(cmd.Context(), settings, accept)
		},
	}
	cmd.Flags().BoolVar(&once, "once", false, "sign and collect signatures once, and end")
	cmd.Flags().BoolVar(&accept, "danger-accept-older-log", false, "the log lost entries because you restored an older database")
	cmd.AddCommand(a.auditdInit(), a.auditdStatus())
	return cmd
}

// signEvery is the rhythm of checkpoints.
const signEvery = time.Second

func (a *app) auditd(ctx context.Context, settings config.Config, accept bool) error {
	signer, err := a.waitForLog(ctx, settings, accept)
	if err != nil {
		return err
	}
	a.screen.notef("signing as %s; stop with ctrl-c", signer.Key)
	signer.Signer.Run(ctx, signEvery)
	refusal := signer.Signer.Refusal()
	if err := errors.Join(refusal, signer.Close()); err != nil {
		return err
	}
	a.screen.notef("stopped")
	return nil
}

// waitForLog opens the signer, and waits for a database that is not there yet.
func (a *app) waitForLog(ctx context.Context, settings config.Config, accept bool) (*assembly.Auditd, error) {
	for said := false; ; said = true {
		signer, err := assembly.OpenAuditd(ctx, settings, assembly.AuditdOptions{Logger: a.logger(), Join: true, AcceptOlderLog: accept})
		if err == nil || !errors.Is(err, privacy.ErrUnavailable) {
			return signer, err
		}
		if !said {
			a.screen.notef("waiting for the database: %s", message(err))
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(signEvery):
		}
	}
}

func (a *app) signOnce(ctx context.Context, settings config.Config, accept bool) error {
	signer, err := assembly.OpenAuditd(ctx, settings, assembly.AuditdOptions{Logger: a.logger(), AcceptOlderLog: accept})
	if err != nil {
		return err
	}
	defer func() { _ = signer.Close() }()
	if err := signer.Signer.Sign(ctx); err != nil {
		return err
	}
	return signer.Signer.Cosign(ctx)
}

func (a *app) auditdInit() *cobra.Command {
	var former []string
	cmd := &cobra.Command{
		Use: "init", Short: "Make the key and the memory of a signer of its own", Args: cobra.NoArgs,
		Long: `Make the directory of a signer of its own, with a new key, and print the public half. A
key that is there already is never overwritten.

--former names the key that signed until now, as "mahrem audit key" printed it (the text,
or a file with it); it is found by itself where the key directory of the house is in the
same home. Then:

1. Copy DIR/log.vkey to the server and name it there as log_key in mahrem.yaml.
2. Take the right to add checkpoints from the server, as the owner of the database:
   revoke insert on audit.checkpoint, audit.cosignature from mahrem_app;
3. Give the signer a login of its own: alter role mahrem_signer login password '...';
   and put that connection string into database_url of the signer's own mahrem.yaml.
4. Start both. The log says log.key_changed, and the new key signs from there on.`,
		RunE: func(*cobra.Command, []string) error {
			settings, err := a.config()
			if err != nil {
				return err
			}
			var before []string
			for _, key := range former {
				text, err := keyText(key)
				if err != nil {
					return err
				}
				before = append(before, strings.Fields(text)...)
			}
			key, file, err := assembly.InitAuditd(settings, before)
			if err != nil {
				return err
			}
			document := struct {
				Key  string `json:"key"`
				File string `json:"log_key"`
			}{key, file}
			return a.screen.print(document, func(w io.Writer) {
				_, _ = fmt.Fprintln(w, key)
				a.screen.notef("made %s; name %s as log_key in the server's mahrem.yaml, and take its right away: "+
					"revoke insert on audit.checkpoint, audit.cosignature from mahrem_app", settings.Signing.Signer, file)
			})
		},
	}
	cmd.Flags().StringArrayVar(&former, "former", nil, "a key that signed before, the newest first: the text, or a file")
	a.jsonFlag(cmd)
	return cmd
}

func (a *app) auditdStatus() *cobra.Command {
	cmd := &cobra.Command{
		Use: "status", Short: "Show what the signer remembers, without its database", Args: cobra.NoArgs,
		Long: `Show what a signer of its own has signed last, from its own directory, and whether it
refuses to go on and why. The exit code is 1 if it refuses.`,
		RunE: func(*cobra.Command, []string) error {
			settings, err := a.config()
			if err != nil {
				return err
			}
			memory, err := assembly.ReadAuditdMemory(settings)
			if err != nil {
				return err
			}
			err = a.screen.print(memory, func(w io.Writer) {
				t := table{}
				t.add("key", memory.Key)
				t.add("signed", fmt.Sprintf("%d entries, root %s", memory.Signed, memory.Root))
				if memory.Refusal != "" {
					t.add("REFUSES", memory.Refusal)
				}
				t.writeTo(w, "")
			})
			if err == nil && memory.Refusal != "" {
				err = exitWith(exitFailure)
			}
			return err
		},
	}
	a.jsonFlag(cmd)
	return cmd
}
