package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/dsar/opendsr"
	"github.com/mahrem/mahrem/dsar/opendsr/conformance"
	"github.com/mahrem/mahrem/dsar/opendsr/courier"
)

func (a *app) openDSRConformance() *cobra.Command {
	var domain, version, roots, bearer, callback string
	var private bool
	cmd := &cobra.Command{
		Use: "conformance URL", Short: "Check how somebody's processor speaks OpenDSR", Args: cobra.ExactArgs(1),
		Long: `Check how a processor speaks OpenDSR: discovery, certificate, a request about nobody
(an address under example.invalid, for access if it takes that), its status, its
cancellation, and what must be refused in between. It needs no Mahrem of one's own.
The exit code is 1 if a check failed.`,
		Example: `  mahrem opendsr conformance https://opendsr.processor.example --version 2.0 --bearer-file token`,
		RunE: func(cmd *cobra.Command, args []string) error {
			config := conformance.Config{Base: strings.TrimSuffix(args[0], "/"), Domain: domain, Version: opendsr.Version(version), Callback: callback}
			if bearer != "" {
				text, err := a.readSmall(bearer, maxBearerFile)
				if err != nil {
					return usagef("--bearer-file: %w", err)
				}
				config.Token = strings.TrimSpace(string(text))
			}
			if roots != "" {
				text, err := a.readSmall(roots, maxCertificateFile)
				if err != nil {
					return usagef("--ca-file: %w", err)
				}
				if config.Roots, err = opendsr.ParseRoots(text); err != nil {
					return err
				}
			}
			report, err := conformance.Run(cmd.Context(), courier.New(courier.Config{DangerPrivateAddresses: private}), config, nil)
			if err != nil {
				return err
			}
			document := struct {
				Conforms bool                `json:"conforms"`
				Checks   []conformance.Check `json:"checks"`
			}{report.Conforms(), report.Checks}
			err = a.screen.print(document, func(w io.Writer) {
				t := table{}
				for _, c := range report.Checks {
					t.add(string(c.Result), c.Name, "section "+c.Section, c.Detail)
				}
				t.writeTo(w, "")
				_, _ = fmt.Fprintf(w, "%d passed, %d failed, %d skipped\n",
					report.Count(conformance.Passed), report.Count(conformance.Failed), report.Count(conformance.Skipped))
			})
			if err == nil && !report.Conforms() {
				err = exitWith(exitFailure)
			}
			return err
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&domain, "domain", "", "domain in whose name it signs (default: the host of URL)")
	flags.StringVar(&version, "version", "2.0", "version of the protocol: 1.0, 2.0 or 3.0")
	flags.StringVar(&bearer, "bearer-file", "", "file with the token that it wants; - reads it from stdin")
	flags.StringVar(&roots, "ca-file", "", "certificates of the authorities that are believed (default: those of this machine)")
	flags.StringVar(&callback, "callback", "", "address to name for statuses; what is sent there is not looked at")
	flags.BoolVar(&private, "danger-private-addresses", false, "check a processor on this machine or in a private network")
	a.jsonFlag(cmd)
	return cmd
}
