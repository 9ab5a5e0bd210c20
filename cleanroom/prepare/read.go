package prepare

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/cleanroom/match"
	"github.com/mahrem/mahrem/intake"
	"github.com/mahrem/mahrem/privacy"
)

// content is what was in a file.
type content struct {
	people  *people
	rows    *spill
	faults  faults
	noBody  int // rows without an identifier
	kept    int // rows
	digest  [sha256.Size]byte
	refused int // people who do not agree
	others  map[string]int
	hidden  map[string]int
}

// progressRows is after how many rows progress is told.
const progressRows = 4096

// read brings a file in: people into memory, rows onto the disk.
func (c *Config) read(ctx context.Context, table *intake.Table, size int64, dir string, seed [seedSize]byte) (_ *content, err error) {
	in := &content{people: newPeople(), others: map[string]int{}, hidden: map[string]int{}}
	columns := c.Contract.Contract.Columns
	if in.rows, err = newSpill(dir, spillFiles(size), len(columns), seed); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, in.rows.close())
		}
	}()
	values := make([]int64, len(columns))
	for n := 1; ; n++ {
		cells, line, reason, err := table.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		switch {
		case err != nil:
			return nil, err
		case reason != "":
			in.faults.add(line, string(reason), "")
		default:
			if err := c.row(in, cells, values, line); err != nil {
				return nil, err
			}
		}
		if n%progressRows == 0 {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			c.tell(Reading, table.Read(), size)
		}
	}
	if in.digest, err = table.Digest(); err != nil {
		return nil, err
	}
	in.people.forget()
	if err := in.faults.refusal(c.DropBad); err != nil {
		return nil, err
	}
	for person := range in.people.count {
		if in.people.saysNo(person) {
			in.refused++
		}
	}
	return in, nil
}

// row brings one row in. A row that does not say yes is not looked at further: what is in
// it is nobody's business.
func (c *Config) row(in *content, cells []string, values []int64, line int64) error {
	if strings.TrimSpace(cells[0]) == "" {
		in.noBody++
		return nil
	}
	normal, err := match.Normalize(privacy.Identifier{Kind: c.Identifier, Value: privacy.NewPlain(cells[0])})
	if err != nil {
		in.faults.add(line, bad, "")
		return nil
	}
	yes := strings.TrimSpace(cells[1]) == c.ConsentYes
	if yes {
		if column := c.encode(cells[2:], values); column != "" {
			in.faults.add(line, OutOfDomain, column)
			return nil
		}
		if column := c.hides(cells[2:]); column != "" {
			in.hidden[column]++
			return nil
		}
		c.countOthers(in, cells[2:], values)
	}
	person, fresh, err := in.people.add(c.Matcher.Seed(normal))
	switch {
	case err != nil:
		return err
	case !fresh && !c.ManyRows:
		in.faults.add(line, Duplicate, "")
		return nil
	case !yes:
		in.people.sayNo(person)
		return nil
	}
	if in.kept++; in.kept > MaximumRows {
		return fmt.Errorf("reading rows: there are more than %d: %w", MaximumRows, privacy.ErrInvalid)
	}
	return in.rows.add(person, values)
}

// encode turns cells into numbers, and returns the column that it cannot turn.
func (c *Config) encode(cells []string, values []int64) string {
	columns := c.Contract.Contract.Columns
	for i := range columns {
		column, cell := &columns[i], strings.TrimSpace(cells[i])
		if digits, ok := c.Decimals[column.Name]; ok && column.Type == cleanroom.Integer {
			cell = scale(cell, digits)
		}
		value, ok := column.Encode(cell)
		if !ok {
			return column.Name
		}
		values[i] = value
	}
	return ""
}

// hides returns the column in which a row has a protected word that would hide there.
func (c *Config) hides(cells []string) string {
	columns := c.Contract.Contract.Columns
	for i := range columns {
		if columns[i].Hides(strings.TrimSpace(cells[i]), c.Protected) {
			return columns[i].Name
		}
	}
	return ""
}

// countOthers counts words that stand for whatever is left, and were another word: a party that
// spells all of them otherwise than its contract would ask about nothing.
func (c *Config) countOthers(in *content, cells []string, values []int64) {
	columns := c.Contract.Contract.Columns
	for i := range columns {
		column := &columns[i]
		if column.Other != "" && column.Domain[values[i]] == column.Other && strings.TrimSpace(cells[i]) != column.Other {
			in.others[column.Name]++
		}
	}
}

func (c *Config) tell(stage Stage, done, total int64) {
	if c.Progress != nil {
		c.Progress(stage, done, total)
	}
}
