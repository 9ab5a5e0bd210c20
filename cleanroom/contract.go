package cleanroom

import (
	"github.com/mahrem/mahrem/privacy"
)

// DatasetID names a dataset among those of its owner: lower-case letters, digits and
// underscores, at most 40. Where owners must be told apart it is written owner.dataset.
type DatasetID string

// ColumnRole is what a column is there for.
type ColumnRole string

// The roles of columns. Identifiers by which people are matched are no columns.
const (
	Dimension ColumnRole = "dimension" // may be filtered and grouped by
	Measure   ColumnRole = "measure"   // may be summed, averaged and put into bins
	Hidden    ColumnRole = "hidden"    // is there for filters of templates alone
)

// ColumnType is what a column holds.
type ColumnType string

// The types of columns. There are no floating-point numbers: their low bits tell.
const (
	Enum    ColumnType = "enum"    // one of the words of the domain
	Day     ColumnType = "day"     // a day, asked for on the grid alone
	Integer ColumnType = "integer" // a whole number, such as an amount in minor units
)

// Grid is on which days ranges of a day column may begin and end.
type Grid string

// The grids. Weeks begin on Mondays.
const (
	ByDay   Grid = "day"
	ByWeek  Grid = "week"
	ByMonth Grid = "month"
)

// Function is what a query may compute.
type Function string

// The functions.
const (
	People    Function = "people" // distinct people
	Sum       Function = "sum"
	Average   Function = "avg"
	Histogram Function = "histogram"
)

// Source is where a dataset's people come from.
type Source string

// The sources.
const (
	// FromHouse are the house's own people: their consent is read in the ledger when they are
	// admitted, and who withdraws leaves at once.
	FromHouse Source = "house"
	// FromParty are a party's people, prepared on its side; its contract vouches for consent,
	// and only rows with a yes are admitted.
	FromParty Source = "party"
)

// Column is a column of a dataset, as its owner declares it.
type Column struct {
	Name string     `json:"name"`
	Role ColumnRole `json:"role"`
	Type ColumnType `json:"type"`
	// Category is the catalogue's data category of what it holds.
	Category privacy.DataCategory `json:"category"`
	// Domain are all values of an enum column, in their order. Rows with any other value
	// become Other, or are refused if there is none.
	Domain []string `json:"domain,omitempty"`
	Other  string   `json:"other,omitempty"`
	// Vocabulary says what the words of the domain are, if the catalogue knows them:
	// "product_groups". The policies look each of them up.
	Vocabulary string `json:"vocabulary,omitempty"`
	// First and Last bound a day column (YYYY-MM-DD), Grid is where ranges may begin and end.
	First string `json:"first,omitempty"`
	Last  string `json:"last,omitempty"`
	Grid  Grid   `json:"grid,omitempty"`
	// Lo and Hi bound what one person can add to a sum, in the column's unit. They come from
	// the contract and never from the data, which they would give away.
	Lo int64 `json:"lo,omitempty"`
	Hi int64 `json:"hi,omitempty"`
	// Bins are the edges of a histogram, ascending.
	Bins []int64 `json:"bins,omitempty"`
	// Functions are what may be computed of a measure.
	Functions []Function `json:"functions,omitempty"`
}

// Contract says under which conditions a dataset may be asked about. Its owner signs it; a
// new version binds from its signature on.
type Contract struct {
	Owner   PartyID   `json:"owner"`
	Dataset DatasetID `json:"dataset"`
	Version int       `json:"version"` // from 1
	Source  Source    `json:"source"`
	// Unit is whose privacy is protected: "person" or "household".
	Unit     string            `json:"unit"`
	Purposes []privacy.Purpose `json:"purposes"`
	Columns  []Column          `json:"columns"`
	// MinimumPeople is how many people a group must have for anything to be said of it.
	MinimumPeople int `json:"minimum_people"`
	// Cap is all that may ever be learned about any one person of the dataset, by everybody
	// together; ConsumerCap is one party's part of it; QueryCap is that of one query.
	Cap         Rho `json:"cap_nanorho"`
	ConsumerCap Rho `json:"consumer_cap_nanorho"`
	QueryCap    Rho `json:"query_cap_nanorho"`
	// MaxGroupsPerPerson is in how many groups of an answer one person may count at most.
	MaxGroupsPerPerson int `json:"max_groups_per_person"`
	// AdHoc lets queries in that follow no template.
	AdHoc bool `json:"ad_hoc"`
}

// Column returns a column by its name.
func (c *Contract) Column(name string) (*Column, bool) {
	for i := range c.Columns {
		if c.Columns[i].Name == name {
			return &c.Columns[i], true
		}
	}
	return nil, false
}
