package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/internal/assembly"
)

func (a *app) doctorCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "doctor", Short: "Look into what a Mahrem needs, and say what is wrong", Args: cobra.NoArgs,
		Long: `Look into everything that a Mahrem needs, in the order in which it depends on one
another, and say what is wrong and what to do about it. Nothing is changed. The exit
code is 1 if anything is wrong.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			settings, err := a.config()
			if err != nil {
				return err
			}
			findings := assembly.Examine(cmd.Context(), settings, a.logger())
			t := table{header: []string{"part", "", "detail"}}
			wrong := 0
			for _, f := range findings {
				state := "ok"
				if !f.OK {
					state = "WRONG"
					wrong++
				}
				t.add(f.Part, state, f.Detail)
			}
			if err := a.screen.print(findings, func(w io.Writer) { t.writeTo(w, "") }); err != nil {
				return err
			}
			if wrong > 0 {
				return fmt.Errorf("%d of %d parts are not as they should be", wrong, len(findings))
			}
			return nil
		},
	}
	a.jsonFlag(cmd)
	return cmd
}
