package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/internal/assembly"
	"github.com/mahrem/mahrem/internal/bench"
	"github.com/mahrem/mahrem/internal/config"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/server"
)

func (a *app) benchCommand() *cobra.Command {
	return group("bench", "Measure this machine", a.benchGate(), a.benchIntake(), a.benchAudience(), a.benchPolicy(), a.benchDSAR(), a.benchAudit(), a.benchConsent(), a.benchRoom())
}

func (a *app) benchGate() *cobra.Command {
	var people, rounds int
	var round time.Duration
	var clients []int
	cmd := &cobra.Command{
		Use: "gate", Short: "Measure the whole gate over HTTP against a bare SELECT", Args: cobra.NoArgs,
		Long: `Measure, on an embedded PostgreSQL of its own that is removed afterwards, the whole gate
over HTTP (token, policy, decryption, durable log) and a bare net/http handler that
answers one prepared primary-key SELECT, in alternating rounds, and print both rates,
latencies and their ratio.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			collectLess() // as serve does; both sides run in this process
			connections := benchConns()
			house, done, err := a.scratch(cmd.Context(), connections)
			if err != nil {
				return err
			}
			defer done()
			api, err := house.Server(server.Config{Log: a.logger()})
			if err != nil {
				return err
			}
			minted, err := house.Tokens.Mint(privacy.Principal{ID: "bench", Role: privacy.RoleService, Recipient: bench.Recipient}, 24*time.Hour)
			if err != nil {
				return err
			}
			if _, err := house.Pseudonyms.Of(bench.Recipient); err != nil {
				return err
			}
			step, finish := a.benching("rounds")
			report, err := bench.Gate(cmd.Context(), bench.GateConfig{
				Handler: api, Token: minted.Token, Loader: house.Loader, OwnerURL: house.Database.URL(), LogSize: house.Log.Size,
				MaxConns: connections, People: people, Clients: clients, Rounds: rounds, RoundTime: round,
				Progress: step,
			})
			finish()
			if err != nil {
				return err
			}
			return a.printReport(report)
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&people, "people", 2000, "people that are asked about")
	flags.IntVar(&rounds, "rounds", 3, "rounds of each side for each number of clients")
	flags.DurationVar(&round, "round", 2*time.Second, "length of a round")
	flags.IntSliceVar(&clients, "clients", []int{1, 8, 32, 128}, "numbers of clients")
	a.jsonFlag(cmd)
	return cmd
}

func (a *app) benchIntake() *cobra.Command {
	var lines, people int
	cmd := &cobra.Command{
		Use: "intake", Short: "Measure how fast retail lines are sealed and committed", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			house, done, err := a.scratch(cmd.Context(), 0)
			if err != nil {
				return err
			}
			defer done()
			report, err := bench.Intake(cmd.Context(), bench.IntakeConfig{
				Loader: house.Loader, Lines: lines, People: people, Progress: &loadProgress{screen: &a.screen, title: "lines"},
			})
			if err != nil {
				return err
			}
			return a.printReport(report)
		},
	}
	cmd.Flags().IntVar(&lines, "lines", 200_000, "lines of the file")
	cmd.Flags().IntVar(&people, "people", 0, "people in it (default: one for every 30 lines)")
	a.jsonFlag(cmd)
	return cmd
}

// areMeasurements refuses words of --only that are none.
func areMeasurements(only, known []string) error {
	for _, name := range only {
		if !slices.Contains(known, name) {
			return usagef("%s is no measurement; there are %s", name, strings.Join(known, ", "))
		}
	}
	return nil
}

// printReport prints what was measured, which people read as Markdown.
func (a *app) printReport(report interface{ Markdown() string }) error {
	return a.screen.print(report, func(w io.Writer) { _, _ = io.WriteString(w, report.Markdown()) })
}

// scratch makes a Mahrem that is thrown away: nothing that is measured is put among
// somebody's data.
func (a *app) scratch(ctx context.Context, connections int32) (*assembly.House, func(), error) {
	home, err := temporaryHome("mahrem-bench-")
	if err != nil {
		return nil, nil, err
	}
	remove := func() { _ = os.RemoveAll(home) }
	settings, err := config.Load(home, a.machine, a.override)
	if err != nil {
		remove()
		return nil, nil, &exitError{code: exitUsage, err: err}
	}
	house, err := assembly.Init(ctx, settings, assembly.Options{Logger: a.logger(), SignEvery: time.Second, MaxConns: connections}, operator())
	if err != nil {
		remove()
		return nil, nil, err
	}
	return house, func() { a.close(house); remove() }, nil
}

// benchConns is how many connections each side of a comparison has: both have room on the
// server that they share, on a machine of any size.
func benchConns() int32 { return int32(min(max(16, 4*runtime.GOMAXPROCS(0)), 64)) }

// temporaryHome makes a directory that PostgreSQL can get into: it runs as another
// account when we are root, and TMPDIR may be private to us.
func temporaryHome(pattern string) (string, error) {
	parent := os.TempDir()
	if os.Geteuid() == 0 && !isOpenToAll(parent) {
		parent = "/tmp"
	}
	home, err := os.MkdirTemp(parent, pattern)
	if err != nil {
		return "", fmt.Errorf("making a temporary home: %w", err)
	}
	if err := os.Chmod(home, 0o755); err != nil {
		return "", fmt.Errorf("making a temporary home: %w", err)
	}
	return home, nil
}

// isOpenToAll reports whether every account can pass through dir and all above it.
func isOpenToAll(dir string) bool {
	for ; ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil || info.Mode().Perm()&0o001 == 0 {
			return false
		}
		if dir == filepath.Dir(dir) {
			return true
		}
	}
}
