package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/internal/config"
)

// Commands stand in help in the order of the work, as they are put together.
func init() { cobra.EnableCommandSorting = false }

// app is one invocation of mahrem.
type app struct {
	screen   screen
	stdin    io.Reader
	getenv   func(string) string
	home     string
	override config.Config
}

// Run carries out one command line and returns its exit code. The first SIGINT or
// SIGTERM asks the command to come to an orderly end; a second one ends the process.
func Run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	// A reader that goes away, such as head, must not end the process before it has
	// cleaned up; writes fail instead.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	a := &app{screen: screen{out: stdout, err: stderr}, stdin: stdin, getenv: os.Getenv}
	root := a.root()
	root.SetArgs(args)
	err := root.ExecuteContext(cleanroom.WithEnd(ctx))
	if err != nil && ctx.Err() != nil {
		err = &exitError{code: exitFailure, err: errors.New("interrupted; what was committed stays, and the same command may safely be run again")}
	}
	if err != nil && err.Error() != "" {
		_, _ = fmt.Fprintf(stderr, "mahrem: %s\n", message(err))
		if hint := hint(err); hint != "" {
			_, _ = fmt.Fprintf(stderr, "mahrem: %s\n", hint)
		}
	}
	return exitCode(err)
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "mahrem",
		Short: "The door between customer data and everyone who wants to use it",
		Long: `Mahrem keeps a company's customer data sealed, answers personalization services
only what consent, law and good manners allow, writes every answer down in a log
that proves itself, and can forget a person for good.

Begin with: mahrem demo`,
		SilenceErrors: true,
		SilenceUsage:  true,
		// A command line that is wrong must be told apart from a command that failed.
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetOut(a.screen.out)
	root.SetErr(a.screen.err)
	root.SetIn(a.stdin)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef("%w; see %s --help", err, cmd.CommandPath())
	})
	flags := root.PersistentFlags()
	flags.StringVar(&a.home, "home", config.DefaultHome(a.getenv, os.Getuid()), "directory this Mahrem lives in (MAHREM_HOME)")
	flags.StringVar(&a.override.Policies, "policies", "", "policy bundle instead of the one in the binary: a directory, a file or a URL (MAHREM_POLICIES)")
	root.AddCommand(a.commands()...)
	wrapArgs(root)
	return root
}

// wrapArgs makes every command answer a wrong number of arguments with exit code 2. What
// was too much is not repeated: it may be an address, and stderr is kept in many places.
func wrapArgs(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			err := check(cmd, args)
			switch {
			case err == nil:
				return nil
			case check(cmd, nil) != nil:
				return usagef("%w: %s %s; see %s --help", err, cmd.CommandPath(), arguments(cmd), cmd.CommandPath())
			case cmd.HasSubCommands():
				return usagef("%s has no command of this name; see %s --help", cmd.CommandPath(), cmd.CommandPath())
			}
			return usagef("%s takes no arguments, only flags; see %s --help", cmd.CommandPath(), cmd.CommandPath())
		}
	}
	for _, child := range cmd.Commands() {
		wrapArgs(child)
	}
}

// arguments are those of a command, as its help names them.
func arguments(cmd *cobra.Command) string {
	_, named, _ := strings.Cut(cmd.Use, " ")
	return named
}

// group makes a command that only holds others.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return usagef("%s needs one of its commands; see %s --help", cmd.CommandPath(), cmd.CommandPath())
		},
	}
	cmd.AddCommand(commands...)
	return cmd
}

// chapter is commands that stand together in the help of their group.
type chapter struct {
	title    string
	commands []*cobra.Command
}

// chapters makes a command that only holds others, of which its help tells in chapters.
func chapters(use, short, long string, all ...chapter) *cobra.Command {
	cmd := group(use, short)
	cmd.Long = long
	for _, part := range all {
		cmd.AddGroup(&cobra.Group{ID: part.title, Title: part.title + ":"})
		for _, child := range part.commands {
			child.GroupID = part.title
		}
		cmd.AddCommand(part.commands...)
	}
	return cmd
}

// config reads the settings of this Mahrem.
func (a *app) config() (config.Config, error) {
	c, err := config.Load(a.home, a.getenv, a.override)
	if err != nil {
		return c, &exitError{code: exitUsage, err: err}
	}
	return c, nil
}

// machine is what the environment says about this machine, and nothing about a Mahrem on it: for
// one that is made to be thrown away.
func (a *app) machine(name string) string {
	if name == "MAHREM_PATIENCE" {
		return a.getenv(name)
	}
	return ""
}

// message is an error on one screen: what cobra capitalizes is made lower case, and
// nothing in it can drive the terminal.
func message(err error) string {
	var lines []string
	for line := range strings.SplitSeq(strings.TrimSpace(err.Error()), "\n") {
		lines = append(lines, printable(strings.ReplaceAll(line, "\t", "  ")))
	}
	return strings.Join(lines, "\n  ")
}
