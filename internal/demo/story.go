package demo

import "fmt"

// Story is what the demo tells: acts in order. Its JSON form is what --json prints.
type Story struct {
	Shop  ShopFacts `json:"shop"`
	Acts  []Act     `json:"acts"`
	Next  []Step    `json:"next"`
	Holds bool      `json:"holds"`
}

// ShopFacts says what was loaded.
type ShopFacts struct {
	Name         string   `json:"name"`
	Synthetic    []string `json:"synthetic"`
	People       int      `json:"people"`
	Rows         int      `json:"rows"`
	Events       int      `json:"events"`
	Rejected     int      `json:"rejected"`
	LoadSeconds  float64  `json:"load_seconds"`
	TotalSeconds float64  `json:"total_seconds"`
}

// Act is one part of the story. Everything in it was computed by the calls that it is
// about; the claims are checked after them, and a claim that does not hold fails the
// demo.
type Act struct {
	ID     string   `json:"id"`
	Title  string   `json:"title"`
	Text   string   `json:"text"`
	Tables []*Table `json:"tables,omitempty"`
	After  string   `json:"after,omitempty"`
	Claims []Claim  `json:"claims"`
}

// Table is a small table of an act.
type Table struct {
	Title  string     `json:"title,omitempty"`
	Header []string   `json:"header"`
	Rows   [][]string `json:"rows"`
}

// Claim is one sentence and whether it is true of this run.
type Claim struct {
	Text  string `json:"claim"`
	Holds bool   `json:"holds"`
}

// Step is a command to try next.
type Step struct {
	What    string `json:"what"`
	Command string `json:"command"`
}

func (a *Act) claim(holds bool, format string, args ...any) {
	a.Claims = append(a.Claims, Claim{Text: fmt.Sprintf(format, args...), Holds: holds})
}

func (a *Act) table(title string, header ...string) *Table {
	t := &Table{Title: title, Header: header}
	a.Tables = append(a.Tables, t)
	return t
}

func (t *Table) row(cells ...string) { t.Rows = append(t.Rows, cells) }

// Failed lists the claims that do not hold.
func (s *Story) Failed() []string {
	var failed []string
	for _, act := range s.Acts {
		for _, claim := range act.Claims {
			if !claim.Holds {
				failed = append(failed, act.ID+": "+claim.Text)
			}
		}
	}
	return failed
}

// Audience is who listens to the story while it happens.
type Audience interface {
	// Notice says something that is not part of the story.
	Notice(text string)
	// Progress says how far a load is, in rows and in bytes of a total.
	Progress(title string, rows, bytes, total int64)
	// Act is told as soon as it has happened.
	Act(act Act)
}
