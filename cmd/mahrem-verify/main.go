// Command mahrem-verify checks a bundle of the log, or a log that is served, without the
// server: it is small, static, and has nothing in it that could decide or answer. It prints
// the first bad index and exits with 0 (whole), 1 (broken) or 2 (could not be checked).
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"

	"github.com/mahrem/mahrem/audit/verdict"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	debug.SetGCPercent(800) // little is alive at any time
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

const usage = `usage: mahrem-verify [flags] DIR|URL...
       mahrem-verify proof [flags] FILE
       mahrem-verify receipts [flags] FILE DIR|URL...

Checks a bundle of the log that "mahrem audit export" wrote, the parts of one, or a log that
is served, without trusting whoever made it: that every entry is there, in order and
unaltered, that every tile and checkpoint belongs to the same log, and that no file is
missing, swapped, cut off or too much.

proof checks one proof (a C2SP tlog-proof file, as "mahrem audit prove" writes it) with the
key and nothing else. receipts compares answers that somebody kept (JSON documents, one
after the other) with the log: an entry that is missing, or in whose place another stands,
is named. A directory with one of these names is given as ./proof.

  --key KEY            public key of the log, or a file with it; may be repeated
  --witnesses FILE     C2SP tlog-policy: whose cosignatures the checkpoint must have
  --kept FILE          a signed checkpoint that somebody kept; may be repeated
  --part               a part of a log is enough: entries before and behind may be elsewhere
  --token-file FILE    bearer token for a log that is served
  --json               print the result as one JSON document

exit codes: 0 whole or valid, 1 broken (the first bad index is named) or not valid,
2 could not be checked
`

// texts is a flag that may be repeated.
type texts []string

func (t *texts) String() string     { return strings.Join(*t, ",") }
func (t *texts) Set(s string) error { *t = append(*t, s); return nil }

// command is one call of the program.
type command struct {
	out, errs io.Writer
	asJSON    bool
}

func run(ctx context.Context, args []string, out, errs io.Writer) int {
	c := &command{out: out, errs: errs}
	check := c.places
	if len(args) > 0 {
		switch args[0] {
		case "proof":
			check, args = c.proof, args[1:]
		case "receipts":
			check, args = c.receipts, args[1:]
		}
	}
	var input verdict.Input
	flags := flag.NewFlagSet("mahrem-verify", flag.ContinueOnError)
	flags.SetOutput(errs)
	flags.Usage = func() { _, _ = io.WriteString(errs, usage) }
	flags.Var((*texts)(&input.Keys), "key", "")
	flags.Var((*texts)(&input.Kept), "kept", "")
	flags.Func("witnesses", "", func(file string) error {
		if input.Witnesses = file; file == "" { // such as of a variable that is not set
			return errors.New("no file is named")
		}
		return nil
	})
	flags.StringVar(&input.TokenFile, "token-file", "", "")
	flags.BoolVar(&input.Part, "part", false, "")
	flags.BoolVar(&c.asJSON, "json", false, "")
	// Flags may stand behind what is checked.
	var rest []string
	for {
		if err := flags.Parse(args); err != nil {
			return 2
		}
		if args = flags.Args(); len(args) == 0 {
			break
		}
		rest, args = append(rest, args[0]), args[1:]
	}
	if len(rest) == 0 {
		flags.Usage()
		return 2
	}
	options, err := input.Read()
	code := 2
	if err == nil {
		code, err = check(ctx, rest, options)
	}
	if err != nil {
		_, _ = fmt.Fprintf(errs, "mahrem-verify: could not be checked: %v\n", err)
		return 2
	}
	return code
}

// places checks a log, or the parts of one.
func (c *command) places(ctx context.Context, args []string, options verdict.Options) (int, error) {
	verdicts, err := verdict.OfAll(ctx, args, options)
	if err != nil {
		return 2, err
	}
	code := 0
	for i := range verdicts {
		v := &verdicts[i]
		v.NotChecked = append(v.NotChecked, "whether the decisions follow from the policies that are named: mahrem audit verify --replay does that")
		if e := v.ExitCode(); code != 1 && e != 0 { // what is broken outweighs what could not be checked
			code = e
		}
	}
	return code, c.print(verdicts, func(w io.Writer) {
		for i := range verdicts {
			if len(verdicts) > 1 {
				_, _ = fmt.Fprintln(w, verdicts[i].Place)
			}
			_, _ = verdicts[i].WriteTo(w)
		}
	})
}
