// Command mahrem-verify checks a bundle of the log, or a log that is served, without the
// server: it is small, static, and has nothing in it that could decide or answer. It prints
// the first bad index and exits with 0 (whole), 1 (broken) or 2 (could not be checked).
package main

import (
	"context"
	"encoding/json"
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

Checks a bundle of the log that "mahrem audit export" wrote, the parts of one, or a log that
is served, without trusting whoever made it: that every entry is there, in order and
unaltered, that every tile and checkpoint belongs to the same log, and that no file is
missing, swapped, cut off or too much.

  --key KEY            public key of the log, or a file with it; may be repeated
  --witnesses FILE     C2SP tlog-policy: whose cosignatures the checkpoint must have
  --kept FILE          a signed checkpoint that somebody kept; may be repeated
  --part               a part of a log is enough: entries before and behind may be elsewhere
  --token-file FILE    bearer token for a log that is served
  --json               print the result as one JSON document

exit codes: 0 whole, 1 broken (the first bad index is named), 2 could not be checked
`

// texts is a flag that may be repeated.
type texts []string

func (t *texts) String() string     { return strings.Join(*t, ",") }
func (t *texts) Set(s string) error { *t = append(*t, s); return nil }

func run(ctx context.Context, args []string, out, errs io.Writer) int {
	var input verdict.Input
	var asJSON bool
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
	flags.BoolVar(&asJSON, "json", false, "")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if flags.NArg() == 0 {
		flags.Usage()
		return 2
	}
	options, err := input.Read()
	var verdicts []verdict.Verdict
	if err == nil {
		verdicts, err = verdict.OfAll(ctx, flags.Args(), options)
	}
	if err != nil {
		_, _ = fmt.Fprintf(errs, "mahrem-verify: could not be checked: %v\n", err)
		return 2
	}
	code := 0
	for i := range verdicts {
		v := &verdicts[i]
		v.NotChecked = append(v.NotChecked, "whether the decisions follow from the policies that are named: mahrem audit verify --replay does that")
		if c := v.ExitCode(); code != 1 && c != 0 { // what is broken outweighs what could not be checked
			code = c
		}
		if !asJSON {
			if len(verdicts) > 1 {
				_, _ = fmt.Fprintln(out, v.Place)
			}
			_, err = v.WriteTo(out)
		}
	}
	if asJSON {
		encoder := json.NewEncoder(out)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(verdicts)
	}
	if err != nil {
		_, _ = fmt.Fprintf(errs, "mahrem-verify: %v\n", err)
		return 2
	}
	return code
}
