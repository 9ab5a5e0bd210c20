package cli

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/consent/signal"
	"github.com/mahrem/mahrem/consent/signal/tcf"
)

func (a *app) signalCommand() *cobra.Command {
	return group("signal", "Read what browsers and consent platforms say", a.signalDecode())
}

// decodedSignal is the document of signal decode.
type decodedSignal struct {
	GPC      bool             `json:"gpc"`
	TCF      *decodedTCF      `json:"tcf,omitempty"`
	Sections []decodedSection `json:"sections,omitempty"`
	Rejected []rejectedSignal `json:"rejected"`
}

type decodedTCF struct {
	LastUpdated time.Time `json:"last_updated"`
	CMP         int       `json:"cmp"`
	Language    string    `json:"language"`
	Country     string    `json:"country,omitempty"`
	VendorList  int       `json:"vendor_list"`
	Policy      int       `json:"policy_version"`
	Consent     []int     `json:"purposes_consent"`
	Interest    []int     `json:"purposes_legitimate_interest"`
}

type decodedSection struct {
	ID     int              `json:"id"`
	Name   string           `json:"name"`
	TCF    *decodedTCF      `json:"tcf,omitempty"`
	Fields map[string][]int `json:"fields,omitempty"`
	GPC    bool             `json:"gpc"`

	order []string
}

type rejectedSignal struct {
	Signal  string `json:"signal"`
	Section string `json:"section,omitempty"`
	Reason  string `json:"reason"`
}

func (a *app) signalDecode() *cobra.Command {
	var headers []string
	cmd := &cobra.Command{
		Use: "decode [STRING] [--gpc VALUE]...", Short: "Say what a consent string or header says", Args: cobra.MaximumNArgs(1),
		Long: `Say what a TC string (it begins with C), a GPP string (it begins with D) or the header
Sec-GPC says. A string that does not count is no consent: the reason is named, and the exit
code is 1. Nothing is recorded, and no connection is made.`,
		RunE: func(_ *cobra.Command, args []string) error {
			given := signal.Given{SecGPC: headers}
			switch {
			case len(args) == 0 && len(headers) == 0:
				return usagef("signal decode needs a string or --gpc; see mahrem signal decode --help")
			case len(args) == 1 && strings.HasPrefix(args[0], "D"):
				given.GPP = args[0]
			case len(args) == 1:
				given.TCF = args[0]
			}
			document := decodeSignal(signal.Read(given))
			if err := a.screen.print(document, func(w io.Writer) { writeSignal(w, document, len(headers) > 0) }); err != nil {
				return err
			}
			if len(document.Rejected) > 0 {
				return exitWith(exitFailure)
			}
			return nil
		},
	}
	cmd.Flags().StringArrayVar(&headers, "gpc", nil, "a value of the header Sec-GPC; may be given more than once")
	a.jsonFlag(cmd)
	return cmd
}

func decodeSignal(reading *signal.Reading) decodedSignal {
	document := decodedSignal{GPC: reading.GPC, TCF: decodeTCF(reading.TCF), Rejected: []rejectedSignal{}}
	if reading.GPP != nil {
		for i := range reading.GPP.Sections {
			s := &reading.GPP.Sections[i]
			if s.Err != nil {
				continue
			}
			section := decodedSection{ID: s.ID, Name: s.Name, TCF: decodeTCF(s.TCF), GPC: s.GPC}
			for _, f := range s.Fields {
				if section.Fields == nil {
					section.Fields = map[string][]int{}
				}
				section.Fields[f.Name] = f.Values
				section.order = append(section.order, f.Name)
			}
			document.Sections = append(document.Sections, section)
		}
	}
	for _, r := range reading.Rejections {
		document.Rejected = append(document.Rejected, rejectedSignal{string(r.Signal), r.Section, string(r.Reason)})
	}
	return document
}

func decodeTCF(s *tcf.String) *decodedTCF {
	if s == nil {
		return nil
	}
	d := &decodedTCF{
		LastUpdated: s.LastUpdated, CMP: s.CMP, Language: s.Language, Country: s.Country, VendorList: s.VendorList, Policy: s.Policy,
		Consent: []int{}, Interest: []int{},
	}
	for n := 1; n <= tcf.MaxPurpose; n++ {
		if s.Purpose(n) == tcf.Yes {
			d.Consent = append(d.Consent, n)
		}
		if s.LegitimateInterest.Has(n) {
			d.Interest = append(d.Interest, n)
		}
	}
	return d
}

func writeSignal(w io.Writer, document decodedSignal, header bool) {
	if header {
		said := "says nothing"
		if document.GPC {
			said = "asks not to sell or share"
		}
		fmt.Fprintf(w, "Global Privacy Control  %s\n", said)
	}
	writeTCF(w, "TC string", document.TCF)
	for _, s := range document.Sections {
		writeTCF(w, s.Name, s.TCF)
		for _, name := range s.order {
			fmt.Fprintf(w, "%-8s %-32s %s\n", s.Name, name, meaningOf(name, s.Fields[name]))
		}
		if s.GPC {
			fmt.Fprintf(w, "%-8s %-32s asks not to sell or share\n", s.Name, "Gpc")
		}
	}
	for _, r := range document.Rejected {
		name := r.Signal
		if r.Section != "" {
			name += ", section " + r.Section
		}
		fmt.Fprintf(w, "%s does not count: %s\n", name, r.Reason)
	}
}

func writeTCF(w io.Writer, name string, s *decodedTCF) {
	if s == nil {
		return
	}
	fmt.Fprintf(w, "%s of %s, made by platform %d in %s under policies %d\n", name, s.LastUpdated.Format(time.RFC3339), s.CMP, s.Language, s.Policy)
	fmt.Fprintf(w, "  consent to purposes      %s\n", numbers(s.Consent))
	fmt.Fprintf(w, "  legitimate interest for  %s\n", numbers(s.Interest))
}

// meaningOf says what the values of a field mean: 1 is a no for an opt-out and for a
// consent, and a yes for everything else.
func meaningOf(name string, values []int) string {
	words := [...]string{"not applicable", "yes", "no"}
	switch {
	case strings.HasSuffix(name, "OptOut"):
		words = [...]string{"not applicable", "opted out", "did not opt out"}
	case strings.HasSuffix(name, "Consent"), strings.HasSuffix(name, "Consents"), name == "SensitiveDataProcessing":
		words = [...]string{"not applicable", "no", "yes"}
	}
	said := make([]string, len(values))
	for i, value := range values {
		said[i] = words[value]
	}
	return strings.Join(said, ", ")
}

func numbers(list []int) string {
	if len(list) == 0 {
		return "none"
	}
	return strings.Trim(fmt.Sprint(list), "[]")
}
