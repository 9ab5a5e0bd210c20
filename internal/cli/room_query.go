package cli

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/privacy"
)

// roomAnswerDocument is an answer in the words of the HTTP API.
type roomAnswerDocument struct {
	Release  json.RawMessage   `json:"release"`
	Digest   string            `json:"digest"`
	Repeated bool              `json:"repeated"`
	Names    map[string]string `json:"names"`
	Log      logPointer        `json:"log"`
}

// roomPriceDocument is a price in the words of the HTTP API.
type roomPriceDocument struct {
	Question      string                `json:"question"`
	Query         json.RawMessage       `json:"query"`
	Cost          cleanroom.Rho         `json:"cost_nanorho"`
	MinimumPeople int                   `json:"minimum_people"`
	Threshold     int64                 `json:"threshold"`
	Metrics       []metricPriceDocument `json:"metrics"`
	Left          []leftDocument        `json:"left"`
	QuestionsLeft *int64                `json:"questions_left,omitempty"`
	Log           logPointer            `json:"log"`
}

type metricPriceDocument struct {
	Name      string `json:"name"`
	NoiseSD   int64  `json:"noise_sd,omitempty"`
	HalfWidth int64  `json:"half_width"`
	AverageOf int64  `json:"average_of,omitempty"`
}

type leftDocument struct {
	Dataset       string        `json:"dataset"`
	Cap           cleanroom.Rho `json:"cap_nanorho"`
	Spent         cleanroom.Rho `json:"spent_nanorho"`
	ConsumerCap   cleanroom.Rho `json:"consumer_cap_nanorho"`
	ConsumerSpent cleanroom.Rho `json:"consumer_spent_nanorho"`
	Left          cleanroom.Rho `json:"left_nanorho"`
	QuestionsLeft *int64        `json:"questions_left,omitempty"`
}

func newLeftDocuments(left []cleanroom.Left, questions []int64) []leftDocument {
	documents := make([]leftDocument, len(left))
	for i, l := range left {
		documents[i] = leftDocument{l.Dataset.String(), l.Cap, l.Spent, l.ConsumerCap, l.Consumed, l.Rho(), nil}
		if questions != nil {
			documents[i].QuestionsLeft = &questions[i]
		}
	}
	return documents
}

func (a *app) roomQuery() *cobra.Command {
	var party string
	var price bool
	cmd := &cobra.Command{
		Use: "query FILE --party PARTY", Short: "Ask about groups of people in a clean room, as a party would", Args: cobra.ExactArgs(1),
		Long: `Ask the question of a file (- reads it from stdin) as a service of a party would over HTTP:
the same rules, the same price, the same entries in the log. docs/spec/room.md says what a
question can be.

A question is charged to the budgets of all datasets that it touches before data is read,
and nothing is given back. The same question has the same stored answer, for nothing. With
--price no data is read: it says what the question would cost, how exact its answer would
be, and how many such questions are left.`,
		Example: `  mahrem room query reach.json --party brand_partner --price
  mahrem room query reach.json --party brand_partner`,
	}
	cmd.Flags().StringVar(&party, "party", "", "who asks: a party of the room, as in the catalogue")
	cmd.Flags().BoolVar(&price, "price", false, "say what the question would cost, and ask nothing")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if party == "" {
			return usagef("a question needs --party; see mahrem room query --help")
		}
		query, document, err := a.readQuestion(args[0])
		if err != nil {
			return err
		}
		house, err := a.open(cmd.Context())
		if err != nil {
			return err
		}
		defer a.close(house)
		if err := house.CheckRecipient(privacy.RecipientID(party)); err != nil {
			return err
		}
		principal := operatorFor(privacy.RecipientID(party))
		if price {
			told, err := house.Rooms.Questions.Price(cmd.Context(), principal, query.Room, document)
			if err != nil {
				return roomRefusal(err)
			}
			shown := newRoomPrice(told)
			return a.screen.print(shown, func(w io.Writer) { writeRoomPrice(w, shown) })
		}
		answer, err := house.Rooms.Questions.Ask(cmd.Context(), principal, query.Room, document)
		if err != nil {
			return roomRefusal(err)
		}
		leaf := answer.Receipt.LeafHash()
		shown := roomAnswerDocument{
			Release: answer.Release.Answer, Digest: hex.EncodeToString(answer.Release.Digest[:]), Repeated: answer.Repeated, Names: answer.Names,
			Log: logPointer{answer.Receipt.Index(), hex.EncodeToString(leaf[:])},
		}
		return a.screen.print(shown, func(w io.Writer) { writeRoomAnswer(w, shown) })
	}
	a.jsonFlag(cmd)
	return cmd
}

// roomRefusal says which checks stood against a question, or what is left of the budgets.
func roomRefusal(err error) error {
	if denied, ok := errors.AsType[*cleanroom.Denied](err); ok {
		return fmt.Errorf("%w: %s", err, strings.Join(denied.Checks, ", "))
	}
	if exhausted, ok := errors.AsType[*cleanroom.Exhausted](err); ok {
		var left []string
		for _, l := range exhausted.Left {
			left = append(left, fmt.Sprintf("%s has %d nanorho left for this party", l.Dataset, l.Rho()))
		}
		return fmt.Errorf("%w, and nothing was computed: %s; more noise (privacy.noise_people) costs less, and mahrem room query --price says how much", exhausted, strings.Join(left, ", "))
	}
	return err
}

func newRoomPrice(p *cleanroom.Price) roomPriceDocument {
	leaf := p.Receipt.LeafHash()
	d := roomPriceDocument{
		Question: hex.EncodeToString(p.Question[:]), Query: p.Query, Cost: p.Cost, MinimumPeople: p.MinimumPeople, Threshold: p.Threshold,
		Metrics: []metricPriceDocument{}, Left: newLeftDocuments(p.Left, nil), Log: logPointer{p.Receipt.Index(), hex.EncodeToString(leaf[:])},
	}
	for _, m := range p.Metrics {
		d.Metrics = append(d.Metrics, metricPriceDocument(m))
	}
	if p.Questions >= 0 {
		d.QuestionsLeft = &p.Questions
	}
	return d
}

func writeRoomPrice(w io.Writer, d roomPriceDocument) {
	t := table{}
	t.add("costs", fmt.Sprintf("%d nanorho, of each dataset", d.Cost))
	if d.QuestionsLeft != nil {
		t.add("such questions left", fmt.Sprint(*d.QuestionsLeft))
	}
	t.add("a group is told from", fmt.Sprintf("%d people on, in the noisy answer", d.Threshold))
	for _, m := range d.Metrics {
		what := fmt.Sprintf("± %d (95 %%)", m.HalfWidth)
		if m.AverageOf > 0 {
			what += fmt.Sprintf(" for a group of %d", m.AverageOf)
		}
		t.add(m.Name, what)
	}
	t.add("log entry", fmt.Sprint(d.Log.Index))
	t.writeTo(w, "")
	_, _ = fmt.Fprintln(w)
	writeLeft(w, d.Left)
}

func writeLeft(w io.Writer, left []leftDocument) {
	t := table{}
	t.add("dataset", "spent", "of", "by this party", "of", "left (nanorho)", "questions left")
	for _, l := range left {
		questions := ""
		if l.QuestionsLeft != nil {
			questions = fmt.Sprint(*l.QuestionsLeft)
		}
		t.add(l.Dataset, fmt.Sprint(l.Spent), fmt.Sprint(l.Cap), fmt.Sprint(l.ConsumerSpent), fmt.Sprint(l.ConsumerCap), fmt.Sprint(l.Left), questions)
	}
	t.writeTo(w, "")
}

// shownRelease is what a table shows of a release.
type shownRelease struct {
	Protection string `json:"protection"`
	Cost       int64  `json:"cost_nanorho"`
	Confidence int    `json:"confidence_percent"`
	Metrics    []struct {
		Name string `json:"name"`
	} `json:"metrics"`
	Groups []struct {
		Key        map[string]string     `json:"key"`
		Suppressed bool                  `json:"suppressed"`
		Values     map[string]shownValue `json:"values"`
	} `json:"groups"`
}

type shownValue struct {
	Value      int64 `json:"value"`
	Low        *int64
	High       *int64
	Suppressed bool
	Bins       []shownValue
	Edges      []int64
}

func (v shownValue) String() string {
	switch {
	case v.Suppressed:
		return "too few"
	case v.Edges != nil:
		parts := make([]string, len(v.Bins))
		for i, bin := range v.Bins {
			parts[i] = bin.String()
			if i < len(v.Edges) {
				parts[i] += fmt.Sprintf(" <%d", v.Edges[i])
			}
		}
		return strings.Join(parts, " | ")
	case v.Low != nil && v.High != nil:
		return fmt.Sprintf("%d [%d, %d]", v.Value, *v.Low, *v.High)
	}
	return fmt.Sprint(v.Value)
}

func writeRoomAnswer(w io.Writer, d roomAnswerDocument) {
	var release shownRelease
	if err := json.NewDecoder(bytes.NewReader(d.Release)).Decode(&release); err != nil || len(release.Groups) == 0 {
		return
	}
	keys := slices.Sorted(maps.Keys(release.Groups[0].Key))
	metrics := make([]string, 0, len(release.Metrics)) // people first
	for _, metric := range release.Metrics {
		metrics = append(metrics, metric.Name)
	}
	t := table{header: slices.Concat(keys, metrics)}
	for _, group := range release.Groups {
		row := make([]string, 0, len(keys)+len(metrics))
		for _, key := range keys {
			row = append(row, group.Key[key])
		}
		if group.Suppressed {
			row = append(row, "too few")
		}
		for _, name := range metrics {
			if !group.Suppressed {
				row = append(row, group.Values[name].String())
			}
		}
		t.add(row...)
	}
	t.writeTo(w, "")
	cost := fmt.Sprintf("cost %d nanorho", release.Cost)
	if d.Repeated {
		cost = "was asked before and cost nothing"
	}
	if release.Confidence > 0 {
		_, _ = fmt.Fprintf(w, "\n[low, high]: the truth is in there %d times of 100\n", release.Confidence)
	}
	_, _ = fmt.Fprintf(w, "\n%s; %s; digest %s; log entry %d\n", release.Protection, cost, d.Digest, d.Log.Index)
}

// readQuestion reads a question to a room, as it is written and as it is meant.
func (a *app) readQuestion(file string) (*cleanroom.Query, []byte, error) {
	text, err := a.readSmall(file, cleanroom.MaximumQuery)
	if err != nil {
		return nil, nil, err
	}
	query, err := cleanroom.ParseQuery(text)
	return query, text, err
}

func (a *app) roomBudget() *cobra.Command {
	var party string
	cmd := &cobra.Command{
		Use: "budget ROOM --party PARTY", Short: "Show what is left to a party of a clean room", Args: cobra.ExactArgs(1),
		Long: `Show for each dataset of a room what may be learned about one person, by everybody together
and by one party, how much of it is spent, and how many counts of people with noise of 20
people are left. Nothing is ever given back. No data is read.`,
		Example: `  mahrem room budget spring --party brand_partner`,
	}
	cmd.Flags().StringVar(&party, "party", "", "whose: a party of the room, as in the catalogue")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if party == "" {
			return usagef("a budget needs --party; see mahrem room budget --help")
		}
		house, err := a.open(cmd.Context())
		if err != nil {
			return err
		}
		defer a.close(house)
		principal := operatorFor(privacy.RecipientID(party))
		budget, err := house.Rooms.Questions.Budget(cmd.Context(), principal, cleanroom.RoomID(args[0]))
		if err != nil {
			return roomRefusal(err)
		}
		left := newLeftDocuments(budget.Left, budget.Questions)
		document := struct {
			Room    cleanroom.RoomID `json:"room"`
			Example cleanroom.Rho    `json:"example_nanorho"`
			Left    []leftDocument   `json:"left"`
		}{budget.Room, budget.Example, left}
		return a.screen.print(document, func(w io.Writer) { writeLeft(w, left) })
	}
	a.jsonFlag(cmd)
	return cmd
}
