package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/internal/assembly"
	"github.com/mahrem/mahrem/internal/config"
	"github.com/mahrem/mahrem/internal/demo"
	"github.com/mahrem/mahrem/privacy"
)

func (a *app) demoCommand() *cobra.Command {
	var data string
	cmd := &cobra.Command{
		Use: "demo", Short: "Tell the story of Mahrem on a shop", Args: cobra.NoArgs,
		Long: `Tell the story of Mahrem on a shop that comes with this binary: about 400 people who
do not exist, 60 products, 90 days. The shop is loaded into a PostgreSQL that is
started for the demo and removed afterwards, unless --home says where to keep it.

--data DIR tells it on the files of the Complete Journey (dunnhumby / 84.51°, CC0),
which carry no names, contacts or consents: the demo adds synthetic ones, drawn
deterministically from each household's number.

Nothing in the story is written down beforehand. Each act ends with claims that are
checked against what the calls returned; if one does not hold, the exit code is 1.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			home := ""
			if cmd.Flags().Changed("home") {
				home = a.home
			}
			return a.demo(cmd.Context(), home, data)
		},
	}
	cmd.Flags().StringVar(&data, "data", "", "directory with the files of the Complete Journey")
	a.jsonFlag(cmd)
	return cmd
}

func (a *app) demo(ctx context.Context, home, data string) (err error) {
	if data != "" {
		if info, err := os.Stat(data); err != nil || !info.IsDir() {
			return usagef("--data must be a directory with the files of the Complete Journey")
		}
	}
	keep := home
	if home == "" {
		if home, err = temporaryHome("mahrem-demo-"); err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(home) }()
	}
	settings, err := config.Load(home, a.machine, a.override)
	if err != nil {
		return &exitError{code: exitUsage, err: err}
	}
	a.screen.notef("starting PostgreSQL in %s", settings.PostgresDir())
	house, err := assembly.Init(ctx, settings, assembly.Options{Logger: a.logger()}, operator())
	if errors.Is(err, privacy.ErrConflict) {
		return fmt.Errorf("%w; choose a --home that does not exist yet", err)
	}
	if err != nil {
		return err
	}
	defer a.close(house)
	shown := &stage{screen: &a.screen}
	if !a.screen.json {
		paragraph(a.screen.out, "MAHREM: the door between customer data and everyone who wants to use it.")
	}
	story, err := demo.Run(ctx, house, shown, demo.Config{Data: data, Home: keep})
	shown.lower()
	if err != nil {
		return err
	}
	if err := a.screen.print(story, func(w io.Writer) { writeEnd(w, story) }); err != nil {
		return err
	}
	if failed := story.Failed(); len(failed) > 0 {
		return fmt.Errorf("%d claims do not hold: %s", len(failed), strings.Join(failed, "; "))
	}
	return nil
}

func writeEnd(w io.Writer, story *demo.Story) {
	shop := story.Shop
	claims := 0
	for _, act := range story.Acts {
		claims += len(act.Claims)
	}
	_, _ = fmt.Fprintf(w, "\n%s: %d people and %d events loaded in %.1f s, %d rows rejected; %d claims checked, %d do not hold; %.1f s in all.\n",
		shop.Name, shop.People, shop.Events, shop.LoadSeconds, shop.Rejected, claims, len(story.Failed()), shop.TotalSeconds)
	_, _ = fmt.Fprintf(w, "Synthetic: %s.\n\nTry next:\n", strings.Join(shop.Synthetic, "; "))
	for _, step := range story.Next {
		_, _ = fmt.Fprintf(w, "\n  # %s\n  %s\n", step.What, step.Command)
	}
}
