package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/internal/assembly"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/server"
)

func (a *app) serveCommand() *cobra.Command {
	var certificate, key string
	cmd := &cobra.Command{
		Use: "serve", Short: "Answer queries over HTTP", Args: cobra.NoArgs,
		Long: `Answer queries over HTTP until SIGINT or SIGTERM. A checkpoint of the log is signed
every second. At the end running requests are finished, and the log is closed after
the last of them: nothing that was answered is missing from it.

At the beginning it looks whether somebody who was erased is back, from an older copy, and
erases them again; nothing is answered before that.

With --policies the directory, file or URL is watched, and a signed bundle that changes
is activated without a failed query. One that is unsigned, expired, older than what was
active, does not compile or fails a scenario of its own is refused: the last good one
stays, and /readyz, the log and a metric say why. Whose signature counts is in the file
that the setting policies_key names.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if (certificate == "") != (key == "") {
				return usagef("--tls-certificate and --tls-key need each other")
			}
			collectLess()
			return a.serve(cmd.Context(), server.ServeConfig{CertificateFile: certificate, KeyFile: key})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&a.override.Listen, "listen", "", "address, host:port (MAHREM_LISTEN; default 127.0.0.1:8443)")
	flags.StringVar(&certificate, "tls-certificate", "", "PEM file; without one, put a proxy with TLS in front")
	flags.StringVar(&key, "tls-key", "", "PEM file")
	a.jsonFlag(cmd)
	return cmd
}

func (a *app) serve(ctx context.Context, config server.ServeConfig) error {
	settings, err := a.config()
	if err != nil {
		return err
	}
	// A port that is taken should be known before the database starts.
	listener, err := net.Listen("tcp", settings.Listen)
	if err != nil {
		return fmt.Errorf("listening on %s: %w; choose another one with --listen", settings.Listen, err)
	}
	defer func() { _ = listener.Close() }()
	logger := a.logger()
	house, err := assembly.Open(ctx, settings, assembly.Options{Logger: logger, SignEvery: time.Second, Lasting: true})
	if err != nil {
		return err
	}
	defer a.close(house)
	// Before anything is answered, refreshed or delivered.
	looking := newBar(a.screen.err, "looking for erased people", "people", -1)
	returned, err := house.CheckReturned(ctx, func(done int64) { looking.set(done, -1) })
	looking.finish()
	if err != nil {
		return err
	}
	if returned.Erased > 0 {
		a.screen.notef("%d people who had been erased were in the database again, and are erased again", returned.Erased)
	}
	by := privacy.Principal{ID: "server", Role: privacy.RoleAuditor}
	if _, err := house.Log.Append(ctx, audit.Event{Kind: audit.ServerStarted, Principal: by, Outcome: audit.Done, Policy: house.PolicyDigest()}); err != nil {
		return fmt.Errorf("logging the start: %w", err)
	}
	watching, stop := context.WithCancel(ctx)
	defer stop()
	go func() { _ = house.WatchPolicies(watching) }()
	refreshing := house.Refreshing(watching, time.Second)
	delivering := house.Delivering(watching, time.Second)
	tending := house.Tending(watching)
	sweeping := house.SweepingExports(watching, time.Hour)
	every := 24 * time.Hour
	if settings.DangerKeepForever {
		a.screen.notef("DANGER: danger_keep_forever: data that have had their period stay until somebody runs mahrem retention run")
		every = 0
	}
	retaining := house.Retaining(watching, every)
	defer func() {
		stop()
		<-refreshing
		<-delivering
		<-tending
		<-sweeping
		<-retaining
	}()
	scheme := "http"
	if config.CertificateFile != "" {
		scheme = "https"
	}
	address := fmt.Sprintf("%s://%s", scheme, listener.Addr())
	err = a.screen.print(map[string]string{"address": address}, func(w io.Writer) { _, _ = fmt.Fprintln(w, address) })
	if err != nil {
		return err
	}
	if settings.Policies != "" && settings.PoliciesKey == "" {
		a.screen.notef("DANGER: nobody's signature is asked for; whoever can change the policies there decides over everybody's data")
	}
	a.screen.notef("serving; policies %s; stop with ctrl-c", house.PolicyRevision()[:16])
	config.CloseLog = func(ctx context.Context) error {
		_, err := house.Log.Append(ctx, audit.Event{Kind: audit.ServerStopped, Principal: by, Outcome: audit.Done})
		return errors.Join(err, house.Log.Close(ctx))
	}
	api, err := house.Server(server.Config{Log: logger, PublicURL: house.Settings.PublicURL, PublicLog: house.Settings.PublicLog, Gauges: house.Gauges()})
	if err != nil {
		return err
	}
	if err := api.Serve(ctx, listener, config); err != nil {
		return err
	}
	a.screen.notef("stopped; every answer that left is in the log")
	return nil
}

// collectLess lets the garbage collector come four times more seldom than by default. A
// server's live memory is some ten megabytes, next to what each second of queries throws
// away. Whoever has set GOGC knows better.
func collectLess() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
}
