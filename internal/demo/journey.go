package demo

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/mahrem/mahrem/intake"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// The files of the Complete Journey that the demo loads.
const (
	journeyTransactions = "transactions_sample.csv.gz"
	journeyProducts     = "products.csv.gz"
	journeyDemographics = "demographics.csv.gz"
	// journeyPrefix is what the mappings put before a household's number.
	journeyPrefix = "cj-"
)

// loadJourney loads the Complete Journey (dunnhumby / 84.51°, CC0): a synthetic identity
// for each household, then its demographics and its purchases. The purchases are of
// 2017; all of them are moved forward by the same whole number of days, so that the last
// one was made yesterday and windows such as "the last 90 days" mean something.
func (s *stage) loadJourney(ctx context.Context) error {
	s.audience.Notice("reading " + s.config.Data)
	j, err := s.readJourney()
	if err != nil {
		return err
	}
	today := s.config.Now().UTC().Truncate(24 * time.Hour)
	shift := int(today.AddDate(0, 0, -1).Sub(j.last.Truncate(24*time.Hour)).Hours() / 24)
	s.story.Shop.Name = "the Complete Journey (dunnhumby / 84.51°, CC0)"
	s.story.Shop.Synthetic = []string{
		"names, contacts, addresses, birth dates, households and consents, drawn from each household's number",
		fmt.Sprintf("dates of purchases, all moved forward by %d days", shift),
	}
	people := j.people(today)
	assignPersonas(s.catalogue(), people, j.histories(journeyPrefix))
	s.castJourney(j, people, today)

	var file bytes.Buffer
	if err := WritePeople(&file, people); err != nil {
		return err
	}
	if err := s.loadFile(ctx, "people.yaml", memory("people.csv", file.Bytes(), nil)); err != nil {
		return err
	}
	for _, load := range []struct {
		mapping, file string
		shift         int
	}{
		{"complete-journey-demographics", journeyDemographics, 0},
		{"complete-journey-transactions", journeyTransactions, shift},
	} {
		mapping, err := intake.BundledMapping(load.mapping)
		if err != nil {
			return err
		}
		source, err := intake.FileSource(filepath.Join(s.config.Data, load.file))
		if err != nil {
			return err
		}
		if load.shift != 0 {
			source = shifted(source, load.shift)
		}
		if err := s.loadSource(ctx, mapping, source); err != nil {
			return err
		}
	}
	return nil
}

// journey is what the story needs to know of the files before they are loaded.
type journey struct {
	households map[string]*household
	last       time.Time
}

// household is one customer of the Complete Journey.
type household struct {
	number string
	groups []policies.GroupID // one a line, in the order of the file
}

func (s *stage) readJourney() (*journey, error) {
	groups := map[string]policies.GroupID{}
	catalogue := s.catalogue()
	err := eachRow(filepath.Join(s.config.Data, journeyProducts),
		[]string{"product_id", "department", "product_category", "product_type"}, func(cells []string) error {
			groups[string([]byte(cells[0]))] = catalogue.ProductGroup(cells[1], cells[2], cells[3])
			return nil
		})
	if err != nil {
		return nil, err
	}
	j := &journey{households: map[string]*household{}}
	err = eachRow(filepath.Join(s.config.Data, journeyTransactions),
		[]string{"household_id", "product_id", "transaction_timestamp"}, func(cells []string) error {
			at, err := time.Parse(time.RFC3339, cells[2])
			if err != nil {
				return fmt.Errorf("reading a time: %w", privacy.ErrInvalid)
			}
			if at.After(j.last) {
				j.last = at
			}
			h := j.households[cells[0]]
			if h == nil {
				h = &household{number: string([]byte(cells[0]))}
				j.households[h.number] = h
			}
			if group, known := groups[cells[1]]; known {
				h.groups = append(h.groups, group)
			}
			return nil
		})
	if err == nil && len(j.households) == 0 {
		err = fmt.Errorf("%s has no rows: %w", journeyTransactions, privacy.ErrInvalid)
	}
	return j, err
}

// people gives each household its synthetic identity, in the order of their numbers.
func (j *journey) people(today time.Time) []Person {
	people := make([]Person, 0, len(j.households))
	for _, h := range j.sorted() {
		person := Synthetic(h.number, today)
		person.Customer = journeyPrefix + h.number
		people = append(people, person)
	}
	return people
}

func (j *journey) sorted() []*household {
	list := make([]*household, 0, len(j.households))
	for _, h := range j.households {
		list = append(list, h)
	}
	slices.SortFunc(list, func(a, b *household) int {
		return cmp.Or(cmp.Compare(len(a.number), len(b.number)), cmp.Compare(a.number, b.number))
	})
	return list
}

func (j *journey) histories(prefix string) map[string][]policies.GroupID {
	history := make(map[string][]policies.GroupID, len(j.households))
	for number, h := range j.households {
		history[prefix+number] = h.groups
	}
	return history
}

// castJourney gives the parts to households by what they bought: those with a pregnancy
// test, the two with the strongest weak signals and no telling one, and controls with
// nothing that points to it.
func (s *stage) castJourney(j *journey, people []Person, today time.Time) {
	catalogue := s.catalogue()
	byNumber := map[string]*Person{}
	for i := range people {
		byNumber[people[i].Customer] = &people[i]
	}
	var candidates []*household
	take := func(part role, list []*household, n int) {
		for _, h := range list[:min(n, len(list))] {
			person := byNumber[journeyPrefix+h.number]
			person.role = part
			if part == sporty {
				person.Interest, person.Position = "yoga", "39.7767,30.5206"
			}
			s.members[part] = append(s.members[part], &Member{Person: *person})
		}
	}
	var tests, hints, plain []*household
	for _, h := range j.sorted() {
		candidates = append(candidates, h)
		names := groupNames(h.groups)
		sum, most := score(catalogue, "pregnancy", names), strongest(catalogue, "pregnancy", names)
		switch {
		case slices.Contains(h.groups, "health.pregnancy_test"):
			tests = append(tests, h)
		case sum >= 80 && most < 80:
			hints = append(hints, h)
		case sum == 0 && len(h.groups) >= 20:
			plain = append(plain, h)
		}
	}
	slices.SortStableFunc(hints, func(a, b *household) int {
		return cmp.Compare(score(catalogue, "pregnancy", groupNames(b.groups)), score(catalogue, "pregnancy", groupNames(a.groups)))
	})
	take(expecting, tests, len(tests))
	take(hinting, hints, 2)
	take(control, plain, max(1, min(2, len(tests))))
	rest := plain[min(len(plain), len(s.members[control])):]
	if len(rest) < 3 {
		rest = candidates
	}
	take(regular, rest, 1)
	take(leaver, rest[1:], 1)
	take(sporty, rest[2:], 1)
	for i := range people {
		people[i].drawConsents(today)
	}
	for _, list := range s.members {
		for _, m := range list {
			m.Consents = byNumber[m.Customer].Consents
		}
	}
}

func groupNames(groups []policies.GroupID) []string {
	names := make([]string, len(groups))
	for i, g := range groups {
		names[i] = string(g)
	}
	return names
}

// eachRow calls do with the named columns of each row of a compressed CSV file. The
// cells are only valid during the call.
func eachRow(path string, columns []string, do func(cells []string) error) error {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("opening a file of the Complete Journey: %w", err)
	}
	defer func() { _ = file.Close() }()
	unzipped, err := gzip.NewReader(bufio.NewReader(file))
	if err != nil {
		return fmt.Errorf("opening %s: %w", filepath.Base(path), err)
	}
	rows := csv.NewReader(unzipped)
	rows.ReuseRecord = true
	header, err := rows.Read()
	if err != nil {
		return fmt.Errorf("reading %s: %w", filepath.Base(path), err)
	}
	places := make([]int, len(columns))
	for i, column := range columns {
		if places[i] = slices.Index(header, column); places[i] < 0 {
			return fmt.Errorf("%s has no column %s: %w", filepath.Base(path), column, privacy.ErrInvalid)
		}
	}
	cells := make([]string, len(columns))
	for {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading %s: %w", filepath.Base(path), err)
		}
		for i, place := range places {
			cells[i] = row[place]
		}
		if err := do(cells); err != nil {
			return fmt.Errorf("reading %s: %w", filepath.Base(path), err)
		}
	}
}

// shifted is a source whose rows end in a time in quotes, which is moved by days.
func shifted(source intake.Source, days int) intake.Source {
	moved := source
	moved.Name = "transactions_sample.csv"
	moved.Size = 0
	moved.Open = func() (io.ReadCloser, error) {
		file, err := source.Open()
		if err != nil {
			return nil, err
		}
		unzipped, err := gzip.NewReader(bufio.NewReader(file))
		if err != nil {
			return nil, errors.Join(err, file.Close())
		}
		out, in := io.Pipe()
		go func() {
			err := shiftLines(in, unzipped, days)
			_ = in.CloseWithError(errors.Join(err, file.Close()))
		}()
		return out, nil
	}
	return moved
}

func shiftLines(out io.Writer, in io.Reader, days int) error {
	lines := bufio.NewScanner(in)
	buffered := bufio.NewWriterSize(out, 64<<10)
	for lines.Scan() {
		line := lines.Bytes()
		if comma := bytes.LastIndexByte(line, ','); comma >= 0 {
			if at, err := time.Parse(`"`+time.RFC3339+`"`, string(line[comma+1:])); err == nil {
				_, _ = buffered.Write(line[:comma+1])
				line = []byte(at.AddDate(0, 0, days).Format(`"` + time.RFC3339 + `"`))
			}
		}
		_, _ = buffered.Write(line)
		if err := buffered.WriteByte('\n'); err != nil {
			return err
		}
	}
	return errors.Join(lines.Err(), buffered.Flush())
}
