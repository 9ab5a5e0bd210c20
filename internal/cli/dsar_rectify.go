package cli

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/dsar/fulfil"
	"github.com/mahrem/mahrem/internal/assembly"
	"github.com/mahrem/mahrem/privacy"
)

// doneDocument is what was carried out.
type doneDocument struct {
	requestDocument
	Evidence string `json:"evidence"`
	// Tell are the recipients who must hear of it.
	Tell []string `json:"tell,omitempty"`
}

// fulfilCommand makes cmd one that carries something out in the course of a request. do
// returns the attributes of which recipients who were told must hear; nil is none.
func (a *app) fulfilCommand(cmd *cobra.Command, do func(ctx context.Context, house *assembly.House, by privacy.Principal, id dsar.RequestID) (fulfil.Done, *audience, error)) *cobra.Command {
	return a.requestCommand(cmd, func(ctx context.Context, house *assembly.House, by privacy.Principal, id dsar.RequestID) error {
		done, tell, err := do(ctx, house, by, id)
		if err != nil {
			return ofRequest(err)
		}
		document := doneDocument{requestDocument: newRequestDocument(&done.Request, time.Now()), Evidence: hex.EncodeToString(done.Evidence[:])}
		document.Log = pointTo(done.Receipt)
		if tell != nil {
			recipients, err := a.toldOf(ctx, house, done.Request.DataSubject, tell)
			if err != nil {
				return fmt.Errorf("it is done, but who must be told could not be found: %w", err)
			}
			document.Tell = recipients
		}
		return a.screen.print(document, func(w io.Writer) {
			t := document.rows()
			t.add("evidence", document.Evidence)
			if len(document.Tell) > 0 {
				t.add("tell (Article 19)", strings.Join(document.Tell, ", "))
			}
			t.writeTo(w, "")
		})
	})
}

// audience is who must hear of something: whoever was told one of these attributes, or
// anything if there are none.
type audience struct{ attributes []privacy.AttributeName }

func (a *app) toldOf(ctx context.Context, house *assembly.House, person privacy.DataSubjectID, tell *audience) ([]string, error) {
	progress := newBar(a.screen.err, "looking for recipients", "entries", -1)
	defer progress.finish()
	recipients, err := house.ToldOf(ctx, person, tell.attributes, func(done, total uint64) { progress.set(int64(done), int64(total)) })
	if errors.Is(err, privacy.ErrNotFound) {
		return nil, nil // erased since
	}
	names := make([]string, len(recipients))
	for i := range recipients {
		names[i] = string(recipients[i])
	}
	return names, err
}

func (a *app) dsarRectify() *cobra.Command {
	var file string
	var dispute []string
	cmd := &cobra.Command{
		Use: "rectify REQUEST (--file FILE | --dispute ATTRIBUTES)", Short: "Correct what is wrong about a person, or mark it as contested",
		Long: `Correct what is held about the person of a request (GDPR Article 16): the values of the
file take the place of those that are there, as declared by the person and verified. The
file is one JSON object, attribute by attribute; it is read from a file or stdin because
command lines end up in histories. The log has one digest over keyed digests of what was
there before and is there now, and no value.

--dispute marks attributes as contested: they are not used until they are corrected
(Article 18(1)(a)).

Printed are the evidence for mahrem dsar fulfil, and the recipients who were told one of
these attributes and must hear of it (Article 19); they are found by going through the log.`,
		Example: `  echo '{"first_name": "Zdeněk"}' | mahrem dsar rectify 7f1c… --file -
  mahrem dsar rectify 7f1c… --dispute birth_date,household`,
	}
	cmd.Flags().StringVar(&file, "file", "", "file with the corrections; - reads them from stdin")
	cmd.Flags().StringSliceVar(&dispute, "dispute", nil, "attributes that the person contests")
	return a.fulfilCommand(cmd, func(ctx context.Context, house *assembly.House, by privacy.Principal, id dsar.RequestID) (fulfil.Done, *audience, error) {
		if (file == "") == (len(dispute) == 0) {
			return fulfil.Done{}, nil, usagef("say one of --file and --dispute")
		}
		if file == "" {
			var names []privacy.AttributeName
			for _, name := range dispute {
				names = append(names, privacy.AttributeName(name))
			}
			done, err := house.Fulfil.Dispute(ctx, by, id, names)
			return done, &audience{names}, err
		}
		text, err := a.readSmall(file, 1<<20)
		if err != nil {
			return fulfil.Done{}, nil, err
		}
		corrections, err := readCorrections(text)
		if err != nil {
			return fulfil.Done{}, nil, err
		}
		var names []privacy.AttributeName
		for _, c := range corrections {
			names = append(names, c.Attribute)
		}
		done, err := house.Fulfil.Rectify(ctx, by, id, corrections)
		return done, &audience{names}, err
	})
}

// readCorrections reads {"attribute": "value", "list": ["value", …]}. No error repeats what
// stands there.
func readCorrections(text []byte) ([]fulfil.Correction, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	var object map[string]json.RawMessage
	if decoder.Decode(&object) != nil {
		return nil, usagef("corrections are one JSON object: an attribute and its value, or list of values")
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, usagef("there is more than one JSON object")
	}
	var corrections []fulfil.Correction
	for _, name := range slices.Sorted(maps.Keys(object)) {
		var one string
		var many []string
		if json.Unmarshal(object[name], &one) == nil {
			many = []string{one}
		} else if json.Unmarshal(object[name], &many) != nil {
			return nil, usagef("the value of an attribute is a text or a list of texts")
		}
		c := fulfil.Correction{Attribute: privacy.AttributeName(name)}
		for _, value := range many {
			c.Values = append(c.Values, privacy.NewPlain(value))
		}
		corrections = append(corrections, c)
	}
	return corrections, nil
}
