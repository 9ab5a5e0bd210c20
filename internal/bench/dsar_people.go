package bench

import (
	"context"
	"crypto/rand"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

// crowd is a number of people who are alike, written straight into the tables: each with
// three identifiers, five sealed records and two consents.
type crowd struct {
	// name tells the identifiers of one crowd from those of another.
	name         string
	people       int
	jurisdiction privacy.Jurisdiction
	// stream holds the events, and kind is what they are.
	stream privacy.DataCategory
	kind   string
	events int
}

// personRecords are the five records, with the attributes of each.
var personRecords = map[privacy.DataCategory][]privacy.AttributeName{
	"core":         {"first_name", "last_name", "birth_date"},
	"contact":      {"email", "phone", "postal_address"},
	"preferences":  {"preferences.brands", "preferences.interests"},
	"location":     {"location.city", "location.region"},
	"demographics": {"household", "occupation"},
}

// identifiers are those of the nth person of a crowd.
func (c *crowd) identifiers(n int) []privacy.Identifier {
	word := c.name + "-" + strconv.Itoa(n)
	return []privacy.Identifier{
		{Kind: privacy.CustomerNumber, Value: privacy.NewPlain(word)},
		{Kind: privacy.Email, Value: privacy.NewPlain(word + "@example.com")},
		{Kind: privacy.CookieID, Value: privacy.NewPlain("cookie-" + word)},
	}
}

// tableRows are rows on their way into a table.
type tableRows struct {
	name    pgx.Identifier
	columns []string
	rows    [][]any
}

// crowdRows are the rows of people, in the order in which the tables need them.
type crowdRows struct{ people, keys, identifiers, records, chunks, fingerprints, consents tableRows }

func newCrowdRows() *crowdRows {
	return &crowdRows{
		people:       tableRows{pgx.Identifier{"vault", "data_subject"}, []string{"data_subject_id", "jurisdiction"}, nil},
		keys:         tableRows{pgx.Identifier{"keyring", "person_key"}, []string{"data_subject_id", "wrapped"}, nil},
		identifiers:  tableRows{pgx.Identifier{"vault", "identifier"}, []string{"data_subject_id", "kind", "blind_index"}, nil},
		records:      tableRows{pgx.Identifier{"vault", "sealed_record"}, []string{"data_subject_id", "slot", "record_version", "sealed"}, nil},
		chunks:       tableRows{pgx.Identifier{"vault", "event_chunk"}, []string{"data_subject_id", "slot", "chunk", "record_version", "event_count", "sealed"}, nil},
		fingerprints: tableRows{pgx.Identifier{"vault", "event_fingerprint"}, []string{"data_subject_id", "fingerprint"}, nil},
		consents: tableRows{pgx.Identifier{"consent", "record"}, []string{
			"data_subject_id", "consent_id", "purpose", "channel", "action", "legal_basis", "explicit", "notice_version", "source", "effective_at",
		}, nil},
	}
}

// bring writes the people, some at a time so that memory stays small.
func (c *crowd) bring(ctx context.Context, conn *pgx.Conn, v *vault.Vault) error {
	const rowsAtOnce = 20_000
	rows := newCrowdRows()
	for n := range c.people {
		if err := c.add(rows, v, n); err != nil {
			return err
		}
		if len(rows.fingerprints.rows) < rowsAtOnce && n < c.people-1 {
			continue
		}
		for _, t := range []*tableRows{&rows.people, &rows.keys, &rows.identifiers, &rows.records, &rows.chunks, &rows.fingerprints, &rows.consents} {
			if _, err := conn.CopyFrom(ctx, t.name, t.columns, pgx.CopyFromRows(t.rows)); err != nil {
				return fmt.Errorf("bringing people in: %w", err)
			}
		}
		rows = newCrowdRows()
	}
	return nil
}

// add makes the rows of the nth person.
func (c *crowd) add(to *crowdRows, v *vault.Vault, n int) error {
	id, err := privacy.NewDataSubjectID(rand.Reader)
	if err != nil {
		return err
	}
	key, wrapped, err := v.NewPersonKey(id)
	if err != nil {
		return err
	}
	person := [16]byte(id)
	to.people.rows = append(to.people.rows, []any{person, string(c.jurisdiction)})
	to.keys.rows = append(to.keys.rows, []any{person, wrapped})
	for _, identifier := range c.identifiers(n) {
		index, err := v.BlindIndex(identifier)
		if err != nil {
			return err
		}
		to.identifiers.rows = append(to.identifiers.rows, []any{person, string(identifier.Kind), index})
	}
	today := time.Now().UTC().Truncate(24 * time.Hour)
	for category, attributes := range personRecords {
		record := vault.Record{}
		for _, name := range attributes {
			record[name] = vault.Field{
				Values: []privacy.Plain{privacy.NewPlain("what is known")}, Source: vault.Declared, Quality: vault.Verified, ObservedAt: today,
			}
		}
		sealed, err := key.SealRecord(category, 1, record)
		if err != nil {
			return err
		}
		slot := v.Slot(id, category)
		to.records.rows = append(to.records.rows, []any{person, slot[:], int64(1), sealed})
	}
	slot := v.Slot(id, c.stream)
	for first := 0; first < c.events; first += vault.MaxChunkEvents {
		var events []vault.Event
		for e := first; e < min(first+vault.MaxChunkEvents, c.events); e++ {
			events = append(events, vault.Event{
				Type: c.kind, At: today.AddDate(0, 0, -80).Add(time.Duration(e) * time.Minute),
				Fields: map[privacy.AttributeName]privacy.Plain{"product_group": privacy.NewPlain("fresh.fruit"), "product": privacy.NewPlain("thing")},
			})
			fingerprint := v.Fingerprint(id, "bench", strconv.Itoa(e))
			to.fingerprints.rows = append(to.fingerprints.rows, []any{person, fingerprint[:]})
		}
		chunk := int64(first / vault.MaxChunkEvents)
		sealed, err := key.SealChunk(c.stream, chunk, 1, events)
		if err != nil {
			return err
		}
		to.chunks.rows = append(to.chunks.rows, []any{person, slot[:], chunk, int64(1), int32(len(events)), sealed})
	}
	for _, purpose := range []string{"newsletter", "recommendations"} {
		consent, err := privacy.NewDataSubjectID(rand.Reader)
		if err != nil {
			return err
		}
		to.consents.rows = append(to.consents.rows, []any{person, [16]byte(consent), purpose, "email", "granted", "consent", false, "bench-1", "bench", today})
	}
	return nil
}
